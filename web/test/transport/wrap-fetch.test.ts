import { beforeEach, describe, expect, it } from 'vitest';
import type { Page } from '../../src/transport/stand-in';
import { wrapFetch } from '../../src/transport/wrap-fetch';
import { CANARY, makeCarrier, makePage, ORIGIN, settle, type Sent } from '../support/carrier';

let page: Page;
let plain: unknown[][];
let requests: Request[];
let kit: ReturnType<typeof makeCarrier>;
let answer: (sent: Sent) => Response | Promise<Response>;

beforeEach(() => {
	({ page, plain, requests } = makePage());
	answer = () => new Response('sealed');
	kit = makeCarrier((sent) => answer(sent));
	kit.carrier.fetch = page.fetch.bind(page);
	wrapFetch(page, kit.carrier);
});

const redirect = (status: number, location: string) =>
	new Response(null, { status, headers: { location } });

describe('fetch', () => {
	it('waits at the gate, and nothing of it leaves before', async () => {
		const asked = page.fetch('/api/chat/completions', { method: 'POST', body: CANARY });
		await settle();
		expect([plain, kit.sent]).toEqual([[], []]);
		kit.decide('sealed');
		expect(await (await asked).text()).toBe('sealed');
		expect(plain).toEqual([]);
		expect(kit.sent).toMatchObject([
			{ method: 'POST', url: `${ORIGIN}/api/chat/completions`, body: CANARY, cookies: true }
		]);
		expect(kit.sent[0]?.headers).toMatchObject({
			accept: '*/*',
			origin: ORIGIN,
			'content-type': 'text/plain;charset=UTF-8'
		});
	});

	it('rejects with the refusal, and nothing leaves', async () => {
		kit.decide(new TypeError('refused'));
		await expect(page.fetch('/x', { method: 'POST', body: CANARY })).rejects.toThrow('refused');
		expect([plain, kit.sent]).toEqual([[], []]);
	});

	it('is as before where the gate says so', async () => {
		kit.decide('plain');
		const response = await page.fetch('/x?y', { method: 'PUT', body: CANARY });
		expect(await response.text()).toBe('plain');
		expect(plain).toEqual([['fetch', 'PUT', `${ORIGIN}/x?y`, 'same-origin', CANARY]]);
	});

	it.each([
		['a text', () => 'ä', 'text/plain;charset=UTF-8'],
		['fields', () => new URLSearchParams({ a: 'ä' }), /^application\/x-www-form-urlencoded/],
		['bytes', () => new TextEncoder().encode('ä'), undefined],
		['a buffer', () => new TextEncoder().encode('ä').buffer, undefined],
		['a Blob', () => new Blob(['ä'], { type: 'text/x-Y' }), 'text/x-y'],
		['a stream', () => new Blob(['ä']).stream(), undefined]
	])('takes %s as a body', async (_what, body, type) => {
		kit.decide('sealed');
		await page.fetch('/x', { method: 'POST', body: body(), duplex: 'half' } as RequestInit);
		expect(kit.sent[0]?.body).toBe(_what === 'fields' ? 'a=%C3%A4' : 'ä');
		const said = kit.sent[0]?.headers['content-type'];
		if (type instanceof RegExp) expect(said).toMatch(type);
		else expect(said).toBe(type);
	});

	it('takes a body as it was at the call', async () => {
		const body = new TextEncoder().encode('before');
		const asked = page.fetch('/x', { method: 'POST', body });
		body.fill(0);
		kit.decide('sealed');
		await asked;
		expect(kit.sent[0]?.body).toBe('before');
	});

	it('takes a form with files, under its own boundary', async () => {
		kit.decide('sealed');
		const form = new FormData();
		form.set('file', new File([CANARY], 'a.txt'));
		await page.fetch('/api/v1/files/', { method: 'POST', body: form });
		const { headers = {}, body } = kit.sent[0] ?? {};
		const [, boundary = 'none'] =
			/^multipart\/form-data; ?boundary=(.+)$/.exec(headers['content-type'] ?? '') ?? [];
		expect(body).toContain(boundary);
		expect(body).toContain(CANARY);
	});

	it('takes a Request, whose body is used up then', async () => {
		kit.decide('sealed');
		const request = new Request(`${ORIGIN}/x#y`, {
			method: 'PATCH',
			body: 'a',
			headers: { b: 'c' }
		});
		await page.fetch(request);
		expect(kit.sent).toMatchObject([{ method: 'PATCH', url: `${ORIGIN}/x`, headers: { b: 'c' } }]);
		await expect(page.fetch(request)).rejects.toThrow(TypeError);
	});

	it('asks once what it is given as an address', async () => {
		kit.decide('sealed');
		let times = 0;
		const address = { toString: () => (times++ ? 'https://elsewhere.example/' : '/x') };
		await page.fetch(address as unknown as string, { method: 'POST', body: CANARY });
		expect([plain, kit.sent.length]).toEqual([[], 1]);
	});

	it.each(['https://elsewhere.example/x', 'http://chat.example/x', 'https://chat.example:444/x'])(
		'leaves another origin as it is (%s)',
		async (address) => {
			await page.fetch(address, { credentials: 'include' });
			expect(plain).toEqual([['fetch', 'GET', address, 'include', '']]);
		}
	);

	it('leaves what the page has made, and what is no address, as it is', async () => {
		kit.decide('sealed');
		await page.fetch('data:text/plain,x');
		await page.fetch(`blob:${ORIGIN}/1`).catch(() => undefined);
		await expect(page.fetch('https://%')).rejects.toThrow(TypeError);
		expect(plain.map(([, , address]) => address)).toEqual([
			'data:text/plain,x',
			`blob:${ORIGIN}/1`
		]);
		expect(kit.sent).toEqual([]);
	});

	it('asks for what is outside plain, without cookies and without waiting', async () => {
		await page.fetch('/_app/version.json', { credentials: 'include' });
		await page.fetch('/api/v1/tee/report', { method: 'POST', body: '{}' });
		expect(plain).toEqual([
			['fetch', 'GET', `${ORIGIN}/_app/version.json`, 'omit', ''],
			['fetch', 'POST', `${ORIGIN}/api/v1/tee/report`, 'omit', '{}']
		]);
		expect(kit.sent).toEqual([]);
	});

	it('sends no cookies where none are wanted', async () => {
		kit.decide('sealed');
		await page.fetch('/x', { credentials: 'omit' });
		expect(kit.sent).toMatchObject([{ cookies: false }]);
	});

	it('streams', async () => {
		kit.decide('sealed');
		let push: ReadableStreamDefaultController<Uint8Array> | undefined;
		answer = () =>
			new Response(
				new ReadableStream<Uint8Array>({ start: (controller) => void (push = controller) })
			);
		const reader = (await page.fetch('/x')).body?.getReader();
		push?.enqueue(new TextEncoder().encode('data: a\n\n'));
		expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: a\n\n');
	});

	it('ends with its signal: before, at the gate and on the way', async () => {
		const early = AbortSignal.abort(new DOMException('early', 'AbortError'));
		await expect(page.fetch('/x', { signal: early })).rejects.toThrow('early');
		const life = new AbortController();
		const waiting = page.fetch('/x', { signal: life.signal, method: 'POST', body: CANARY });
		life.abort(new DOMException('stopped', 'AbortError'));
		await expect(waiting).rejects.toThrow('stopped');
		kit.decide('sealed');
		await settle();
		expect(kit.sent).toEqual([]);
		const later = new AbortController();
		answer = ({ request: { signal } }) =>
			new Promise((_resolve, reject) => {
				signal?.addEventListener('abort', () => {
					reject(signal.reason as Error);
				});
			});
		const running = page.fetch('/x', { signal: later.signal });
		await settle();
		later.abort(new DOMException('stopped', 'AbortError'));
		await expect(running).rejects.toThrow('stopped');
		expect(plain).toEqual([]);
	});

	it('says where an answer is from, also in a clone', async () => {
		kit.decide('sealed');
		const response = await page.fetch('/x?y#z');
		for (const one of [response, response.clone(), response.clone().clone()]) {
			expect([one.url, one.redirected, one.type]).toEqual([`${ORIGIN}/x?y`, false, 'basic']);
		}
	});
});

