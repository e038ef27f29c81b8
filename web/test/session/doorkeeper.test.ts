import { atom } from 'nanostores';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { causesOf, type Check } from '../../src/base/checks';
import type { Verdict } from '../../src/session/attest';
import { NOBODYS } from '../../src/transport/shared';
import { keepDoor, keyOf, policyId, standingOf } from '../../src/session/doorkeeper';
import { defaults, ENFORCEMENT_KEY, SEALED_KEY, type Settings } from '../../src/session/settings';
import type { State } from '../../src/session/session';
import type { Judgement } from '../../src/transport/door';
import type { Enforcement } from '../../src/transport/gate';
import {
	type Answer,
	answer,
	fakeClock,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	settle
} from '../support/environment';
import { HOLDER } from '../support/holder';

const DEFAULTS = defaults();
const KEYSET = HOLDER.keyset;

const PASSED: Check[] = [
	{ id: 'nonce-binding', outcome: 'pass' },
	{ id: 'key-binding', outcome: 'pass' }
];
const bound = (outcome: Check['outcome'], code?: Check['code']): Check[] => [
	{ id: 'nonce-binding', outcome: 'pass' },
	{ id: 'key-binding', outcome, ...(code && { code }) }
];

let clock: ReturnType<typeof fakeClock>;
let state: ReturnType<typeof atom<State>>;
let keys: Answer;
let asked: () => number;
let memory: ReturnType<typeof fakeStorage>;
let token: string;
let settings: Settings;
let enforcement: Enforcement;
const leave = vi.fn();
const session = { attach: vi.fn(() => leave), restart: vi.fn() };
const door = {
	judge: vi.fn<(judged: Judgement) => Promise<void>>(() => Promise.resolve()),
	wait: vi.fn(),
	holds: vi.fn<(policy: string) => boolean>(() => false),
	basis: null as string | null,
	attest: (): void => undefined
};

const verdict = (more: Partial<Verdict> = {}): Verdict => ({
	status: 'green',
	checks: PASSED,
	fields: {},
	at: clock.now(),
	expires: clock.now() + 60_000,
	keyset: KEYSET,
	...more
});
const find = (more: Partial<Verdict> = {}) => {
	state.set({ kind: 'done', verdict: verdict(more) });
};
const judged = async (): Promise<Judgement> => {
	await settle(() => door.judge.mock.calls.length > 0);
	const [last] = door.judge.mock.calls.at(-1) ?? [];
	if (!last) throw new Error('nothing was judged');
	return last;
};

beforeEach(() => {
	vi.clearAllMocks();
	clock = fakeClock();
	state = atom<State>({ kind: 'pending' });
	keys = answer({ v: 1, keyset: null });
	memory = fakeStorage();
	token = 'token';
	settings = DEFAULTS;
	enforcement = 'warn';
	door.basis = null;
	door.holds.mockReturnValue(false);
	const { fetch, calls } = fakeFetch({
		'/tee/keys': () => keys,
		'/tee/config': () => answer({ enforcement: 'block' })
	});
	asked = () => calls.filter(({ url }) => url.includes('/tee/keys')).length;
	const world = { now: clock.now, later: clock.later, memory, token: () => token };
	keepDoor(
		makeEnvironment(fetch, world),
		{ state, ...session },
		() => settings,
		() => Promise.resolve(enforcement),
		door
	);
});

