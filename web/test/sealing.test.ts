import { JSDOM } from 'jsdom';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { REFUSALS } from '../src/i18n/refusals';
import type { Door, Judgement } from '../src/transport/door';
import { PATIENCE } from '../src/transport/gate';
import { readKeyset, type Keyset } from '../src/transport/keyset';
import { STORE_PATIENCE } from '../src/transport/shared';
import { CANARY, ORIGIN } from './support/carrier';
import { fakeStorage, NOW } from './support/environment';
import { pretendDatabase } from './support/indexed-db';
import { makeSealedServer, type InnerAnswer, type SealedServer } from './support/sealed-server';

/** As the page's own script works it out: this folder lies beside that of the sources. */
const API = new URL('../..', import.meta.url).href.replace(/\/$/, '');
const COOKIES = `${API}/tee/cookies`;
const CONFIRMED = 'tee.confirmed';
const CAUSE = 'appraisal:appraisal';

/** A page with the cryptography of Node, as its holder has it. */
const { window } = new JSDOM('', { url: `${ORIGIN}/c/1` });
const { document, navigator } = window;
const stubPage = () => {
	for (const name of ['document', 'Document', 'location', 'navigator'] as const) {
		vi.stubGlobal(name, window[name]);
	}
};
stubPage();
const { open } = await import('../src/sealing');

type Fetch = typeof globalThis.fetch;

let server: SealedServer;
let keyset: Keyset;
let inner: InnerAnswer;
let database: ReturnType<typeof pretendDatabase>;
/** What comes of the call that ends the browser's cookies. */
let ending: () => Promise<Response>;
let asked: { url: string; init: RequestInit }[];
let bells: { name: string; onmessage?: (event: { data: unknown }) => void }[];
let storages: Record<'sessionStorage' | 'localStorage', ReturnType<typeof fakeStorage>>;
const failed = vi.fn();
/** The browser’s own, which goes plain. */
const Socket = vi.fn();

/** No mock of vitest's, which would hear of rejections that nobody else hears of. */
const fetch: Fetch = async (input, init = {}) => {
	const url = input instanceof Request ? input.url : String(input);
	asked.push({ url, init });
	if (url === COOKIES) return ending();
	return server.answer({ init });
};

class Bell {
	onmessage?: (event: { data: unknown }) => void;
	constructor(readonly name: string) {
		bells.push(this);
	}
	postMessage = vi.fn();
}

/** A page of this browser. */
const openDoor = (): Door =>
	open({ fetch, WebSocket: Socket as unknown as typeof WebSocket, failed });
const verdict = (news: Partial<Judgement> = {}): Judgement => ({
	enforcement: 'warn',
	standing: 'passed',
	key: 'proved',
	causes: [],
	keyset,
	policy: 'p',
	until: NOW * 1000 + 60_000,
	...news
});
const plain = () => verdict({ enforcement: 'off', standing: 'off', key: 'none', keyset: null });
const send = async (door: Door): Promise<Response> => {
	const line = await door.carrier.open();
	if (!line) throw new Error('it would go plain');
	const body = new TextEncoder().encode(CANARY);
	return line.send({ method: 'POST', url: `${ORIGIN}/api/chat`, body, cookies: true });
};
const kind = (door: Door) => door.gate.view.decision.kind;
/** Let what waits for no clock go on. */
const until = async (done: () => boolean): Promise<void> => {
	for (let turn = 0; turn < 5000 && !done(); turn += 1) {
		await new Promise((resolve) => setImmediate(resolve));
	}
	expect(done()).toBe(true);
};
/** The time goes by, for what waits by the clock. */
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const requests = () => asked.map(({ url }) => url);

