import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { toUtf8 } from '../../src/base/encoding';
import { decoded } from '../../src/transport/answer-body';
import { readAnswer, writeRequestHead } from '../../src/transport/binary-http';
import { encapsulate } from '../../src/transport/chunked-ohttp';
import { createChannel } from '../../src/transport/client';
import { readKeyset } from '../../src/transport/keyset';
import { sealMessage, writeMessage } from '../../src/transport/request-body';
import { flipped } from '../support/bytes';
import { NOW } from '../support/environment';
import { must } from '../support/must';
import { inPieces, whole } from '../support/pieces';
import { NOT_AFTER, openChannel, ORIGIN, outerAnswer } from '../support/sealed-channel';
import type { InnerAnswer, InnerRequest } from '../support/sealed-server';
import { makeSealedServer, varint, writeAnswer } from '../support/sealed-server';

const GET = { method: 'GET', url: '/api/chats?page=1' };
const DATE_PROBLEM = 'https://iana.org/assignments/http-problem-types#date';
const answering = (answer: InnerAnswer) => () => answer;

/** The whole body, or the code of what went wrong. */
const outcome = async (asked: Promise<Response>): Promise<string> => {
	try {
		return `read: ${await (await asked).text()}`;
	} catch (error) {
		return (error as { code?: string }).code ?? String(error);
	}
};

