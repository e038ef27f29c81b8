import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CLAIM } from '../../src/transport/claim';
import type { Channel, SealedRequest } from '../../src/transport/client';
import { SealedError } from '../../src/transport/errors';
import type { Keyset } from '../../src/transport/keyset';
import { openJar, type Jar } from '../../src/transport/jar';
import {
	openShared,
	openStore,
	type Bell,
	type Permission,
	type Shared,
	type Word
} from '../../src/transport/shared';
import {
	newestChannel,
	PATIENCE,
	sealingWorker,
	type SealingWorker,
	type World
} from '../../src/transport/worker';
import { fakeClock, settle } from '../support/environment';
import { pretendDatabase, type PretendedDatabase } from '../support/indexed-db';

const ORIGIN = 'https://chat.example';
/** What browsers load for a page (Fetch standard, 2.2.5), but for documents. */
const DESTINATIONS: RequestDestination[] = [
	...(['', 'audio', 'embed', 'font', 'frame', 'iframe', 'image', 'manifest', 'object'] as const),
	...(['script', 'sharedworker', 'style', 'track', 'video', 'worker', 'xslt'] as const)
];
const SHELL = '<html>the app with the kit</html>';

let clock: ReturnType<typeof fakeClock>;
let database: PretendedDatabase;
let shared: Shared;
let jar: Jar;
/** What went as it is, and what went sealed. */
let plain: ReturnType<typeof vi.fn<typeof fetch>>;
let send: ReturnType<typeof vi.fn<Channel['request']>>;
/** Whose keys it went to. */
let open: ReturnType<typeof vi.fn<World['open']>>;
let claim: ReturnType<typeof vi.fn<() => Promise<void>>>;
let unregister: ReturnType<typeof vi.fn<() => Promise<boolean>>>;
let isOutside: World['isOutside'];
let worker: SealingWorker;

const start = (more: Partial<World> = {}) =>
	sealingWorker({
		origin: ORIGIN,
		fetch: plain,
		kept: () => Promise.resolve(new Response('the script')),
		shared,
		jar,
		isOutside: (method, url) => isOutside(method, url),
		open,
		clients: { claim },
		registration: { unregister },
		...more
	});

const permission = (policy = 'p'): Permission => ({
	keyset: { notAfter: policy === 'p' ? 0 : 1, keys: [] },
	until: clock.now() + 600_000,
	policy
});
const allow = (policy?: string) => shared.allow(permission(policy));

/** What is sent gets this answer, which sets these cookies. */
const answering =
	(response: Response, cookies: string[] = []): Channel['request'] =>
	async ({ onCookies }) => {
		await onCookies?.(cookies);
		return response.clone();
	};
const unknown = () => new SealedError('key-unknown', '', 422);
const changed = () => new Response('', { status: 409, headers: { 'tee-statement': 'changed' } });

beforeEach(() => {
	clock = fakeClock();
	database = pretendDatabase();
	const store = openStore(() => database.factory, clock.later);
	// The pages and this worker are one here, so whoever rings hears it.
	const calls = new Set<(word: Word) => void>();
	const bell: Bell = {
		ring: (word) => {
			for (const call of [...calls]) call(word);
		},
		hear: (call) => {
			calls.add(call);
			return () => calls.delete(call);
		}
	};
	shared = openShared(store, bell, clock);
	jar = openJar(store, 'chat.example', clock.now);
	plain = vi.fn<typeof fetch>((input) =>
		Promise.resolve(
			input === '/api/v1/tee/worker'
				? new Response('', { headers: { 'content-type': 'text/javascript' } })
				: new Response(SHELL, { headers: { 'content-type': 'text/html', etag: 'x' } })
		)
	);
	send = vi.fn(answering(new Response('sealed')));
	open = vi.fn(() => ({ request: send }));
	claim = vi.fn(() => Promise.resolve());
	unregister = vi.fn(() => Promise.resolve(true));
	isOutside = (_method, { pathname }) => /^\/(_app|api\/v1\/tee)\//.test(pathname);
	worker = start();
});

interface Kind extends RequestInit {
	navigates?: boolean;
	destination?: string;
}