beforeEach(async () => {
	vi.useFakeTimers({ now: NOW * 1000, toFake: ['setTimeout', 'clearTimeout', 'Date'] });
	inner = { body: ['answer'] };
	server = await makeSealedServer((NOW + 3600) * 1000, () => inner);
	keyset = await readKeyset(crypto.subtle, server.keyset);
	database = pretendDatabase();
	ending = () => Promise.resolve(new Response(null, { status: 204 }));
	asked = [];
	bells = [];
	Socket.mockReset();
	failed.mockReset();
	storages = { sessionStorage: fakeStorage(), localStorage: fakeStorage() };
	for (const [name, storage] of Object.entries(storages)) vi.stubGlobal(name, storage);
	stubPage();
	vi.stubGlobal('indexedDB', database.factory);
	vi.stubGlobal('BroadcastChannel', Bell);
	document.documentElement.lang = '';
	document.cookie = 'native=1';
});
afterEach(async () => {
	// What nobody waited for comes to its end in this test.
	for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
	Reflect.deleteProperty(document, 'cookie');
	Reflect.deleteProperty(navigator, 'serviceWorker');
	vi.unstubAllGlobals();
	vi.useRealTimers();
});

describe('a page', () => {
	it('asks for nothing before it has a verdict, and refuses in time', async () => {
		const door = openDoor();
		const waits = send(door);
		const ended = vi.fn();
		waits.catch(ended);
		await pass(PATIENCE.wait - 1);
		expect(ended).not.toHaveBeenCalled();
		await pass(1);
		await expect(waits).rejects.toThrow(REFUSALS.en.undecided);
		expect(asked).toEqual([]);
	});

	it('has what is asked go to the holder of the keys, and nowhere plain', async () => {
		const door = openDoor();
		const waits = send(door);
		await door.judge(verdict());
		expect(await (await waits).text()).toBe('answer');
		expect(requests().filter((url) => url !== COOKIES)).toEqual([`${API}/tee/ohttp`]);
		expect(Socket).not.toHaveBeenCalled();
		expect(vi.getTimerCount()).toBe(1); // the verdict's end is looked for, and nothing else
		for (const { init } of asked) {
			expect(await new Response(init.body).text()).not.toContain(CANARY);
			expect(JSON.stringify(init.headers ?? {})).not.toContain(CANARY);
		}
		const [{ method, authority, path, fields, body } = { fields: [] }] = server.seen;
		expect([method, authority, path]).toEqual(['POST', 'chat.example', '/api/chat']);
		expect(String(body)).toBe(CANARY);
		const said = new Map(fields);
		expect(said.get('user-agent')).toBe(navigator.userAgent);
		expect(said.get('accept-language')).toBe(navigator.languages.join(', '));
		expect(said.get('date')).toBe(new Date(NOW * 1000).toUTCString());
	});

	it('goes plain where the verdict says so, and as the browser does', async () => {
		const door = openDoor();
		await door.judge(plain());
		expect(await door.carrier.open()).toBeNull();
		expect(door.carrier.isPlain()).toBe(true);
		expect(document.cookie).toContain('native=1');
		expect(asked).toEqual([]);
	});

	it('goes plain no more where an earlier page was sealed, until the person forgets it', async () => {
		await openDoor().judge(verdict());
		const later = openDoor();
		await later.judge(plain());
		await expect(send(later)).rejects.toThrow(REFUSALS.en['no-way-back']);
		expect(later.carrier.isPlain()).toBe(false);
		expect(requests().filter((url) => url !== COOKIES)).toEqual([]);
		await later.forget();
		const last = openDoor();
		await last.judge(plain());
		expect(await last.carrier.open()).toBeNull();
	});

	it('keeps sealed cookies where documents show them, and the browser has none of them', async () => {
		const before = new Date(NOW * 1000 - 1).toUTCString();
		inner = {
			fields: [
				['set-cookie', 'sealed=2; Path=/'],
				['set-cookie', `ended=3; Path=/; Expires=${before}`]
			],
			body: ['answer']
		};
		const door = openDoor();
		await door.judge(verdict());
		expect(document.cookie).toBe('');
		await send(door);
		expect(document.cookie).toBe('sealed=2');
		await send(door);
		expect(new Map(server.seen[1]?.fields).get('cookie')).toBe('sealed=2');
		document.cookie = 'mine=4; Path=/; Domain=chat.example';
		document.cookie = 'other=5; Path=/; Domain=elsewhere.example';
		expect(document.cookie).toBe('sealed=2; mine=4');
		Reflect.deleteProperty(document, 'cookie');
		expect(document.cookie).toContain('native=1');
		expect(document.cookie).not.toMatch(/sealed|mine/);
	});

	it('brings what it does not need at its start', async () => {
		const { download, post, readEvents } = await openDoor().carrier.more();
		expect([typeof download, typeof post, typeof readEvents]).toEqual(Array(3).fill('function'));
	});

	it('hears from others that the keys answer no more', async () => {
		const door = openDoor();
		const attest = vi.fn();
		door.attest = attest;
		await door.judge(verdict());
		expect(bells.map(({ name }) => name)).toEqual(['tee-sealed']);
		bells[0]?.onmessage?.({ data: 'stale' });
		expect([kind(door), attest.mock.calls.length]).toEqual(['wait', 1]);
	});

	/** Have workers, of which this one controls the page. */
	const haveWorkers = (controller: Pick<ServiceWorker, 'scriptURL' | 'postMessage'> | null) => {
		const register = vi.fn(() => Promise.reject(new Error('refused')));
		const container = Object.assign(new EventTarget(), {
			controller,
			register,
			getRegistration: () => Promise.resolve(undefined),
			getRegistrations: () => Promise.resolve([])
		});
		Object.defineProperty(navigator, 'serviceWorker', { value: container, configurable: true });
		return register;
	};

	it('is loaded anew where the worker has it stand in for another', async () => {
		const reload = vi.fn();
		vi.stubGlobal('location', { pathname: '/', reload });
		haveWorkers({
			scriptURL: `${API}/tee/worker`,
			postMessage: (_: unknown, ports: unknown) => {
				(ports as MessagePort[])[0]?.postMessage({ standIn: true });
			}
		});
		const door = openDoor();
		await door.judge(verdict());
		const answered = vi.fn();
		send(door).then(answered, answered);
		await vi.waitFor(() => {
			expect(reload).toHaveBeenCalledTimes(1);
		});
		expect(answered).not.toHaveBeenCalled();
	});

	it('has a worker of the kit’s, if the browser has any', async () => {
		const register = haveWorkers(null);
		const door = openDoor();
		await door.judge(verdict());
		expect(register).toHaveBeenCalledWith(`${API}/tee/worker`, expect.anything());
		expect(kind(door)).toBe('open'); // the app refuses what passes by the seal
	});
});