describe('a request', () => {
	it.each([
		[0x20, 1],
		[0x20, 2],
		[0x10, 1],
		[0x10, 2]
	] as const)('is opened by KEM %i and AEAD %i', async (kem, aead) => {
		const { channel, server, outer } = await openChannel({ kems: [kem], aeads: [aead] });
		const answer = await channel.request({ method: 'GET', url: '/api/v1/tee/sealed' });
		expect(await answer.json()).toEqual({ v: 1, sealed: true });
		expect(outer[0]?.init).toMatchObject({
			method: 'POST',
			credentials: 'omit',
			cache: 'no-store',
			redirect: 'manual',
			referrerPolicy: 'no-referrer',
			headers: {
				'content-type': 'message/ohttp-chunked-req',
				'tee-key': must(server.keyset.seal[0]).id
			}
		});
	});

	it('says what the app says, and what the channel has to', async () => {
		const { channel, server, outer } = await openChannel();
		await channel.request({
			method: 'POST',
			url: `${ORIGIN}/api/chats?q=%C3%A4#here`,
			fields: [
				['Authorization', 'Bearer secret'],
				['Accept-Encoding', 'gzip'],
				['Host', 'elsewhere'],
				['X-Latin', 'caf\u00e9']
			],
			body: toUtf8('hello')
		});
		expect(server.seen).toEqual([
			{
				method: 'POST',
				scheme: 'https',
				authority: 'chat.example',
				path: '/api/chats?q=%C3%A4',
				fields: [
					['accept-encoding', 'tee-padded'],
					['authorization', 'Bearer secret'],
					['content-length', '5'],
					['date', new Date(NOW * 1000).toUTCString()],
					['user-agent', 'a browser'],
					['x-latin', 'caf\u00e9']
				],
				body: Buffer.from('hello')
			}
		]);
		const { url, init, bytes } = must(outer[0]);
		expect(url).toBe('/api/v1/tee/ohttp');
		const shown = JSON.stringify([init.headers, Buffer.from(bytes).toString('latin1')]);
		expect(shown).not.toMatch(/secret|hello|chats|browser/);
	});

	it('shows its length by buckets only', async () => {
		const { channel, outer } = await openChannel();
		for (const length of [0, 1, 9, 60]) {
			await channel.request({ ...GET, url: `/${'a'.repeat(length)}` });
		}
		for (const length of [20_000, 25_000, 31_000]) {
			await channel.request({ ...GET, method: 'POST', body: new Uint8Array(length) });
		}
		const lengths = outer.map(({ bytes }) => bytes.length);
		expect(new Set(lengths.slice(0, 4)).size).toBe(1);
		expect(new Set(lengths.slice(4)).size).toBe(1);
		// Header, enc, the final chunk's length and its tag.
		expect(lengths[0]).toBe(7 + 32 + 1 + 256 + 16);
	});

	it('never repeats an encapsulation', async () => {
		const { channel, outer } = await openChannel({ ahead: 3 });
		for (let count = 0; count < 8; count += 1) await channel.request(GET);
		const encs = outer.map(({ bytes }) => Buffer.from(bytes.subarray(7, 39)).toString('hex'));
		expect(new Set(encs).size).toBe(8);
	});

	it('prepares ahead, and takes what is prepared', async () => {
		let made = 0;
		const subtle = new Proxy(crypto.subtle, {
			get: (target, name) => {
				const value: unknown = Reflect.get(target, name);
				if (typeof value !== 'function') return value;
				if (name === 'generateKey') made += 1;
				return value.bind(target) as unknown;
			}
		});
		const { channel } = await openChannel({ subtle, ahead: 2 });
		expect(made).toBeLessThanOrEqual(2);
		await channel.request(GET);
		await channel.request(GET);
		expect(made).toBe(4);
	});

	it('takes P-256 where the browser has no X25519', async () => {
		const importKey = (...given: Parameters<SubtleCrypto['importKey']>) => {
			const { name } = given[2] as { name?: string };
			return name === 'X25519'
				? Promise.reject(new DOMException('', 'NotSupportedError'))
				: crypto.subtle.importKey(...given);
		};
		const subtle = new Proxy(crypto.subtle, {
			get: (target, name) => {
				if (name === 'importKey') return importKey;
				const value: unknown = Reflect.get(target, name);
				return typeof value === 'function' ? (value.bind(target) as unknown) : value;
			}
		});
		const { channel, server, outer } = await openChannel({ subtle });
		await channel.request(GET);
		expect(outer[0]?.init.headers).toMatchObject({ 'tee-key': must(server.keyset.seal[1]).id });
		const { channel: none } = await openChannel({ subtle, kems: [0x20] });
		expect(await outcome(none.request(GET))).toBe('no-key');
	});

	it.each([
		['another origin', { ...GET, url: 'https://elsewhere.example/' }],
		['a line within a value', { ...GET, fields: [['a', 'b\r\nc: d']] as [string, string][] }],
		['no name', { ...GET, fields: [['', 'b']] as [string, string][] }],
		['a name of two words', { ...GET, fields: [['a b', 'b']] as [string, string][] }],
		['a value that is no Latin-1', { ...GET, fields: [['a', '\u4e2d']] as [string, string][] }],
		['a long path', { ...GET, url: `/${'a'.repeat(65_536)}` }],
		['a long method', { ...GET, method: 'M'.repeat(33) }]
	])('is not sent: %s', async (_, request) => {
		const { channel, outer } = await openChannel();
		await expect(channel.request(request)).rejects.toThrow(TypeError);
		expect(outer).toEqual([]);
	});
});