describe('what a verdict says', () => {
	it('of how far it came', () => {
		expect(standingOf(verdict())).toBe('passed');
		expect(standingOf(verdict({ status: 'amber' }))).toBe('warned');
		expect(standingOf(verdict({ status: 'red' }))).toBe('failed');
		expect(standingOf(verdict({ status: 'red', wait: 0 }))).toBe('unreachable');
	});

	it('of why: what warned or failed by itself', () => {
		const checks: Check[] = [
			{ id: 'appraisal', outcome: 'warn', code: 'no-reference' as never },
			{ id: 'quote-signature', outcome: 'fail', code: 'not-run' },
			{ id: 'debug' as never, outcome: 'pass' },
			{ id: 'key-binding', outcome: 'fail', code: 'key-silent' }
		];
		expect(causesOf(checks)).toEqual(['appraisal:no-reference', 'key-binding:key-silent']);
	});

	it.each([
		['proved', PASSED, KEYSET],
		['proved', bound('warn', 'unlisted-function'), KEYSET],
		['none', bound('warn', 'key-none'), undefined],
		['none', bound('fail', 'key-none'), undefined],
		['refuted', bound('fail', 'key-mismatch'), undefined],
		['refuted', bound('fail', 'key-silent'), KEYSET],
		['refuted', bound('fail', 'keyset-expired'), undefined],
		['refuted', bound('fail', 'keyset-life'), undefined],
		['refuted', bound('fail', 'clock-differs'), undefined],
		[undefined, bound('skipped', 'not-run'), KEYSET],
		[undefined, bound('pass'), undefined],
		[undefined, [], KEYSET]
	])('of the key: %s', (key, checks, keyset) => {
		expect(keyOf(verdict({ checks, keyset }))).toBe(key);
	});

	it('is never that a key is proved where the nonce is not ours', () => {
		for (const outcome of ['fail', 'warn', 'skipped'] as const) {
			const checks: Check[] = [
				{ id: 'nonce-binding', outcome },
				{ id: 'key-binding', outcome: 'pass' }
			];
			expect(keyOf(verdict({ checks }))).toBeUndefined();
		}
		expect(keyOf(verdict({ checks: [{ id: 'key-binding', outcome: 'pass' }] }))).toBeUndefined();
	});
});

describe('the policy’s name', () => {
	it('is that of the settings, and none where nothing can be hashed', async () => {
		const one = await policyId(crypto.subtle, DEFAULTS);
		expect(await policyId(crypto.subtle, { ...DEFAULTS })).toBe(one);
		expect(await policyId(crypto.subtle, { ...DEFAULTS, enabled: !DEFAULTS.enabled })).not.toBe(
			one
		);
		expect(await policyId(undefined, DEFAULTS)).toBe('');
	});

	it('is another for each account, and for nobody', async () => {
		const names = ['', '@b0b', null].map((whose) => policyId(crypto.subtle, DEFAULTS, whose));
		const [first, other, nobody] = await Promise.all(names);
		expect(new Set([first, other, nobody]).size).toBe(3);
		const isNobodys = (name?: string) => name?.startsWith(NOBODYS);
		expect([first, other, nobody].map(isNobodys)).toEqual([false, false, true]);
	});
});