/** A request of the browser's own; navigations cannot be made by scripts. */
const request = (address: string, { navigates, destination, ...init }: Kind = {}) => {
	const made = new Request(new URL(address, ORIGIN), init);
	destination ??= navigates ? 'document' : 'image';
	if (navigates) Object.defineProperty(made, 'mode', { value: 'navigate' });
	Object.defineProperty(made, 'destination', { value: destination });
	return made;
};

/** What the worker answers, or null where it leaves a request to the browser. */
const answered = (address: string, kind?: Kind): Promise<Response> | null => {
	const respondWith = vi.fn<(answer: Promise<Response>) => void>();
	worker.fetch({ request: request(address, kind), resultingClientId: 'new', respondWith });
	return respondWith.mock.calls[0]?.[0] ?? null;
};
const get = async (address: string, kind?: Kind): Promise<Response> => {
	const response = await answered(address, kind);
	if (!response) throw new Error('left to the browser');
	return response;
};
const navigate = (address: string, kind: Kind = {}) => get(address, { ...kind, navigates: true });
/** Wait as long as the worker does, in looks. */
const outlast = async (waits: Promise<unknown>) => {
	const ended = vi.fn();
	void waits.then(ended, ended);
	await settle(() => {
		if (clock.waiting() > 0) clock.advance(1000);
		return ended.mock.calls.length > 0;
	}, PATIENCE);
};
const sent = (at = 0) => {
	const asked: SealedRequest | undefined = send.mock.calls[at]?.[0];
	if (!asked) throw new Error('nothing was sent');
	const { method, url, fields, body } = asked;
	return { method, url, headers: new Headers(fields), body: body as Blob };
};
const isRefusal = ({ type, status }: Response) => type === 'error' && status === 0;

describe('what the worker leaves to the browser', () => {
	it.each([
		['https://other.example/x', undefined],
		['http://chat.example/x', undefined],
		['https://chat.example:8443/x', undefined],
		['/_app/immutable/a.js', undefined],
		['/api/v1/tee/ohttp', { method: 'POST', body: 'sealed by a page' }]
	])('is %s', (address, kind) => {
		expect(answered(address, kind)).toBeNull();
	});

	it('is nothing where it cannot tell', async () => {
		await allow();
		isOutside = () => {
			throw new Error('broken');
		};
		const respondWith = vi.fn<(answer: Promise<Response>) => void>();
		const event = { request: request('/_app/x.js'), resultingClientId: '', respondWith };
		expect(() => {
			worker.fetch(event);
		}).toThrow('broken');
		expect(await (await respondWith.mock.calls[0]?.[0])?.text()).toBe('sealed');
		expect(plain).not.toHaveBeenCalled();
	});
});