describe('a body', () => {
	const echo = ({ body }: InnerRequest): InnerAnswer => ({ body: [body] });

	it.each([
		['bytes', toUtf8('a text \u4e2d'), 'a text \u4e2d'],
		['a view', toUtf8('a view').subarray(2), 'view'],
		['a Blob', new Blob(['blob'], { type: 'image/png' }), 'blob'],
		['no bytes', toUtf8(''), ''],
		['an empty Blob', new Blob(), '']
	])('of %s', async (_, body, expected) => {
		const { channel, server } = await openChannel({ handle: echo });
		const response = await channel.request({ method: 'PUT', url: '/', body });
		expect(await response.text()).toBe(expected);
		const fields = new Map(must(server.seen[0]).fields);
		expect(fields.get('content-length')).toBe(String(toUtf8(expected).length));
	});

	it('comes whole, of any length, in memory and as a Blob', async () => {
		const { channel } = await openChannel({ handle: echo });
		const lengths = fc.oneof(
			fc.integer({ min: 0, max: 1000 }),
			fc.integer({ min: 65_000, max: 66_000 }),
			fc.integer({ min: 130_500, max: 131_500 })
		);
		await fc.assert(
			fc.asyncProperty(lengths, fc.boolean(), fc.nat(255), async (length, isBlob, salt) => {
				const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + salt) % 256);
				const body = isBlob ? new Blob([bytes]) : bytes;
				const response = await channel.request({ method: 'POST', url: '/', body });
				expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
			}),
			{ numRuns: 30 }
		);
	});

	it('that is long is never there twice', async () => {
		const heard: number[] = [];
		const { channel, server, outer } = await openChannel({ handle: () => ({ body: ['ok'] }) });
		const size = 5_000_000;
		const body = new Blob([new Uint8Array(size).fill(3)]);
		const slices: number[] = [];
		const slice = vi.spyOn(Blob.prototype, 'slice');
		try {
			const onUpload = (done: number, total: number) => heard.push(done / total);
			await channel.request({ method: 'POST', url: '/', body, onUpload });
			slices.push(...slice.mock.calls.map(([begin = 0, end = Infinity]) => end - begin));
		} finally {
			slice.mockRestore();
		}
		expect(Math.max(...slices)).toBeLessThanOrEqual(65_536);
		expect(must(outer[0]).init.body).toBeInstanceOf(Blob);
		expect(must(server.seen[0]).body.equals(Buffer.alloc(size, 3))).toBe(true);
		expect(heard.at(-1)).toBe(1);
		expect(heard).toEqual([...heard].sort((a, b) => a - b));
	});
});

describe('an answer', () => {
	const LONG = ['One ', 'answer, ', 'in pieces.'];
	const handle = answering({
		status: 201,
		fields: [
			['content-type', 'text/plain'],
			['x-latin', 'caf\u00e9'],
			['set-cookie', 'a=1; Path=/'],
			['set-cookie', 'b=2']
		],
		body: LONG
	});

	it('is a Response', async () => {
		const { channel } = await openChannel({ handle });
		const cookies: string[] = [];
		const heard: unknown[] = [];
		const response = await channel.request({
			...GET,
			onCookies: (lines) => void cookies.push(...lines),
			onDownload: (loaded, total) => heard.push([loaded, total])
		});
		expect(response).toBeInstanceOf(Response);
		expect(response).toMatchObject({ status: 201, ok: true });
		expect([...response.headers]).toEqual([
			['content-length', '22'],
			['content-type', 'text/plain'],
			['x-latin', 'caf\u00e9']
		]);
		expect(cookies).toEqual(['a=1; Path=/', 'b=2']);
		expect(await response.text()).toBe(LONG.join(''));
		expect(heard).toEqual([
			[4, 22],
			[12, 22],
			[22, 22]
		]);
	});

	it('streams: what has come is there before the rest', async () => {
		let go: () => void = () => undefined;
		const more = new Promise<void>((resolve) => {
			go = resolve;
		});
		const proxy = (pieces: Buffer[]) => {
			const left = [...pieces];
			let given = 0;
			const body = new ReadableStream<Uint8Array>({
				async pull(controller) {
					given += 1;
					if (given > 3) await more; // nonce, head, first record
					const piece = left.shift();
					if (piece) controller.enqueue(Uint8Array.from(piece));
					else controller.close();
				}
			});
			return new Response(body, { headers: { 'content-type': 'message/ohttp-chunked-res' } });
		};
		const { channel } = await openChannel({ handle, proxy });
		const response = await channel.request(GET);
		const reader = must(response.body).getReader();
		const read = async () => Buffer.from((await reader.read()).value as Uint8Array).toString();
		expect(await read()).toBe('One ');
		go();
		expect(await read()).toBe('answer, ');
		expect(await read()).toBe('in pieces.');
		expect((await reader.read()).done).toBe(true);
	});

	it.each([1, 2, 3, 100])('may come in pieces of %i', async (size) => {
		const proxy = (pieces: Buffer[]) => outerAnswer(Buffer.concat(pieces), size);
		const { channel } = await openChannel({ handle, proxy });
		expect(await outcome(channel.request(GET))).toBe(`read: ${LONG.join('')}`);
	});

	it.each([
		['HEAD', 200],
		['GET', 204],
		['GET', 304]
	])('without a body: %s %i', async (method, status) => {
		const { channel } = await openChannel({ handle: answering({ status }) });
		const response = await channel.request({ ...GET, method });
		expect(response).toMatchObject({ status, body: null });
	});

	it('without a body and without its end is none', async () => {
		const proxy = (pieces: Buffer[]) => outerAnswer(Buffer.concat(pieces.slice(0, -1)));
		const { channel } = await openChannel({ handle: answering({ status: 204 }), proxy });
		expect(await outcome(channel.request(GET))).toBe('sealed-broken');
	});

	it('without the coding is taken as it is', async () => {
		const served = await makeSealedServer(NOT_AFTER);
		const { env } = await openChannel();
		const fetch: typeof globalThis.fetch = async (_, init = {}) => {
			const bytes = new Uint8Array(await new Response(init.body).arrayBuffer());
			const { nonce, seal } = await served.open(bytes);
			// Indeterminate length, status 200, no fields, three bytes, no trailers.
			const message = Buffer.from([3, 0x40, 200, 0, 3, 0x61, 0x62, 0x63, 0, 0]);
			return outerAnswer(Buffer.concat([nonce, await seal(message, true)]));
		};
		const keyset = await readKeyset(crypto.subtle, served.keyset);
		const channel = createChannel({ ...env, fetch }, keyset);
		expect(await outcome(channel.request(GET))).toBe('read: abc');
	});
});

