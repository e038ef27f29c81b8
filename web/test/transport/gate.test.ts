import { beforeEach, describe, expect, it } from 'vitest';
import {
	CONFIRMED_MAX,
	decide,
	Gate,
	NO_KEY,
	PATIENCE,
	Refused,
	WAITING_MAX,
	type Enforcement,
	type Key,
	type News,
	type Situation,
	type Standing,
	type View
} from '../../src/transport/gate';
import { fakeClock } from '../support/environment';

const KEYS: Key[] = ['pending', 'none', 'unchecked', 'proved', 'refuted'];
const STANDINGS: Standing[] = ['pending', 'off', 'passed', 'warned', 'failed', 'unreachable'];
const ENFORCEMENTS: Enforcement[] = ['off', 'warn', 'block'];
const CAUSE = 'tcb-status:out-of-date';

const situation = (given: Partial<Situation> = {}): Situation => ({
	enforcement: 'warn',
	standing: 'passed',
	key: 'proved',
	known: false,
	causes: [],
	confirmed: { failures: new Set(), warnings: new Set() },
	...given
});
const short = (given: Partial<Situation>): string => {
	const decision = decide(situation(given));
	if (decision.kind === 'open') return decision.way;
	return decision.kind === 'refuse' ? decision.reason : decision.kind;
};
const all = KEYS.flatMap((key) =>
	STANDINGS.flatMap((standing) =>
		ENFORCEMENTS.flatMap((enforcement) =>
			[false, true].map((known) => ({ key, standing, enforcement, known, causes: [CAUSE] }))
		)
	)
);

describe('the decision', () => {
	// standing: [off, warn, block] for a proved key, one that nobody has answered under, and none.
	const TABLE: Record<Standing, [string, string, string][]> = {
		pending: [
			['sealed', 'wait', 'wait'],
			['sealed', 'wait', 'wait'],
			['plain', 'wait', 'wait']
		],
		off: [
			['sealed', 'sealed', 'blocked-off'],
			['sealed', 'sealed', 'blocked-off'],
			['plain', 'plain', 'blocked-off']
		],
		passed: [
			['sealed', 'sealed', 'sealed'],
			['sealed', 'ask', 'blocked-warned'],
			['plain', 'ask', 'blocked-warned']
		],
		warned: [
			['sealed', 'ask', 'blocked-warned'],
			['sealed', 'ask', 'blocked-warned'],
			['plain', 'ask', 'blocked-warned']
		],
		failed: [
			['sealed', 'ask', 'blocked'],
			['sealed', 'ask', 'blocked'],
			['plain', 'ask', 'blocked']
		],
		unreachable: [
			['sealed', 'ask', 'wait'],
			['sealed', 'ask', 'wait'],
			['plain', 'ask', 'wait']
		]
	};
	it.each(STANDINGS)('is as the table has it where it is %s', (standing) => {
		const found = (['proved', 'unchecked', 'none'] as const).map((key) =>
			ENFORCEMENTS.map((enforcement) => short({ key, standing, enforcement, causes: [CAUSE] }))
		);
		expect(found).toEqual(TABLE[standing]);
	});

	it('gives a key that does not belong to the quote nothing, under any setting', () => {
		const confirmed = { failures: new Set([CAUSE]), warnings: new Set([CAUSE]) };
		for (const one of all.filter(({ key }) => key === 'refuted')) {
			expect(short({ ...one, confirmed })).toBe('key-refuted');
		}
	});

	it('says where that may be the fault of a clock', () => {
		for (const one of all.filter(({ key }) => key === 'refuted')) {
			expect(short({ ...one, causes: ['key-binding:clock-differs'] })).toBe('clock');
		}
	});

	it('waits for a key under any setting', () => {
		for (const one of all.filter(({ key }) => key === 'pending')) expect(short(one)).toBe('wait');
	});

	it('says why it waits where something has come to nothing', () => {
		const waiting = { enforcement: 'block', causes: [CAUSE] } as const;
		expect(decide(situation({ ...waiting, standing: 'unreachable' }))).toEqual({
			kind: 'wait',
			causes: [CAUSE]
		});
		expect(decide(situation({ ...waiting, standing: 'pending' }))).toEqual({ kind: 'wait' });
	});

	it('has no way back to plain', () => {
		const confirmed = {
			failures: new Set([CAUSE, 'key-binding:key-none']),
			warnings: new Set([CAUSE, 'key-binding:key-none'])
		};
		for (const one of all.filter(({ known }) => known)) {
			expect(short({ ...one, confirmed })).not.toBe('plain');
			if (one.key === 'none') expect(short({ ...one, confirmed })).toBe('no-way-back');
		}
	});

	it('opens by what was confirmed, each cause of it, and as what it is', () => {
		const failures = new Set([CAUSE]);
		const warnings = new Set<string>();
		const failed = {
			standing: 'failed',
			causes: [CAUSE],
			confirmed: { failures, warnings }
		} as const;
		expect(decide(situation(failed))).toEqual({
			kind: 'open',
			way: 'sealed',
			despite: { causes: [CAUSE], failed: true }
		});
		expect(short({ ...failed, causes: [CAUSE, 'td-attributes:debug'] })).toBe('ask');
		expect(short({ ...failed, standing: 'warned' })).toBe('ask');
		expect(short({ ...failed, enforcement: 'block' })).toBe('blocked');
		const other = { failures: warnings, warnings: failures };
		expect(short({ ...failed, confirmed: other })).toBe('ask');
		expect(short({ ...failed, standing: 'warned', confirmed: other })).toBe('sealed');
	});

	it('asks once more where there is no key to what was confirmed', () => {
		const confirmed = { failures: new Set([CAUSE]), warnings: new Set([CAUSE]) };
		const base = { standing: 'warned', causes: [CAUSE], confirmed } as const;
		expect(decide(situation({ ...base, key: 'none' }))).toEqual({
			kind: 'ask',
			causes: ['key-binding:key-none', CAUSE],
			failed: false
		});
		expect(short({ ...base, key: 'unchecked' })).toBe('ask');
	});

	it('names that there is no key whatever else is said of one, and once', () => {
		const silent = 'key-binding:quote-unreachable';
		const confirmed = { failures: new Set([silent]), warnings: new Set([silent]) };
		const asked = (causes: string[]) =>
			decide(situation({ standing: 'unreachable', key: 'none', causes, confirmed }));
		expect(asked([silent])).toMatchObject({ kind: 'ask', causes: [NO_KEY, silent] });
		expect(asked([NO_KEY])).toMatchObject({ kind: 'ask', causes: [NO_KEY] });
	});

	it('never asks about nothing, and is not confirmed by it', () => {
		const asked = decide(situation({ standing: 'unreachable', key: 'proved', causes: [] }));
		expect(asked).toMatchObject({ kind: 'ask', causes: [expect.any(String)] });
	});
});

