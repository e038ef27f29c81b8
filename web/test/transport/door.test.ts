import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Door, type Judgement } from '../../src/transport/door';
import { SealedError } from '../../src/transport/errors';
import { Gate } from '../../src/transport/gate';
import { openJar } from '../../src/transport/jar';
import type { Keyset } from '../../src/transport/keyset';
import type { Held } from '../../src/transport/line';
import * as more from '../../src/transport/more';
import { openShared, openStore, type Shared, type Word } from '../../src/transport/shared';
import { ORIGIN, settle } from '../support/carrier';
import { fakeClock } from '../support/environment';
import { pretendDatabase } from '../support/indexed-db';

const KEYSET: Keyset = { notAfter: 0, keys: [] };
const LIFE = 60_000;

let clock: ReturnType<typeof fakeClock>;
let database: ReturnType<typeof pretendDatabase>;
let ring: (word: Word) => void;
let rung: Word[];
let held: Held[];
let standIn: boolean;
let controlled: () => void;
let taken: number;
const reload = vi.fn();
const attest = vi.fn();
const endCookies = vi.fn();

const share = (): Shared => {
	const bell = {
		ring: (word: Word) => rung.push(word),
		hear: (call: (word: Word) => void) => {
			ring = call;
			return () => undefined;
		}
	};
	return openShared(
		openStore(() => database.factory, clock.later),
		bell,
		clock
	);
};

/** A page of this browser. */
const makeDoor = (causes: string[] = []): Door => {
	const store = openStore(() => database.factory, clock.later);
	const kept = { read: () => causes, write: () => undefined };
	const door = new Door({
		gate: new Gate<Held>({
			later: clock.later,
			failures: kept,
			warnings: kept,
			say: (reason) => reason
		}),
		shared: share(),
		jar: openJar(store, 'chat.example', clock.now),
		control: {
			take: () =>
				new Promise((resolve) => {
					taken += 1;
					controlled = () => {
						resolve({ kind: 'controlled', standIn: Promise.resolve(standIn) });
					};
				}),
			release: () => Promise.resolve()
		},
		hold: (_keyset, policy) => {
			const request = vi.fn(() => Promise.resolve(new Response('answer')));
			const one = {
				channel: { request },
				sockets: { connect: vi.fn(), end: vi.fn() },
				policy
			};
			held.push(one);
			return one;
		},
		showCookies: () => Promise.resolve(),
		endCookies,
		reload,
		fetch,
		more: () => Promise.resolve(more),
		failed: () => undefined,
		now: clock.now,
		later: clock.later,
		origin: ORIGIN
	});
	door.attest = attest;
	return door;
};

const verdict = (news: Partial<Judgement> = {}): Judgement => ({
	enforcement: 'warn',
	standing: 'passed',
	key: 'proved',
	causes: [],
	keyset: KEYSET,
	policy: 'p',
	until: clock.now() + LIFE,
	...news
});
const plain = (news: Partial<Judgement> = {}) =>
	verdict({ enforcement: 'off', standing: 'failed', key: 'none', keyset: null, ...news });
const decision = (door: Door) => door.gate.view.decision;
const open = async (door: Door) => {
	const line = await door.carrier.open();
	return line && line.send({ method: 'GET', url: `${ORIGIN}/x`, cookies: false });
};
/** A door that a verdict has opened, under a worker. */
const opened = async (news: Partial<Judgement> = {}): Promise<Door> => {
	const door = makeDoor();
	const judged = door.judge(verdict(news));
	controlled();
	await judged;
	await settle();
	return door;
};

beforeEach(() => {
	clock = fakeClock();
	database = pretendDatabase();
	rung = [];
	held = [];
	standIn = false;
	controlled = () => undefined;
	taken = 0;
	reload.mockReset();
	attest.mockReset();
	endCookies.mockReset();
});