describe('what a page loads', () => {
	it('goes sealed, with what the browser would have said', async () => {
		await allow();
		await jar.take('/', ['token=abc; Path=/; SameSite=Strict', 'x=1; Path=/elsewhere'], 'p');
		const response = await get('/cache/image.png?size=2#part', {
			headers: { accept: 'image/*', range: 'bytes=0-' }
		});
		expect(await response.text()).toBe('sealed');
		expect(plain).not.toHaveBeenCalled();
		expect(open.mock.calls).toEqual([[permission().keyset]]);
		const { method, url, headers, body } = sent();
		expect([method, url, body]).toEqual(['GET', `${ORIGIN}/cache/image.png?size=2#part`, null]);
		expect(Object.fromEntries(headers)).toEqual({
			accept: 'image/*',
			range: 'bytes=0-',
			cookie: 'token=abc',
			'sec-fetch-dest': 'image'
		});
	});

	it('comes as it comes: a part of a video, and without end', async () => {
		await allow();
		let push: (text: string) => void = () => undefined;
		const body = new ReadableStream<Uint8Array>({
			start(controller) {
				push = (text) => {
					controller.enqueue(new TextEncoder().encode(text));
				};
			}
		});
		const headers = { 'content-range': 'bytes 0-1/2', 'content-type': 'video/mp4' };
		send.mockResolvedValue(new Response(body, { status: 206, headers }));
		const response = await get('/api/v1/files/1/content');
		expect([response.status, response.headers.get('content-range')]).toEqual([206, 'bytes 0-1/2']);
		const reader = response.body?.getReader();
		push('a');
		expect((await reader?.read())?.value).toEqual(new TextEncoder().encode('a'));
		push('b');
		expect((await reader?.read())?.value).toEqual(new TextEncoder().encode('b'));
	});

	it.each([
		['of keys', () => Promise.reject(unknown())],
		['of what the server states', () => Promise.resolve(changed())]
	])('brings its body, once more after a change %s', async (_what, refuse) => {
		await allow();
		const next = permission('q');
		send.mockImplementationOnce(async () => {
			void shared.permission(PATIENCE); // somebody else waits, too
			setImmediate(() => void shared.allow(next));
			return refuse();
		});
		const response = await get('/api/v1/x', { method: 'POST', body: 'words', destination: '' });
		expect(await response.text()).toBe('sealed');
		expect(open.mock.calls.map(([{ notAfter }]) => notAfter)).toEqual([0, 1]);
		for (const at of [0, 1]) {
			expect(await sent(at).body.text()).toBe('words');
			expect(sent(at).headers.get('origin')).toBe(ORIGIN);
			expect(sent(at).headers.get('content-type')).toBe('text/plain;charset=UTF-8');
		}
	});

	it.each(DESTINATIONS)('goes sealed as what it is: %j', async (destination) => {
		await allow();
		expect(await (await get('/x', { destination })).text()).toBe('sealed');
		expect(sent().headers.get('sec-fetch-dest')).toBe(destination || 'empty');
		expect(plain).not.toHaveBeenCalled();
	});

	it('says which statement it is meant for, whatever the app says', async () => {
		const headers = { 'TEE-Statement': 'other' };
		await shared.allow({ ...permission(), statement: 'hash' });
		await get('/x.png', { headers });
		expect(sent().headers.get('tee-statement')).toBe('hash');
	});

	it('is refused where nobody comes by other keys', async () => {
		await allow();
		send.mockRejectedValue(unknown());
		const waits = get('/x.png');
		await settle(() => send.mock.calls.length > 0);
		await outlast(waits);
		expect(isRefusal(await waits)).toBe(true);
		expect(plain).not.toHaveBeenCalled();
	});

	it('is not repeated for ever, nor after anything else', async () => {
		await allow();
		send.mockImplementation(async () => {
			setImmediate(() => void allow('again'));
			return Promise.reject(unknown());
		});
		expect(isRefusal(await get('/x.png'))).toBe(true);
		expect(send).toHaveBeenCalledTimes(2);

		send.mockReset().mockRejectedValue(new SealedError('sealed-broken'));
		await allow();
		expect(isRefusal(await get('/x.png'))).toBe(true);
		expect(send).toHaveBeenCalledTimes(1);
		expect(plain).not.toHaveBeenCalled();
	});

	it('waits for a permission', async () => {
		const waits = get('/x.png');
		await settle(() => clock.waiting() === 1);
		expect(send).not.toHaveBeenCalled();
		await allow();
		expect(await (await waits).text()).toBe('sealed');
	});

	it('is refused without one, and where the browser keeps nothing', async () => {
		const waits = get('/x.png');
		await outlast(waits);
		expect(isRefusal(await waits)).toBe(true);
		database.faults.push('lost', 'lost');
		expect(isRefusal(await get('/x.png'))).toBe(true);
		expect([plain.mock.calls, send.mock.calls]).toEqual([[], []]);
	});

	it('goes as it is only where nothing was ever sealed', async () => {
		await shared.allow({ ...permission(), keyset: null });
		await get('/x.png');
		await navigate('/c/1');
		expect(plain.mock.calls.map(([input]) => (input as Request).url)).toEqual([
			`${ORIGIN}/x.png`,
			`${ORIGIN}/c/1`
		]);
		await allow();
		expect(await shared.allow({ ...permission(), keyset: null })).toBe(false);
		plain.mockClear();
		await get('/x.png');
		expect(plain).not.toHaveBeenCalled();
	});

	it('leaves its cookies in the jar before it is there', async () => {
		await allow();
		send.mockImplementation(answering(new Response('x'), ['a=1; Path=/; HttpOnly']));
		await get('/api/v1/auths/');
		expect(await jar.header('/', 'p')).toBe('a=1');
		await get('/api/v1/auths/signout');
		expect(await jar.header('/', 'p')).toBe('');
	});

	it('that fails to keep its cookies fails', async () => {
		await allow();
		send.mockImplementation((...asked) => {
			database.faults.push('lost', 'lost');
			return answering(new Response('x'), ['a=1'])(...asked);
		});
		expect(isRefusal(await get('/api/v1/auths/'))).toBe(true);
	});
});