interface Channel {
	name: string;
}
const kept = () => {
	let causes: readonly string[] = [];
	return { read: () => causes, write: (next: readonly string[]) => void (causes = next) };
};

describe('the gate', () => {
	let clock: ReturnType<typeof fakeClock>;
	let failures: ReturnType<typeof kept>;
	let gate: Gate<Channel>;
	let views: View[];
	const channel = { name: 'one' };
	const PROVED: News<Channel> = { key: 'proved', standing: 'passed', channel };
	beforeEach(() => {
		clock = fakeClock();
		failures = kept();
		gate = new Gate<Channel>({
			later: clock.later,
			failures,
			warnings: kept(),
			say: (reason) => `sentence of ${reason}`
		});
		views = [];
		gate.hear((view) => views.push(view));
	});

	it('is closed at first, and lets all through that waited', async () => {
		const passages = Promise.all([gate.pass(), gate.pass()]);
		expect(gate.view).toEqual({ decision: { kind: 'wait' }, waiting: 2 });
		gate.update(PROVED);
		expect((await passages).map((passage) => passage.channel)).toEqual([channel, channel]);
		expect(gate.view.waiting).toBe(0);
		expect(clock.waiting()).toBe(0);
	});

	it('stays closed where a channel is missing', async () => {
		gate.update({ key: 'proved', standing: 'passed' });
		const passage = gate.pass();
		expect(gate.view.decision.kind).toBe('wait');
		gate.update({ channel });
		expect((await passage).channel).toBe(channel);
	});

	it('lets go as without the kit only without a channel', async () => {
		gate.update({ ...PROVED, key: 'none', enforcement: 'off' });
		expect((await gate.pass()).channel).toBeNull();
	});

	it('refuses with a sentence where the app looks for one', async () => {
		gate.update({ key: 'none', known: true });
		const error: unknown = await gate.pass().catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(TypeError);
		expect(error).toBeInstanceOf(Refused);
		expect(error).toMatchObject({
			reason: 'no-way-back',
			message: 'sentence of no-way-back',
			detail: 'sentence of no-way-back'
		});
	});

	it('asks, and opens by the confirmation of what was asked', async () => {
		const passage = gate.pass();
		gate.update({ ...PROVED, standing: 'failed', causes: [CAUSE] });
		const { decision } = gate.view;
		expect(views.at(-1)).toEqual({ decision, waiting: 1 });
		gate.confirm({ kind: 'wait' });
		expect(gate.view.decision.kind).toBe('ask');
		gate.confirm(decision);
		expect((await passage).channel).toBe(channel);
		expect(failures.read()).toEqual([CAUSE]);
		gate.update({ causes: ['td-attributes:debug', CAUSE] });
		expect(gate.view.decision.kind).toBe('ask');
		gate.confirm(decision);
		expect(gate.view.decision.kind).toBe('ask');
	});

	it('asks anew in another chat what was confirmed as failures, and ends nothing', async () => {
		gate.update({ ...PROVED, standing: 'failed', causes: [CAUSE] });
		gate.confirm(gate.view.decision);
		const { ended } = await gate.pass();
		gate.another();
		expect([gate.view.decision.kind, ended.aborted]).toEqual(['ask', false]);
		gate.confirm(gate.view.decision);
		gate.update({ standing: 'warned' });
		expect(gate.view.decision.kind).toBe('ask');
		gate.confirm(gate.view.decision);
		gate.another();
		expect(gate.view.decision.kind).toBe('open');
	});

	it('keeps the newest confirmations only', () => {
		failures.write(Array.from({ length: CONFIRMED_MAX }, (_, at) => `check:${at}`));
		gate.update({ ...PROVED, standing: 'failed', causes: [CAUSE] });
		gate.confirm(gate.view.decision);
		expect(failures.read()).toHaveLength(CONFIRMED_MAX);
		expect(gate.view.decision.kind).toBe('open');
	});

	it('refuses what waited its time, for a person longer', async () => {
		const first = gate.pass().catch((error: unknown) => error);
		clock.advance(PATIENCE.wait);
		expect(await first).toMatchObject({ reason: 'undecided' });
		const second = gate.pass().catch((error: unknown) => error);
		gate.update({ ...PROVED, standing: 'failed', causes: [CAUSE] });
		clock.advance(PATIENCE.ask - 1);
		gate.update({ causes: [CAUSE, CAUSE] }); // no news that would begin the time anew
		expect(gate.view.waiting).toBe(1);
		clock.advance(1);
		expect(await second).toMatchObject({ reason: 'undecided' });
		expect([gate.view.waiting, clock.waiting()]).toEqual([0, 0]);
	});

	it('ends with the signal, before and while it waits', async () => {
		await expect(gate.pass(AbortSignal.abort(new Error('early')))).rejects.toThrow('early');
		const life = new AbortController();
		const passage = gate.pass(life.signal);
		life.abort(new Error('stopped'));
		await expect(passage).rejects.toThrow('stopped');
		expect([gate.view.waiting, clock.waiting()]).toEqual([0, 0]);
	});

	it('is crowded at some time', async () => {
		const waiting = Array.from({ length: WAITING_MAX }, () => gate.pass());
		await expect(gate.pass()).rejects.toMatchObject({ reason: 'crowded' });
		gate.update(PROVED);
		await Promise.all(waiting);
	});

	it('ends what it let go where that would not go any more, and not at a new key', async () => {
		gate.update(PROVED);
		const { ended } = await gate.pass();
		gate.update({ channel: { name: 'two' } });
		expect(ended.aborted).toBe(false);
		gate.update({ standing: 'failed', causes: [CAUSE] });
		expect(ended.aborted).toBe(true);
		gate.confirm(gate.view.decision);
		const again = (await gate.pass()).ended;
		expect(again.aborted).toBe(false);
		gate.update({ key: 'pending', channel: null });
		expect(again.aborted).toBe(true);
	});

	it('is heard until that is ended', () => {
		const heard: View[] = [];
		const end = gate.hear((view) => heard.push(view));
		gate.update({});
		end();
		gate.update({});
		expect(heard).toHaveLength(1);
	});
});
