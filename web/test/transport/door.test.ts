import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Door, type Judgement } from '../../src/transport/door';
import { SealedError } from '../../src/transport/errors';
import { Gate } from '../../src/transport/gate';
import { openJar } from '../../src/transport/jar';
import type { Keyset } from '../../src/transport/keyset';
import type { Held } from '../../src/transport/line';
import * as more from '../../src/transport/more';
import { LONGEST, openShared, openStore, type Shared, type Word } from '../../src/transport/shared';
import { ORIGIN, settle } from '../support/carrier';
import { fakeClock } from '../support/environment';
import { pretendDatabase } from '../support/indexed-db';

const KEYSET: Keyset = { notAfter: 0, keys: [] };
const LIFE = 60_000;
const CAUSE = 'appraisal:appraisal';
/** A verdict that only a person's word opens a door for. */
const FAILED = { standing: 'failed', causes: [CAUSE] } as const;
const REFUTED = { standing: 'failed', key: 'refuted', keyset: null } as const;

let clock: ReturnType<typeof fakeClock>;
let database: ReturnType<typeof pretendDatabase>;
let ring: (word: Word) => void;
let rung: Word[];
let held: Held[];
let standIn: boolean;
let controlled: () => void;
let taken: number;
const showCookies = vi.fn<() => Promise<void>>();
const release = vi.fn(() => Promise.resolve());
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
	let confirmed: readonly string[] = causes;
	const kept = {
		read: () => confirmed,
		write: (next: readonly string[]) => {
			confirmed = next;
		}
	};
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
			release
		},
		hold: (_keyset, policy, statement) => {
			const request = vi.fn(() => Promise.resolve(new Response('answer')));
			const one = {
				channel: { request },
				sockets: { connect: vi.fn(), end: vi.fn() },
				policy,
				statement
			};
			held.push(one);
			return one;
		},
		showCookies,
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
/** Have a door go by a verdict, under a worker. */
const judge = async (door: Door, news: Partial<Judgement> = {}): Promise<void> => {
	const judged = door.judge(verdict(news));
	controlled();
	await judged;
	await settle();
};
/** A door that a verdict has opened. */
const opened = async (news: Partial<Judgement> = {}, causes: string[] = []): Promise<Door> => {
	const door = makeDoor(causes);
	await judge(door, news);
	return door;
};
/** The door of another tab, which goes by what was kept. */
const begun = async (causes: string[] = []): Promise<Door> => {
	const door = makeDoor(causes);
	const begins = door.begin();
	await settle();
	controlled();
	await begins;
	await settle();
	return door;
};
const permission = async () => (await share().known()).permission;

beforeEach(() => {
	clock = fakeClock();
	database = pretendDatabase();
	rung = [];
	held = [];
	standIn = false;
	controlled = () => undefined;
	taken = 0;
	showCookies.mockReset().mockResolvedValue();
	release.mockClear();
	reload.mockReset();
	attest.mockReset();
	endCookies.mockReset();
});