describe('the door', () => {
	it('gets a proved key until verdict or keyset ends, whichever is first', async () => {
		find({ statement: 'hash' });
		expect(await judged()).toMatchObject({
			statement: 'hash',
			enforcement: 'warn',
			standing: 'passed',
			key: 'proved',
			causes: [],
			known: false,
			until: clock.now() + 60_000
		});
		expect((await judged()).keyset?.keys.length).toBe(2);
		door.judge.mockClear();
		find({ expires: Infinity });
		const { keyset, until } = await judged();
		expect(until).toBe(keyset?.notAfter);
		expect(asked()).toBe(0);
	});

	it('gets what is refuted, and asks the server for no keys', async () => {
		find({ status: 'red', checks: bound('fail', 'key-silent') });
		expect(await judged()).toMatchObject({ key: 'refuted', keyset: null, standing: 'failed' });
		expect(asked()).toBe(0);
	});

	it('gets the keys that the server says it has, where nobody has checked them', async () => {
		keys = answer({ v: 1, keyset: KEYSET });
		state.set({ kind: 'off' });
		expect(await judged()).toMatchObject({ standing: 'off', key: 'unchecked' });
		door.judge.mockClear();
		find({ status: 'red', checks: [], wait: 0 });
		expect(await judged()).toMatchObject({ standing: 'unreachable', key: 'unchecked' });
	});

	it('hears how strict the server asks to be while the check is off, before it opens', async () => {
		keys = answer({ v: 1, keyset: KEYSET });
		find();
		await judged();
		expect(memory.getItem(ENFORCEMENT_KEY)).toBeNull();
		door.judge.mockClear();
		state.set({ kind: 'off' });
		await judged();
		expect(memory.getItem(ENFORCEMENT_KEY)).toContain('block');
	});

	it.each([
		['no JSON', { text: '<html>' }],
		['no keyset', answer({ v: 1 })],
		['a keyset of no form', answer({ v: 1, keyset: { v: 1 } })]
	])('takes %s for a key that is refuted, and asks no more', async (_what, given) => {
		keys = given;
		state.set({ kind: 'off' });
		expect(await judged()).toMatchObject({ key: 'refuted', keyset: null });
		expect([asked(), clock.waiting()]).toEqual([1, 0]);
	});

	it('waits ever longer for a server that does not answer, and no more for an older finding', async () => {
		keys = { status: 503, text: '' };
		state.set({ kind: 'off' });
		const pauses: number[] = [];
		for (let tries = 1; tries <= 6; tries += 1) {
			await settle(() => asked() === tries && clock.waiting() === 1);
			const before = clock.now();
			while (clock.waiting() > 0) clock.advance(100);
			pauses.push(clock.now() - before);
		}
		expect(pauses.at(-1)).toBeGreaterThan(16_000);
		await settle(() => clock.waiting() === 1);
		expect(door.judge).not.toHaveBeenCalled();
		const count = asked();
		find();
		await judged();
		clock.advance(600_000);
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect(asked()).toBe(count);
		expect(door.judge).toHaveBeenCalledTimes(1);
	});

	it('is told how strict the page is', async () => {
		enforcement = 'block';
		find();
		expect(await judged()).toMatchObject({ enforcement: 'block', standing: 'passed' });
	});

	it('is told of a key that is missed, as of an origin that was sealed', async () => {
		find({ status: 'red', checks: bound('fail', 'key-none'), keyset: undefined });
		expect(await judged()).toMatchObject({ key: 'none', known: true });
		expect(leave).not.toHaveBeenCalled();
		door.judge.mockClear();
		memory.setItem(SEALED_KEY, JSON.stringify({ v: 1, sealed: true }));
		find({ status: 'amber', checks: bound('warn', 'key-none'), keyset: undefined });
		expect(await judged()).toMatchObject({ key: 'none', known: true });
		expect(leave).not.toHaveBeenCalled();
	});

	it('needs no verdict where nothing is sealed, and never was', async () => {
		token = '';
		find({ status: 'amber', checks: bound('warn', 'key-none'), keyset: undefined });
		expect(await judged()).toMatchObject({ enforcement: 'warn', key: 'none', known: false });
		await settle(() => leave.mock.calls.length === 1);
		expect(session.restart).toHaveBeenCalledTimes(1);
		door.attest();
		expect(session.attach).toHaveBeenCalledTimes(2);
	});

	it('has nobody attest without end who looks there without an account', async () => {
		token = '';
		for (const count of [1, 2]) {
			find({ status: 'amber', checks: bound('warn', 'key-none'), keyset: undefined });
			await settle(() => door.judge.mock.calls.length === count);
		}
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(session.restart).toHaveBeenCalledTimes(1);
	});

	it('waits for other settings’ verdict, and not for its own', async () => {
		const policy = await policyId(crypto.subtle, settings);
		door.basis = policy;
		state.set({ kind: 'pending' });
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(door.wait).not.toHaveBeenCalled();
		door.basis = 'other';
		state.set({ kind: 'pending' });
		await settle(() => door.wait.mock.calls.length === 1);
	});

	it('keeps what still holds where a look came to nothing', async () => {
		door.holds.mockReturnValue(true);
		find({ status: 'red', wait: 0, checks: [] });
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect([door.judge.mock.calls.length, asked()]).toEqual([0, 0]);
	});

	it('hears of each verdict once', async () => {
		const one = verdict();
		state.set({ kind: 'done', verdict: one });
		await judged();
		state.set({ kind: 'done', verdict: one, trying: true } as unknown as State);
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(door.judge).toHaveBeenCalledTimes(1);
	});
});