describe('the browser’s own cookies', () => {
	const ended = () => asked.filter(({ url }) => url === COOKIES);

	it('are ended at the first sealed connection, by a request that says nothing', async () => {
		const door = openDoor();
		await door.judge(verdict());
		await send(door);
		await openDoor().judge(verdict());
		await until(() => ended().length > 0);
		expect(ended()).toEqual([
			{
				url: COOKIES,
				init: {
					method: 'POST',
					credentials: 'same-origin',
					referrerPolicy: 'no-referrer',
					keepalive: true
				}
			}
		]);
	});

	it.each<[string, () => Promise<Response>]>([
		['says that it is not signed in', () => Promise.resolve(new Response('', { status: 401 }))],
		['has no such route', () => Promise.resolve(new Response('', { status: 404 }))],
		['breaks', () => Promise.resolve(new Response('<h1>500</h1>', { status: 500 }))],
		['says anything', () => Promise.resolve(Response.json({ sealed: false, keyset: null }))],
		['cannot be reached', () => Promise.reject(new TypeError('Failed to fetch'))],
		['never answers', () => new Promise(() => undefined)]
	])('are nothing that anybody waits for: where the server %s', async (_, answer) => {
		ending = vi.fn(answer);
		const door = openDoor();
		await door.judge(verdict());
		expect(await (await send(door)).text()).toBe('answer');
		expect(ending).toHaveBeenCalledTimes(1);
		expect(failed).not.toHaveBeenCalled();
		expect(kind(door)).toBe('open');
	});
});