describe('a hostile proxy', () => {
	const handle = answering({ fields: [['a', 'b']], body: ['first, ', 'second, ', 'third'] });
	const WHOLE = 'read: first, second, third';

	/** What comes of an answer whose pieces the proxy has changed. */
	const after = async (change: (pieces: Buffer[]) => Uint8Array): Promise<string> => {
		const { channel } = await openChannel({
			handle,
			proxy: (pieces) => outerAnswer(change(pieces))
		});
		return outcome(channel.request(GET));
	};
	/** The same for one answer, changed at each byte, under one encapsulation: without the channel. */
	const afterEach = async (change: (bytes: Buffer, at: number) => Uint8Array) => {
		const server = await makeSealedServer(NOT_AFTER, answering({ body: ['text'] }));
		const key = must((await readKeyset(crypto.subtle, server.keyset)).keys[0]);
		const encapsulation = await encapsulate(crypto.subtle, key);
		const head = writeRequestHead({
			method: 'GET',
			scheme: 'https',
			authority: 'chat.example',
			path: '/',
			fields: []
		});
		const request = await sealMessage(
			encapsulation,
			writeMessage(head, new Uint8Array()),
			() => undefined
		);
		const bytes = Buffer.concat(await server.answerPieces(request as Uint8Array));
		const found = new Set<string>();
		for (let at = 0; at < bytes.length; at += 1) {
			const opened = encapsulation.open(inPieces(change(bytes, at)));
			const read = readAnswer(opened).then((answer) => whole(decoded(answer).content));
			const code = (error: { code?: string }) => String(error.code);
			found.add(await read.then((text) => `read: ${text.toString()}`, code));
		}
		return found;
	};

	it('that changes nothing', async () => {
		expect(await after((pieces) => Buffer.concat(pieces))).toBe(WHOLE);
	});

	it('cuts it off, at each byte', async () => {
		const found = await afterEach((bytes, at) => bytes.subarray(0, at));
		expect(found).toEqual(new Set(['sealed-broken']));
		for (const share of [0, 0.3, 0.6, 0.9]) {
			const cut = (pieces: Buffer[]) => {
				const bytes = Buffer.concat(pieces);
				return bytes.subarray(0, bytes.length * share);
			};
			expect(await after(cut)).toBe('sealed-broken');
		}
	});

	it('flips a bit of each byte', async () => {
		const found = await afterEach((bytes, at) => flipped(bytes, at, 1 << (at % 8)));
		expect(found).toEqual(new Set(['sealed-broken']));
	});

	it.each<[string, (pieces: Buffer[]) => Buffer[]]>([
		['drops a chunk', ([nonce, head, , ...rest]) => [nonce, head, ...rest].map(must)],
		['drops the final chunk', (pieces) => pieces.slice(0, -1)],
		[
			'repeats a chunk',
			([nonce, head, one, ...rest]) => [nonce, head, one, one, ...rest].map(must)
		],
		['repeats the final chunk', (pieces) => [...pieces, must(pieces.at(-1))]],
		['changes the order', ([nonce, head, a, b, ...rest]) => [nonce, head, b, a, ...rest].map(must)],
		['adds a byte', (pieces) => [...pieces, Buffer.of(0)]],
		['says nothing', () => []],
		['says the nonce only', ([nonce]) => [must(nonce)]]
	])('%s', async (_, change) => {
		expect(await after((pieces) => Buffer.concat(change(pieces)))).toBe('sealed-broken');
	});

	it('gives the answer of another request, whole or in parts', async () => {
		let kept: Buffer[] = [];
		for (const splice of [
			(pieces: Buffer[]) => [...pieces.slice(0, 2), ...kept.slice(2)],
			(pieces: Buffer[]) => [must(pieces[0]), ...kept.slice(1)],
			() => kept
		]) {
			let number = 0;
			const proxy = (pieces: Buffer[]) => {
				number += 1;
				if (number === 1) kept = pieces;
				return outerAnswer(Buffer.concat(number === 1 ? pieces : splice(pieces)));
			};
			const { channel } = await openChannel({ handle, proxy });
			expect(await outcome(channel.request(GET))).toBe(WHOLE);
			expect(await outcome(channel.request(GET))).toBe('sealed-broken');
		}
	});

	it('announces a chunk that is too long, and is not listened to', async () => {
		let given = 0;
		const proxy = ([nonce]: Buffer[]) => {
			const body = new ReadableStream<Uint8Array>({
				start(controller) {
					controller.enqueue(Uint8Array.from(must(nonce)));
					controller.enqueue(Uint8Array.from(varint((1 << 20) + 1)));
				},
				pull(controller) {
					given += 1;
					controller.enqueue(new Uint8Array(1 << 16));
				}
			});
			return new Response(body, { headers: { 'content-type': 'message/ohttp-chunked-res' } });
		};
		const { channel, outer } = await openChannel({ handle, proxy });
		expect(await outcome(channel.request(GET))).toBe('sealed-broken');
		expect(given).toBeLessThan(4);
		expect(outer[0]?.init.signal?.aborted).toBe(true);
	});

	it('a server that seals a chunk of nothing', async () => {
		const { channel, server } = await openChannel({
			instead: async (_, init): Promise<Response> => {
				const bytes = new Uint8Array(await new Response(init.body).arrayBuffer());
				const { nonce, seal } = await server.open(bytes);
				const pieces = [nonce, await seal(Buffer.alloc(0), false)];
				for (const text of writeAnswer({ body: ['text'] })) pieces.push(await seal(text, false));
				return outerAnswer(Buffer.concat([...pieces, await seal(Buffer.alloc(0), true)]));
			}
		});
		expect(await outcome(channel.request(GET))).toBe('sealed-broken');
	});

	it.each(['40', '4', 'many'])('a server that says a length of %s', async (said) => {
		const { channel } = await openChannel({
			handle: () => ({ fields: [['tee-content-length', said]], body: ['text!'] })
		});
		expect(await outcome(channel.request(GET))).toBe('sealed-broken');
	});
});