describe('where an answer leads', () => {
	const led = async (location: string, status = 302, from = '/api/v1/users/1/image') => {
		await allow();
		const headers = { location };
		send.mockResolvedValue(new Response(null, { status, headers }));
		return get(from);
	};

	it.each([
		['/user.png', `${ORIGIN}/user.png`],
		['../2/image', `${ORIGIN}/api/v1/users/2/image`],
		['https://other.example/x', 'https://other.example/x'],
		['/auth#token=abc', `${ORIGIN}/auth#token=abc`],
		['http://chat.example/slash/', `${ORIGIN}/slash/`],
		['', `${ORIGIN}/api/v1/users/1/image`]
	])('%s is where the browser goes on: %s', async (location, to) => {
		for (const status of [301, 302, 303, 307, 308]) {
			const response = await led(location, status);
			expect([response.status, response.headers.get('location')]).toEqual([status, to]);
		}
	});

	it.each(['javascript:alert(1)', 'data:text/html,x', 'file:///etc/passwd', 'https://'])(
		'%s is nowhere',
		async (location) => {
			expect(isRefusal(await led(location))).toBe(true);
		}
	);

	it('is not told by an answer that is none of these', async () => {
		expect((await led('/x', 304)).status).toBe(304);
		send.mockResolvedValue(new Response(null, { status: 302 }));
		expect((await get('/x')).status).toBe(302);
	});
});

describe('a document', () => {
	it('comes sealed, with path and query inside', async () => {
		await allow();
		await jar.take('/', ['lax=1; Path=/', 'strict=1; Path=/; SameSite=Strict'], 'p');
		expect(await (await navigate('/?q=secret')).text()).toBe('sealed');
		expect(sent().url).toBe(`${ORIGIN}/?q=secret`);
		expect(sent().headers.get('cookie')).toBe('lax=1');
		expect(sent().headers.get('sec-fetch-dest')).toBe('document');
		expect(plain).not.toHaveBeenCalled();
	});

	it('of a form, which may stand elsewhere, brings no cookies of this site', async () => {
		await allow();
		await jar.take('/', ['lax=1; Path=/', 'none=1; Path=/; SameSite=None'], 'p');
		await navigate('/form', { method: 'POST', body: 'a=b' });
		expect(sent().headers.get('cookie')).toBe('none=1');
		expect(sent().headers.get('origin')).toBe('null');
		expect(await sent().body.text()).toBe('a=b');
	});

	it('in a frame of the page is one of its own', async () => {
		await allow();
		await jar.take('/', ['strict=1; Path=/; SameSite=Strict'], 'p');
		await navigate('/api/v1/files/1/content', { destination: 'iframe' });
		expect(sent().headers.get('cookie')).toBe('strict=1');
	});

	it('before any permission is the app’s page, asked for without anything of the person’s', async () => {
		const response = await navigate('/c/secret?q=words');
		expect(await response.text()).toBe(SHELL);
		expect(Object.fromEntries(response.headers)).toMatchObject({ etag: 'x' });
		const bare = {
			headers: { accept: 'text/html' },
			credentials: 'omit',
			referrerPolicy: 'no-referrer',
			cache: 'no-store',
			redirect: 'manual'
		};
		expect(plain.mock.calls).toEqual([
			['/', bare],
			['/api/v1/tee/worker', bare]
		]);
		expect(send).not.toHaveBeenCalled();
	});

	it('is that too when the keys have changed, and when the browser keeps nothing', async () => {
		await allow();
		send.mockRejectedValue(unknown());
		expect(await (await navigate('/c/secret')).text()).toBe(SHELL);
		expect((await shared.known()).permission).toBeNull();
		database.faults.push('lost', 'lost');
		expect(await (await navigate('/c/secret')).text()).toBe(SHELL);
		expect(JSON.stringify(plain.mock.calls)).not.toContain('secret');
	});

	it('that failed otherwise is told as such', async () => {
		await allow();
		send.mockRejectedValue(new SealedError('sealed-broken'));
		expect(isRefusal(await navigate('/'))).toBe(true);
		expect(plain).not.toHaveBeenCalled();
	});

	it('of a form is not replaced', async () => {
		const waits = navigate('/form', { method: 'POST', body: 'words' });
		await outlast(waits);
		expect(isRefusal(await waits)).toBe(true);
		expect(plain).not.toHaveBeenCalled();
	});
});