describe('a redirect', () => {
	beforeEach(() => {
		kit.decide('sealed');
	});
	const leadingTo = (status: number, location: string) => {
		answer = ({ url }) =>
			url.endsWith('/from') ? redirect(status, location) : new Response('there');
	};
	const post = (init: RequestInit = {}) =>
		page.fetch('/from', {
			method: 'POST',
			body: CANARY,
			headers: { authorization: 'Bearer 1', 'x-y': 'z' },
			...init
		});

	it.each([
		[301, 'GET', ''],
		[302, 'GET', ''],
		[303, 'GET', ''],
		[307, 'POST', CANARY],
		[308, 'POST', CANARY]
	])('of %i is followed inside as %s', async (status, method, body) => {
		leadingTo(status, 'to?a#b');
		const response = await post();
		expect([response.url, response.redirected]).toEqual([`${ORIGIN}/to?a`, true]);
		expect(await response.text()).toBe('there');
		expect(kit.sent[1]).toMatchObject({
			method,
			body,
			url: `${ORIGIN}/to?a`,
			headers: { authorization: 'Bearer 1', 'x-y': 'z' }
		});
		expect(kit.sent[1]?.headers['content-type'] === undefined).toBe(method === 'GET');
		expect(plain).toEqual([]);
	});

	it('keeps the method of others, but not by 303', async () => {
		leadingTo(302, '/to');
		await page.fetch('/from', { method: 'DELETE' });
		leadingTo(303, '/to');
		await page.fetch('/from', { method: 'HEAD' });
		await page.fetch('/from', { method: 'PUT', body: 'a' });
		expect(kit.sent.map(({ method }) => method)).toEqual([
			'DELETE',
			'DELETE',
			'HEAD',
			'HEAD',
			'PUT',
			'GET'
		]);
	});

	it('elsewhere goes by the browser, without the token', async () => {
		leadingTo(302, 'https://elsewhere.example/x');
		const response = await post();
		expect(plain).toEqual([['fetch', 'GET', 'https://elsewhere.example/x', 'same-origin', '']]);
		expect(response.redirected).toBe(true);
		expect(requests[0]?.headers.get('authorization')).toBeNull();
		expect(requests[0]?.headers.get('x-y')).toBe('z');
	});

	it('to what is outside goes by the browser, without cookies', async () => {
		leadingTo(302, '/static/favicon.png');
		await post({ credentials: 'include' });
		expect(plain).toEqual([['fetch', 'GET', `${ORIGIN}/static/favicon.png`, 'omit', '']]);
	});

	it.each(['data:text/plain,x', 'javascript:alert(1)', 'https://%'])('to %s fails', async (to) => {
		leadingTo(302, to);
		await expect(post()).rejects.toThrow(TypeError);
		expect(plain).toEqual([]);
	});

	it('without end fails', async () => {
		answer = () => redirect(302, '/from');
		await expect(post()).rejects.toThrow(TypeError);
		expect(kit.sent).toHaveLength(21);
	});

	it('is an error, or nothing to look at, where it is not to be followed', async () => {
		leadingTo(302, '/to');
		await expect(post({ redirect: 'error' })).rejects.toThrow(TypeError);
		const response = await post({ redirect: 'manual' });
		expect([response.type, response.status, response.body]).toEqual(['opaqueredirect', 0, null]);
		expect(response.url).toBe(`${ORIGIN}/from`);
		expect(kit.sent).toHaveLength(2);
	});

	it('is none without a location', async () => {
		answer = () => new Response('x', { status: 302 });
		expect((await post()).status).toBe(302);
	});
});