describe('an outer answer', () => {
	it.each([
		[422, {}, { code: 'key-unknown', status: 422, wait: 0 }],
		[503, { 'retry-after': '5' }, { code: 'sealed-busy', status: 503, wait: 5000 }],
		[503, { 'retry-after': 'soon' }, { code: 'sealed-busy', wait: 0 }],
		[400, {}, { code: 'sealed-refused', status: 400 }],
		[404, {}, { code: 'key-unknown', status: 404 }],
		[405, {}, { code: 'key-unknown', status: 405 }],
		[302, { location: '/' }, { code: 'sealed-refused', status: 302 }],
		[200, { 'content-type': 'text/html' }, { code: 'sealed-refused', status: 200 }]
	])('of status %i is an error', async (status, headers, expected) => {
		const { channel, outer } = await openChannel({
			instead: () => new Response('<p>', { status, headers: headers as HeadersInit })
		});
		const asked = channel.request(GET);
		await expect(asked).rejects.toMatchObject(expected);
		await expect(asked).rejects.toBeInstanceOf(TypeError);
		expect(outer.length).toBe(1);
	});

	it('that does not come is one too', async () => {
		const { channel } = await openChannel({
			instead: () => Promise.reject(new TypeError('Failed to fetch'))
		});
		expect(await outcome(channel.request(GET))).toBe('no-connection');
	});

	it('of another server is key-unknown, and may be repeated under its key', async () => {
		const other = await openChannel({ handle: answering({ body: ['other'] }) });
		const { channel } = await openChannel({
			instead: (_, init) => other.server.answer({ init })
		});
		const body = new Blob(['typed']);
		const request = { method: 'POST', url: '/', body };
		expect(await outcome(channel.request(request))).toBe('key-unknown');
		expect(await outcome(other.channel.request(request))).toBe('read: other');
		expect(must(other.server.seen[0]).body.toString()).toBe('typed');
	});
});