describe('what a person confirms', () => {
	const ask = async (standing: 'failed' | 'warned'): Promise<Door> => {
		const door = openDoor();
		await door.judge(verdict({ standing, causes: [CAUSE] }));
		return door;
	};
	const confirm = (door: Door) => {
		door.gate.confirm(door.gate.view.decision);
	};

	it.each([
		['failed', 'sessionStorage', 'localStorage'],
		['warned', 'localStorage', 'sessionStorage']
	] as const)('holds where it %s for as long as %s keeps it', async (standing, own, other) => {
		const door = await ask(standing);
		expect(kind(door)).toBe('ask');
		confirm(door);
		expect(kind(door)).toBe('open');
		expect(storages[own].getItem(CONFIRMED)).toBe(JSON.stringify([CAUSE]));
		expect(storages[other].items.size).toBe(0);
		expect(kind(await ask(standing))).toBe('open');
		storages[own].items.clear();
		expect(kind(await ask(standing))).toBe('ask');
	});

	it.each([
		['no JSON', '['],
		['nothing', ''],
		['null', 'null'],
		['a text that has it', JSON.stringify(CAUSE)],
		['an object that has it', JSON.stringify({ 0: CAUSE, length: 1 })],
		['other types', JSON.stringify([null, 1, {}, [], true])],
		['a longer name', JSON.stringify([`${CAUSE}<img src=x onerror=alert(1)>`])],
		['lists in lists', `[${'['.repeat(50_000)}${']'.repeat(50_000)}]`],
		['a great many', JSON.stringify(Array.from({ length: 5000 }, (_, at) => `a:${at}`))]
	])('is not %s, which leaves the question as it is', async (_, text) => {
		for (const storage of Object.values(storages)) storage.setItem(CONFIRMED, text);
		for (const standing of ['failed', 'warned'] as const) {
			const door = await ask(standing);
			expect(kind(door)).toBe('ask');
			confirm(door);
			expect(kind(door)).toBe('open');
		}
	});

	it.each([
		['is forbidden, even its name', 'name'],
		['is full', 'write']
	])('holds for this page where storage %s', async (_, what) => {
		const forbid = (): never => {
			throw new DOMException('', 'SecurityError');
		};
		for (const name of ['sessionStorage', 'localStorage'] as const) {
			const full = { ...storages[name], setItem: forbid };
			Object.defineProperty(globalThis, name, {
				get: what === 'name' ? forbid : () => full,
				configurable: true
			});
		}
		const door = await ask('failed');
		expect(kind(door)).toBe('ask');
		confirm(door);
		expect(kind(door)).toBe('open');
		expect(kind(await ask('failed'))).toBe('ask');
	});

	it('is refused in English where nobody has translated that', async () => {
		document.documentElement.lang = 'xx-<b>';
		const door = openDoor();
		const waits = send(door);
		await door.judge(verdict({ key: 'refuted', keyset: null }));
		await expect(waits).rejects.toThrow(REFUSALS.en['key-refuted']);
		expect(asked).toEqual([]);
	});
});

describe('a browser that keeps nothing', () => {
	it('is told of, and has its cookies in memory', async () => {
		vi.stubGlobal('indexedDB', {
			open: () => {
				throw new DOMException('', 'SecurityError');
			}
		});
		inner = { fields: [['set-cookie', 'sealed=2; Path=/']], body: ['answer'] };
		const door = openDoor();
		await until(() => failed.mock.calls.length > 0);
		await door.judge(verdict());
		await send(door);
		await until(() => document.cookie === 'sealed=2');
		expect(kind(door)).toBe('open');
	});

	it('is not waited for without end', async () => {
		vi.stubGlobal('indexedDB', { open: () => ({}) });
		const door = openDoor();
		await pass(STORE_PATIENCE - 1);
		expect(failed).not.toHaveBeenCalled();
		await pass(1);
		expect(failed).toHaveBeenCalledTimes(1);
		const judged = vi.fn();
		void door.judge(verdict()).then(judged);
		await pass(2 * STORE_PATIENCE);
		expect(judged).toHaveBeenCalled();
		const answered = vi.fn();
		send(door).then(answered, answered);
		await pass(6 * STORE_PATIENCE);
		expect(answered).toHaveBeenCalled();
		expect(requests().every((url) => url.startsWith(`${API}/tee/`))).toBe(true);
	});
});

/** The channel of one page can be read by nobody who has another’s keys. */
it('seals to the keys of the verdict, and to no others', async () => {
	const other = await makeSealedServer((NOW + 3600) * 1000);
	const door = openDoor();
	await door.judge(verdict());
	await send(door);
	const body = asked.find(({ url }) => url.endsWith('/tee/ohttp'))?.init.body;
	const bytes = new Uint8Array(await new Response(body).arrayBuffer());
	await expect(other.open(bytes)).rejects.toThrow();
});