describe('an app that has lost the kit', () => {
	beforeEach(() => {
		const headers = { 'content-type': 'text/html' };
		plain.mockImplementation(() =>
			Promise.resolve(new Response('<html>the app</html>', { headers }))
		);
	});

	it('gets nothing where this browser knew it sealed, until the person says so', async () => {
		await allow();
		await shared.withdraw();
		const response = await navigate('/c/secret');
		const html = await response.text();
		expect(response.status).toBe(503);
		expect(html).toContain('<script>the script</script>');
		expect(html).not.toContain('the app');
		const policy = response.headers.get('content-security-policy') ?? '';
		expect(policy).toContain("default-src 'unsafe-inline'"); // and nothing by address
		expect(policy).toContain("frame-ancestors 'none'");
		expect([unregister.mock.calls, plain.mock.calls.length]).toEqual([[], 2]);
	});

	it('gets the same where the browser cannot tell', async () => {
		await shared.known();
		database.faults.push('lost', 'lost', 'lost', 'lost');
		expect((await navigate('/')).status).toBe(503);
		expect(unregister).not.toHaveBeenCalled();
	});

	it('is left alone where nothing was ever sealed', async () => {
		expect(await (await navigate('/c/1')).text()).toBe('<html>the app</html>');
		expect(unregister).toHaveBeenCalledTimes(1);
		expect((plain.mock.calls[2]?.[0] as Request).url).toBe(`${ORIGIN}/c/1`);
	});

	it('is told by the address of the worker, too', async () => {
		await allow();
		await shared.withdraw();
		plain.mockImplementation(() => Promise.resolve(new Response('', { status: 404 })));
		expect((await navigate('/')).status).toBe(503);
	});

	it('is not one that is in trouble', async () => {
		await allow();
		await shared.withdraw();
		plain.mockImplementation(() => Promise.resolve(new Response('down', { status: 502 })));
		expect((await navigate('/')).status).toBe(502);
		plain.mockRejectedValue(new TypeError('Failed to fetch'));
		expect(isRefusal(await navigate('/'))).toBe(true);
		expect(unregister).not.toHaveBeenCalled();
	});
});

describe('the channel', () => {
	it('is one for each keyset', () => {
		const open = vi.fn((keyset: Keyset) => ({ keyset }) as unknown as Channel);
		const channelTo = newestChannel(open);
		const first = channelTo({ notAfter: 1, keys: [] });
		expect(channelTo({ notAfter: 1, keys: [] })).toBe(first);
		expect(channelTo({ notAfter: 2, keys: [] })).not.toBe(first);
		expect(open).toHaveBeenCalledTimes(2);
	});
});

describe('a page that wants control', () => {
	const ask = async (data: unknown, id: string | null = 'new') => {
		const postMessage = vi.fn<(told: unknown) => void>();
		const work: Promise<unknown>[] = [];
		worker.message({
			data,
			source: id === null ? null : { id },
			ports: [{ postMessage }],
			waitUntil: (one) => work.push(one)
		});
		await Promise.all(work);
		return postMessage.mock.calls[0]?.[0];
	};

	it('gets it, and hears whether it stands in for another', async () => {
		expect(await ask(CLAIM)).toEqual({ standIn: false });
		await navigate('/c/1');
		expect(await ask(CLAIM)).toEqual({ standIn: true });
		expect(await ask(CLAIM, 'other')).toEqual({ standIn: false });
		expect(await ask(CLAIM, null)).toEqual({ standIn: false });
		expect(claim).toHaveBeenCalledTimes(4);
	});

	it('says so in these words', async () => {
		for (const data of [null, {}, 'claim', [CLAIM]]) expect(await ask(data)).toBeUndefined();
		expect(claim).not.toHaveBeenCalled();
	});
});