describe('the date', () => {
	const problem = (date: number): InnerAnswer => ({
		status: 400,
		fields: [
			['content-type', 'application/problem+json'],
			['date', new Date(date).toUTCString()]
		],
		body: [JSON.stringify({ type: DATE_PROBLEM })]
	});
	const dateOf = ({ fields }: InnerRequest) => Date.parse(must(new Map(fields).get('date')));
	const SERVER = NOW * 1000 + 7_200_000;

	it('is corrected once, and stays so', async () => {
		const handle = (request: InnerRequest) =>
			dateOf(request) === SERVER ? { body: ['in time'] } : problem(SERVER);
		const { channel, server, outer } = await openChannel({ handle });
		const request = { method: 'POST', url: '/', body: toUtf8('text') };
		expect(await outcome(channel.request(request))).toBe('read: in time');
		expect(outer.length).toBe(2);
		expect(server.seen[1]?.body.toString()).toBe('text');
		expect(await outcome(channel.request(request))).toBe('read: in time');
		expect(outer.length).toBe(3);
		expect(outer[0]?.bytes.subarray(7, 39)).not.toEqual(outer[1]?.bytes.subarray(7, 39));
	});

	it('is not corrected twice', async () => {
		const { channel, outer } = await openChannel({ handle: answering(problem(SERVER)) });
		expect(await outcome(channel.request(GET))).toBe('date-refused');
		expect(outer.length).toBe(2);
	});

	it.each([
		['another problem', JSON.stringify({ type: 'about:blank', title: 'x'.repeat(9000) })],
		['no JSON', 'no'],
		['nothing', ''],
		['null', 'null']
	])('is not asked for by %s', async (_, body) => {
		const fields: [string, string][] = [['content-type', 'application/problem+json']];
		const { channel, outer } = await openChannel({
			handle: answering({ status: 400, fields, body: [body] })
		});
		const response = await channel.request(GET);
		expect(response.status).toBe(400);
		expect(await response.text()).toBe(body);
		expect(outer.length).toBe(1);
	});

	it("is not corrected by an app's answer of another kind", async () => {
		const asJson: [string, string][] = [
			['content-type', 'application/json'],
			['date', new Date(SERVER).toUTCString()]
		];
		const answer = { ...problem(SERVER), fields: asJson };
		const { channel, outer } = await openChannel({ handle: answering(answer) });
		expect((await channel.request(GET)).status).toBe(400);
		expect(outer.length).toBe(1);
	});
});