describe('a door', () => {
	it('ends the cookies from before at the first sealed connection of this browser alone', async () => {
		await opened({ known: true }); // the check itself remembers before the door is told
		expect(endCookies).toHaveBeenCalledTimes(1);
		await opened({ policy: 'other' });
		const again = await begun();
		expect(decision(again)).toMatchObject({ kind: 'open' });
		expect(endCookies).toHaveBeenCalledTimes(1);
	});

	it('has requests say what statement it goes by, and the next page as well', async () => {
		await opened({ statement: 'one' });
		expect(await permission()).toMatchObject({ statement: 'one' });
		await begun();
		expect(held.map(({ statement }) => statement)).toEqual(['one', 'one']);
	});

	it('has what names a model wait to be weighed, and nothing else', async () => {
		const door = await opened();
		const line = await door.carrier.open();
		const send = (path: string, signal?: AbortSignal) =>
			line?.send({ method: 'POST', url: `${ORIGIN}${path}`, cookies: false, signal });
		expect((await send('/api/v1/chats/new'))?.status).toBe(200);
		const leaving = new AbortController();
		const left = send('/api/chat/completions', leaving.signal);
		const chat = send('/api/chat/completions');
		await settle();
		leaving.abort(new Error('left'));
		await expect(left).rejects.toThrow('left');
		const mind = vi.fn(() => Promise.resolve());
		door.weigh(mind);
		expect((await chat)?.status).toBe(200);
		door.weigh(() => Promise.reject(new Error('twice')));
		expect((await send('/api/chat/completions'))?.status).toBe(200);
		expect(mind).toHaveBeenCalledTimes(2);
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
		const door = await begun();
		expect(decision(door)).toEqual({ kind: 'open', way: 'sealed' });
		clock.advance(LIFE);
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(attest).toHaveBeenCalledTimes(2); // by the page that was there before, too
		const late = makeDoor();
		await late.begin();
		expect(decision(late)).toEqual({ kind: 'wait' });
	});

	it('asks again in a tab that has not confirmed what another one has', async () => {
		const first = await opened(FAILED, [CAUSE]);
		expect(decision(first).kind).toBe('open');
		expect(decision(await begun())).toMatchObject({ kind: 'ask', failed: true });
	});

	it('is as strict for what was kept as it was then', async () => {
		const warned = { standing: 'warned', causes: ['tcb-status:tcb-status'] } as const;
		await opened({ enforcement: 'off', ...warned });
		expect(decision(await begun()).kind).toBe('open');
		await opened({ enforcement: 'block' });
		const { permission } = await share().known();
		expect(permission?.grounds?.enforcement).toBe('block');
	});

	it('takes from the others what it does not let go itself', async () => {
		const warned = { standing: 'warned', causes: ['tcb-status:tcb-status'] } as const;
		await opened({ ...warned }, [...warned.causes]);
		expect((await share().known()).permission).not.toBeNull();
		const strict = await opened({ enforcement: 'block', ...warned }, [...warned.causes]);
		expect(decision(strict)).toEqual({ kind: 'refuse', reason: 'blocked-warned' });
		expect((await share().known()).permission).toBeNull();
	});

	it('asks again about what went plain in another tab, and not in one that has confirmed it', async () => {
		const causes = ['key-binding:key-none', 'appraisal:appraisal'];
		const asked = { enforcement: 'warn', causes } as const;
		const first = makeDoor(causes);
		await first.judge(plain(asked));
		await settle();
		const despite = { causes, failed: true };
		expect(decision(first)).toEqual({ kind: 'open', way: 'plain', despite });
		const same = makeDoor(causes);
		await same.begin();
		expect(decision(same)).toEqual({ kind: 'open', way: 'plain', despite });
		expect(same.basis).toBe('p');
		const other = makeDoor();
		await other.begin();
		expect(decision(other)).toEqual({ kind: 'ask', causes, failed: true });
	});

	it('lets requests go plain where nothing was ever sealed, and never after that', async () => {
		const door = makeDoor();
		await door.judge(plain());
		expect(await open(door)).toBeNull();
		expect(door.carrier.isPlain()).toBe(true);
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
		const asked = open(early);
		asked.catch(() => undefined);
		await early.judge(plain());
		expect([decision(early).kind, early.carrier.isPlain()]).toEqual(['open', false]);
		await settle();
		expect(decision(early)).toEqual({ kind: 'refuse', reason: 'no-way-back' });
		expect(early.carrier.isPlain()).toBe(false);
		await expect(asked).rejects.toThrow('no-way-back');
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

	it('goes by the newest verdict, whichever is there first', async () => {
		const door = makeDoor();
		const judged = door.judge(verdict()); // it waits for its worker
		await settle();
		await door.judge(verdict({ ...REFUTED, policy: 'newer' }));
		controlled();
		await judged;
		expect([door.basis, door.policy]).toEqual(['newer', null]);
		expect(decision(door)).toEqual({ kind: 'refuse', reason: 'key-refuted' });
	});

	it('never goes plain where something else remembers that this origin was sealed', async () => {
		const door = makeDoor();
		await makeDoor().judge(plain());
		await settle();
		await door.judge(plain({ known: true }));
		expect(decision(door)).toEqual({ kind: 'refuse', reason: 'no-way-back' });
		await settle();
		expect(await permission()).toBeNull(); // nor does what the browser itself loads
	});

	it('never goes plain again after its own sealed connection', async () => {
		const door = await opened();
		await door.judge(plain());
		expect(decision(door)).toEqual({ kind: 'refuse', reason: 'no-way-back' });
	});

	it('keeps a permission for no longer than keys may live', async () => {
		await opened({ until: clock.now() + 2 * LONGEST });
		expect(await permission()).toMatchObject({ until: clock.now() + LONGEST });
	});

	it('goes on by the newest keys where the server does not know older ones', async () => {
		const door = await opened();
		let reject: (error: Error) => void = () => undefined;
		vi.mocked(held[0]?.channel.request ?? vi.fn()).mockReturnValue(
			new Promise((_, no) => (reject = no))
		);
		const asked = open(door);
		await settle();
		await judge(door, { policy: 'newer' });
		reject(new SealedError('key-unknown'));
		expect(await (await asked)?.text()).toBe('answer');
		expect(attest).not.toHaveBeenCalled();
		expect(await permission()).toMatchObject({ policy: 'newer' });
	});

	it('shows cookies where it can, and opens where it cannot', async () => {
		showCookies.mockRejectedValue(new Error('no jar'));
		expect(decision(await opened())).toEqual({ kind: 'open', way: 'sealed' });
	});

	it('leaves no timer behind that nobody needs', async () => {
		const door = await opened();
		expect(clock.waiting()).toBe(1);
		door.wait();
		await settle();
		expect(clock.waiting()).toBe(0);
	});

	it('goes plain by what the others know already, and not by the word before', async () => {
		const door = makeDoor();
		await door.judge(plain());
		await door.judge(plain({ policy: 'newer' }));
		while (!door.carrier.isPlain()) await new Promise((resolve) => setImmediate(resolve));
		expect(database.stores.get('state')?.get('origin')).toMatchObject({
			permission: { policy: 'newer' }
		});
	});

	it('looks for no end where nothing is sealed', async () => {
		const door = makeDoor();
		await door.judge(plain());
		await settle();
		clock.advance(2 * LIFE);
		expect(decision(door)).toEqual({ kind: 'open', way: 'plain' });
		expect(attest).not.toHaveBeenCalled();
	});

	it('forgets cookies and worker too, by the person’s word', async () => {
		const door = await opened();
		const kept = () => database.stores.get('state');
		kept()?.set('jar', { policy: 'p', cookies: [] });
		await door.forget();
		expect([...(kept()?.keys() ?? [])]).toEqual([]);
		expect(release).toHaveBeenCalledTimes(1);
	});

	it('says whether a verdict still holds, under its own policy', async () => {
		const door = await opened();
		expect([door.holds('p'), door.holds('other'), door.basis]).toEqual([true, false, 'p']);
		const without = makeDoor();
		await without.judge(plain());
		expect(without.holds('p')).toBe(true);
		clock.sleep(LIFE);
		expect([door.holds('p'), without.holds('p')]).toEqual([false, false]);
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

describe('what a door tells the others', () => {
	it('is nothing while requests wait for what was kept', async () => {
		await opened();
		rung = [];
		const door = makeDoor();
		const begins = door.begin();
		await settle();
		const asked = open(door); // it has the gate tell that one waits
		await settle();
		showCookies.mockImplementation(() => {
			open(door).catch(() => undefined);
			return Promise.resolve();
		});
		controlled();
		await begins;
		expect(await (await asked)?.text()).toBe('answer');
		expect(rung).toEqual([]);
		expect(await permission()).not.toBeNull();
	});

	it('leaves them what another tab was given, where this one asks about the same', async () => {
		await opened(FAILED, [CAUSE]);
		const kept = await permission();
		const door = await begun();
		expect(decision(door).kind).toBe('ask');
		expect(await permission()).toEqual(kept);
		// Its own verdict, which has other keys, is no other news.
		await judge(door, { ...FAILED, keyset: { ...KEYSET, notAfter: 1 } });
		expect(await permission()).toEqual(kept);
		door.gate.confirm(decision(door));
		expect(decision(door).kind).toBe('open');
		await settle();
		expect(await permission()).toMatchObject({ keyset: { notAfter: 1 } });
	});

	it('asks the store again once a person has confirmed that requests go plain', async () => {
		const without = { ...FAILED, key: 'none', keyset: null } as const;
		await makeDoor([CAUSE, 'key-binding:key-none']).judge(verdict(without));
		await settle();
		const door = await begun();
		expect(await permission()).toMatchObject({ keyset: null });
		await opened(); // sealed, in another tab
		const asked = open(door);
		door.gate.confirm(decision(door));
		await expect(asked).rejects.toThrow('no-way-back');
	});

	it.each<[string, Partial<Judgement>]>([
		['another cause', { ...FAILED, causes: [CAUSE, 'td-attributes:debug'] }],
		['the same as a warning', { ...FAILED, standing: 'warned' }],
		['a key that nobody has checked', { ...FAILED, key: 'unchecked' }],
		['the same under another policy', { ...FAILED, policy: 'other' }],
		['nothing, under another policy', { standing: 'unreachable', policy: 'other' }]
	])('takes all back where this one asks about %s', async (_, news) => {
		await opened(FAILED, [CAUSE]);
		const door = await begun();
		await judge(door, news);
		expect(decision(door).kind).toBe('ask');
		expect(await permission()).toBeNull();
	});

	it('takes nothing back where this one found nothing', async () => {
		const door = makeDoor();
		await opened();
		for (const cause of ['quote-unreachable:a', 'quote-unreachable:b']) {
			await judge(door, { standing: 'unreachable', causes: [cause] });
			expect(decision(door).kind).toBe('ask');
			expect(await permission()).toMatchObject({ grounds: { standing: 'passed' } });
		}
	});

	it.each([
		['was asked', begun],
		['had decided nothing', () => Promise.resolve(makeDoor())]
	])('takes all back for a key that is refuted, in a tab that %s', async (_, make) => {
		const door = await make();
		await opened(FAILED, [CAUSE]);
		await door.judge(verdict(REFUTED));
		await settle();
		expect(await permission()).toBeNull();
		// And again for the next such verdict, whatever others were given in between.
		await opened(FAILED, [CAUSE]);
		await door.judge(verdict(REFUTED));
		await settle();
		expect(await share().known()).toEqual({ sealed: true, permission: null });
	});

	it('takes all back where the settings changed, also after a question', async () => {
		for (const causes of [[], [CAUSE]]) {
			await opened(FAILED, [CAUSE]);
			const door = await begun(causes);
			door.wait();
			await settle();
			expect(await permission()).toBeNull();
		}
	});

	it('leaves what another tab was given after the time of this one’s own', async () => {
		const door = await opened();
		clock.sleep(LIFE);
		await opened({ policy: 'newer' });
		clock.advance(10_000);
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(attest).toHaveBeenCalled();
		await settle();
		expect(await permission()).toMatchObject({ policy: 'newer' });
	});

	it('takes back what a verdict undoes whose own time is over already', async () => {
		const door = await opened();
		await judge(door, { ...FAILED, until: clock.now() });
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(await permission()).toBeNull();
	});

	it('is no permission that a refusal has overtaken', async () => {
		const door = makeDoor();
		const judged = door.judge(verdict());
		controlled();
		await judged; // it looks what is known, and nothing is kept yet
		void door.judge(verdict(REFUTED));
		await settle();
		expect(await permission()).toBeNull();
		expect(endCookies).not.toHaveBeenCalled();
	});

	it('is about what was asked, not about news that come in the same moment', async () => {
		const door = await opened(FAILED);
		let shown = (): void => undefined;
		showCookies.mockReturnValueOnce(new Promise((resolve) => (shown = resolve)));
		const asked = decision(door);
		const judged = door.judge(verdict({ ...FAILED, causes: ['td-attributes:debug'] }));
		await settle();
		door.gate.confirm(asked);
		await settle();
		expect(await permission()).toMatchObject({ grounds: { causes: [CAUSE] } });
		shown();
		await judged;
		await settle();
		expect(decision(door)).toMatchObject({ kind: 'ask', causes: ['td-attributes:debug'] });
		expect(await permission()).toBeNull();
	});
});

describe('what was kept', () => {
	it.each([
		['nothing', undefined],
		['no standing', { key: 'proved', causes: [] }],
		['no list of causes', { standing: 'passed', key: 'proved', causes: 'none' }]
	])('is not gone by where its grounds have %s', async (_, grounds) => {
		const until = clock.now() + LIFE;
		await share().allow({ keyset: KEYSET, policy: 'p', until, grounds: grounds as never });
		expect(decision(await begun())).toEqual({ kind: 'wait' });
	});

	it('is not gone by where a verdict is on its way already', async () => {
		await opened();
		const door = makeDoor();
		const begins = door.begin();
		const judged = door.judge(verdict(FAILED)); // it waits for its worker
		await settle();
		controlled();
		await Promise.all([begins, judged]);
		expect(decision(door)).toMatchObject({ kind: 'ask', causes: [CAUSE] });
	});

	it('is not gone by where its keys answer no more meanwhile', async () => {
		await opened();
		const door = makeDoor();
		const begins = door.begin();
		ring('stale');
		await settle();
		controlled();
		await begins;
		expect(decision(door)).toEqual({ kind: 'wait' });
		expect(attest).toHaveBeenCalledTimes(1);
	});
});