describe('a door', () => {
	it('ends the cookies from before at the first sealed connection of this browser alone', async () => {
		await opened({ known: true }); // the check itself remembers before the door is told
		expect(endCookies).toHaveBeenCalledTimes(1);
		await opened({ policy: 'other' });
		const again = makeDoor();
		const begun = again.begin();
		await settle();
		controlled();
		await begun;
		await settle();
		expect(decision(again)).toMatchObject({ kind: 'open' });
		expect(endCookies).toHaveBeenCalledTimes(1);
	});

	it('leaves cookies alone where nothing is sealed', async () => {
		await makeDoor().judge(plain());
		await settle();
		expect(endCookies).not.toHaveBeenCalled();
	});

	it('opens for a verdict once the worker controls the page, and keeps it for others', async () => {
		const door = makeDoor();
		const asked = open(door);
		const judged = door.judge(verdict());
		await settle();
		expect(decision(door)).toEqual({ kind: 'wait' });
		controlled();
		await judged;
		expect(await (await asked)?.text()).toBe('answer');
		expect(await share().known()).toMatchObject({
			sealed: true,
			permission: { keyset: KEYSET, policy: 'p', grounds: { standing: 'passed', key: 'proved' } }
		});
	});

	it('opens at once for what was kept, until that ends', async () => {
		await opened();
		const door = makeDoor();
		const begun = door.begin();
		await settle();
		controlled();
		await begun;
		expect(decision(door)).toEqual({ kind: 'open', way: 'sealed' });
		clock.advance(LIFE);
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(attest).toHaveBeenCalledTimes(2); // by the page that was there before, too
		const late = makeDoor();
		await late.begin();
		expect(decision(late)).toEqual({ kind: 'wait' });
	});

	it('asks again in a tab that has not confirmed what another one has', async () => {
		const first = makeDoor(['appraisal:appraisal']);
		const judged = first.judge(verdict({ standing: 'failed', causes: ['appraisal:appraisal'] }));
		controlled();
		await judged;
		await settle();
		expect(decision(first).kind).toBe('open');
		const second = makeDoor();
		const begun = second.begin();
		await settle();
		controlled();
		await begun;
		expect(decision(second)).toMatchObject({ kind: 'ask', failed: true });
	});

	it('asks again about what went plain in another tab, and not in one that has confirmed it', async () => {
		const causes = ['key-binding:key-none', 'appraisal:appraisal'];
		const asked = { enforcement: 'warn', causes } as const;
		const first = makeDoor(causes);
		await first.judge(plain(asked));
		await settle();
		expect(decision(first)).toEqual({ kind: 'open', way: 'plain' });
		const same = makeDoor(causes);
		await same.begin();
		expect(decision(same)).toEqual({ kind: 'open', way: 'plain' });
		expect(same.basis).toBe('p');
		const other = makeDoor();
		await other.begin();
		expect(decision(other)).toEqual({ kind: 'ask', causes, failed: true });
	});

	it('lets requests go plain where nothing was ever sealed, and never after that', async () => {
		const door = makeDoor();
		await door.judge(plain());
		expect(await open(door)).toBeNull();
		await settle();
		expect((await share().known()).permission).toMatchObject({ keyset: null });

		await opened();
		const next = makeDoor();
		void next.begin(); // it waits for its worker
		await settle();
		await next.judge(plain());
		expect(decision(next)).toEqual({ kind: 'refuse', reason: 'no-way-back' });
		// One that did not know of it, as its look was too early, hears of it before anything goes.
		const early = makeDoor();
		await early.judge(plain());
		await settle();
		expect(decision(early)).toEqual({ kind: 'refuse', reason: 'no-way-back' });
		await early.forget();
		expect(await share().known()).toEqual({ sealed: false, permission: null });
	});

	it('has a worker let nothing through where the first key is refuted, and none where none is named', async () => {
		const [refuted, without] = [makeDoor(), makeDoor()];
		await without.judge(plain());
		expect(taken).toBe(0);
		await refuted.judge(verdict({ standing: 'failed', key: 'refuted', keyset: null }));
		expect(taken).toBe(1);
		expect(decision(refuted)).toEqual({ kind: 'refuse', reason: 'key-refuted' });
	});

	it('closes at once for a key that is refuted, and takes back what it kept', async () => {
		const door = await opened();
		void door.judge(verdict({ standing: 'failed', key: 'refuted', keyset: null }));
		expect(decision(door)).toEqual({ kind: 'refuse', reason: 'key-refuted' });
		await settle();
		expect(await share().known()).toEqual({ sealed: true, permission: null });
		await expect(open(door)).rejects.toThrow('key-refuted');
	});

	it('attests anew where the server does not know the keys, and tells the others', async () => {
		const door = await opened();
		const [first] = held;
		vi.mocked(first?.channel.request ?? vi.fn()).mockRejectedValue(new SealedError('key-unknown'));
		const asked = open(door);
		await settle();
		expect(attest).toHaveBeenCalledTimes(1);
		expect(rung).toContain('stale');
		expect(decision(door)).toEqual({ kind: 'wait' });
		await door.judge(verdict());
		expect(await (await asked)?.text()).toBe('answer');
		// And where another page, or the worker, found that out.
		ring('stale');
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(attest).toHaveBeenCalledTimes(2);
	});

	it('loads a document anew that stands in for another, and lets nothing of it out', async () => {
		standIn = true;
		const door = makeDoor();
		const asked = vi.fn();
		open(door).then(asked, asked);
		const judged = door.judge(verdict());
		controlled();
		await judged;
		await settle();
		expect(reload).toHaveBeenCalledTimes(1);
		expect(asked).not.toHaveBeenCalled();
	});
});