describe('an abort', () => {
	it('before the request', async () => {
		const { channel, outer } = await openChannel();
		const signal = AbortSignal.abort();
		await expect(channel.request({ ...GET, signal })).rejects.toMatchObject({ name: 'AbortError' });
		expect(outer.length).toBe(0);
	});

	it('while the body is being sealed', async () => {
		const stop = new AbortController();
		const { channel, outer } = await openChannel();
		const body = new Blob([new Uint8Array(400_000)]);
		let sealed = 0;
		const onUpload = () => {
			sealed += 1;
			stop.abort();
		};
		const asked = channel.request({
			method: 'POST',
			url: '/',
			body,
			signal: stop.signal,
			onUpload
		});
		await expect(asked).rejects.toMatchObject({ name: 'AbortError' });
		expect(sealed).toBe(1);
		expect(outer.length).toBe(0);
	});

	it('while the answer is waited for', async () => {
		const stop = new AbortController();
		let told: AbortSignal | null | undefined;
		const { channel } = await openChannel({
			instead: (_, init) =>
				new Promise((_resolve, reject) => {
					told = init.signal;
					told?.addEventListener('abort', () => {
						reject(new DOMException('', 'AbortError'));
					});
					stop.abort(new Error('enough'));
				})
		});
		const asked = channel.request({ ...GET, signal: stop.signal });
		await expect(asked).rejects.toThrow('enough');
		expect(told?.aborted).toBe(true);
	});

	/** An answer whose rest never comes. */
	const hanging = (told: (signal: AbortSignal) => void) => ({
		handle: answering({ body: ['first', 'second'] }),
		proxy: (pieces: Buffer[]) => {
			const body = new ReadableStream<Uint8Array>({
				start(controller) {
					controller.enqueue(Uint8Array.from(Buffer.concat(pieces.slice(0, 3))));
				},
				cancel() {
					told(AbortSignal.abort());
				}
			});
			return new Response(body, { headers: { 'content-type': 'message/ohttp-chunked-res' } });
		}
	});

	it('in the middle of the answer', async () => {
		const stop = new AbortController();
		const { channel, outer } = await openChannel(hanging(() => undefined));
		const response = await channel.request({ ...GET, signal: stop.signal });
		const reader = must(response.body).getReader();
		expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe('first');
		const next = reader.read();
		stop.abort();
		await expect(next).rejects.toMatchObject({ name: 'AbortError' });
		expect(outer[0]?.init.signal?.aborted).toBe(true);
	});

	it('by whoever reads it', async () => {
		const { channel, outer } = await openChannel(hanging(() => undefined));
		const response = await channel.request(GET);
		await response.body?.cancel();
		expect(outer[0]?.init.signal?.aborted).toBe(true);
	});

	it('after the end changes nothing', async () => {
		const stop = new AbortController();
		const { channel } = await openChannel({ handle: answering({ body: ['done'] }) });
		const response = await channel.request({ ...GET, signal: stop.signal });
		expect(await response.text()).toBe('done');
		stop.abort();
	});
});
