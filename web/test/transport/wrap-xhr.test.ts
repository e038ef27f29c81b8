import { beforeEach, describe, expect, it } from 'vitest';
import type { Page } from '../../src/transport/stand-in';
import { wrapXhr } from '../../src/transport/wrap-xhr';
import { CANARY, makeCarrier, makePage, ORIGIN, settle, type Sent } from '../support/carrier';

/** An error of this name. */
const named = (name: string) => expect.objectContaining({ name }) as Error;

let page: Page;
let plain: unknown[][];
let kit: ReturnType<typeof makeCarrier>;
let answer: (sent: Sent) => Response | Promise<Response>;

beforeEach(() => {
	({ page, plain } = makePage());
	answer = () => new Response('sealed', { headers: { 'x-b': '2', 'X-A': '1' } });
	kit = makeCarrier((sent) => answer(sent));
	kit.carrier.fetch = page.fetch.bind(page);
	const { prototype } = page.XMLHttpRequest;
	Object.defineProperty(prototype, 'send', {
		value: (body: unknown) => void plain.push(['xhr', body]),
		writable: true,
		configurable: true
	});
	wrapXhr(page, kit.carrier);
});

const EVENTS = [
	'readystatechange',
	'loadstart',
	'progress',
	'load',
	'error',
	'abort',
	'timeout',
	'loadend'
];
/** Make one, and note what happens. */
const make = (
	method = 'GET',
	address = '/x',
	set: (xhr: XMLHttpRequest) => void = () => undefined
) => {
	const xhr = new page.XMLHttpRequest();
	const events: string[] = [];
	for (const type of EVENTS) {
		xhr.addEventListener(type, () => {
			events.push(type === 'readystatechange' ? String(xhr.readyState) : type);
		});
		xhr.upload.addEventListener(type, (event) => {
			events.push(`upload ${type} ${(event as ProgressEvent).loaded}`);
		});
	}
	xhr.open(method, address);
	set(xhr);
	return { xhr, events };
};

describe('XMLHttpRequest', () => {
	it('waits at the gate, and nothing of it leaves before', async () => {
		const { xhr } = make('POST');
		xhr.setRequestHeader('X-Words', CANARY);
		xhr.send(CANARY);
		await settle();
		expect([plain, kit.sent, xhr.readyState]).toEqual([[], [], 1]);
		kit.decide('sealed');
		await settle();
		expect(plain).toEqual([]);
		expect(kit.sent).toMatchObject([
			{
				method: 'POST',
				url: `${ORIGIN}/x`,
				body: CANARY,
				cookies: true,
				headers: { 'x-words': CANARY }
			}
		]);
	});

	it('goes through its states in order, and tells', async () => {
		kit.decide('sealed');
		const { xhr, events } = make('GET', '/x#y');
		xhr.send();
		await settle();
		expect(events).toEqual([
			'1',
			'loadstart',
			'2',
			'3',
			'progress',
			'progress',
			'4',
			'load',
			'loadend'
		]);
		expect([xhr.status, xhr.responseText, xhr.response, xhr.responseURL]).toEqual([
			200,
			'sealed',
			'sealed',
			`${ORIGIN}/x`
		]);
		expect(xhr.getAllResponseHeaders()).toBe(
			'content-type: text/plain;charset=UTF-8\r\nx-a: 1\r\nx-b: 2\r\n'
		);
		expect([xhr.getResponseHeader('X-B'), xhr.getResponseHeader('none')]).toEqual(['2', null]);
		expect(xhr.getResponseHeader('content-type')).toBe('text/plain;charset=UTF-8');
	});

	it('tells by properties as well, and what it is stays so', async () => {
		kit.decide('sealed');
		const { xhr } = make();
		const done = new Promise((resolve) => (xhr.onload = resolve));
		xhr.send();
		expect(await done).toMatchObject({ type: 'load', target: xhr, loaded: 6 });
		expect(xhr).toBeInstanceOf(page.XMLHttpRequest);
		expect(page.XMLHttpRequest.DONE).toBe(4);
	});

	it('gives the text that has come', async () => {
		kit.decide('sealed');
		let push: ReadableStreamDefaultController<Uint8Array> | undefined;
		answer = () =>
			new Response(
				new ReadableStream<Uint8Array>({ start: (controller) => void (push = controller) })
			);
		const { xhr } = make();
		xhr.send();
		await settle();
		const [first, second] = [new Uint8Array([97, 0xc3]), new Uint8Array([0xa4])];
		push?.enqueue(first);
		await settle();
		expect([xhr.readyState, xhr.responseText]).toEqual([3, 'a']);
		push?.enqueue(second);
		push?.close();
		await settle();
		expect([xhr.readyState, xhr.responseText]).toEqual([4, 'aä']);
	});

	it.each([
		['json', '{"a":[1]}', { a: [1] }],
		['json', 'no json', null],
		['text', 'ä', 'ä']
	] as const)('answers as %s', async (type, text, expected) => {
		kit.decide('sealed');
		answer = () => new Response(text);
		const { xhr } = make('GET', '/x', (made) => (made.responseType = type));
		xhr.send();
		await settle();
		expect(xhr.response).toEqual(expected);
		if (type === 'json') expect(() => xhr.responseText).toThrow('');
	});

	it('answers as bytes, as a Blob and as a document, one and the same each time', async () => {
		kit.decide('sealed');
		answer = () => new Response('<a>ä</a>', { headers: { 'content-type': 'text/xml' } });
		const ask = async (type: XMLHttpRequestResponseType) => {
			const { xhr } = make('GET', '/x', (made) => (made.responseType = type));
			xhr.send();
			expect(xhr.response).toBeNull();
			await settle();
			expect(xhr.response).toBe(xhr.response);
			return xhr.response as unknown;
		};
		expect(new TextDecoder().decode((await ask('arraybuffer')) as ArrayBuffer)).toBe('<a>ä</a>');
		const blob = (await ask('blob')) as Blob;
		expect([blob.type, await blob.text()]).toEqual(['text/xml', '<a>ä</a>']);
		expect(((await ask('document')) as Document).documentElement.textContent).toBe('ä');
	});

	it('reads the character set, its own or the one it is told', async () => {
		kit.decide('sealed');
		const type = { 'content-type': 'text/plain; charset=iso-8859-1' };
		answer = () => new Response(new Uint8Array([0xe4]), { headers: type });
		const { xhr } = make();
		xhr.send();
		await settle();
		expect(xhr.responseText).toBe('ä');
		const other = make('GET', '/x', (made) => {
			made.overrideMimeType('text/plain; charset=windows-1251');
		});
		other.xhr.send();
		await settle();
		expect(other.xhr.responseText).toBe('д');
	});

	it('tells of what is sent', async () => {
		kit.decide('sealed');
		answer = ({ request }) => {
			request.onUpload?.(2, 4);
			return new Response('x');
		};
		const { xhr, events } = make('POST');
		xhr.send(new Blob(['1234']));
		await settle();
		expect(events.slice(1, 8)).toEqual([
			'loadstart',
			'upload loadstart 0',
			'upload progress 2',
			'upload progress 4',
			'upload load 4',
			'upload loadend 4',
			'2'
		]);
	});

	it.each([
		['by a refusal', new TypeError('refused'), undefined],
		['by a broken line', 'sealed', () => Promise.reject(new TypeError('broken'))],
		[
			'by an answer that is cut off',
			'sealed',
			() =>
				new Response(
					new ReadableStream({
						start(controller) {
							controller.enqueue(new TextEncoder().encode('half'));
						},
						pull(controller) {
							controller.error(new TypeError('cut'));
						}
					})
				)
		]
	] as const)('fails %s, and shows nothing', async (_how, decision, broken) => {
		kit.decide(decision);
		if (broken) answer = broken;
		const { xhr, events } = make('POST');
		xhr.send(CANARY);
		await settle();
		expect(events.filter((event) => !event.startsWith('upload')).slice(-3)).toEqual([
			'4',
			'error',
			'loadend'
		]);
		expect([xhr.readyState, xhr.status, xhr.responseText, xhr.getAllResponseHeaders()]).toEqual([
			4,
			0,
			'',
			''
		]);
		expect(plain).toEqual([]);
	});

	it('is aborted at the gate and on the way', async () => {
		const { xhr, events } = make('POST');
		xhr.send(CANARY);
		xhr.abort();
		expect([events.slice(-3), xhr.readyState]).toEqual([['4', 'abort', 'loadend'], 0]);
		kit.decide('sealed');
		await settle();
		expect([plain, kit.sent]).toEqual([[], []]);
		answer = () => new Promise(() => undefined);
		const other = make('POST');
		other.xhr.send(CANARY);
		await settle();
		other.xhr.abort();
		expect(kit.sent[0]?.request.signal?.aborted).toBe(true);
		expect(other.events.slice(-5)).toEqual([
			'4',
			'upload abort 0',
			'upload loadend 0',
			'abort',
			'loadend'
		]);
	});

	it('runs out of time', async () => {
		const { xhr, events } = make('GET', '/x', (made) => (made.timeout = 7));
		xhr.send();
		expect(kit.timers.map(({ ms }) => ms)).toEqual([7]);
		kit.ring();
		expect(events.slice(-3)).toEqual(['4', 'timeout', 'loadend']);
		kit.decide('sealed');
		await settle();
		expect(kit.sent).toEqual([]);
	});

	it('can be used again', async () => {
		kit.decide('sealed');
		const { xhr, events } = make();
		xhr.send();
		await settle();
		xhr.open('GET', '/again');
		expect([xhr.readyState, xhr.status, xhr.responseText, events.at(-1)]).toEqual([1, 0, '', '1']);
		xhr.send();
		await settle();
		expect([xhr.responseText, kit.sent.map(({ url }) => url)]).toEqual([
			'sealed',
			[`${ORIGIN}/x`, `${ORIGIN}/again`]
		]);
	});

	it('is sent once, and says so', async () => {
		const { xhr } = make();
		xhr.send();
		for (const again of [
			() => {
				xhr.send();
			},
			() => {
				xhr.setRequestHeader('a', 'b');
			}
		]) {
			expect(again).toThrow(named('InvalidStateError'));
		}
		kit.decide('sealed');
		await settle();
		expect(kit.sent).toHaveLength(1);
	});

	it('goes as before where the gate says so, and to others', async () => {
		kit.decide('plain');
		const { xhr } = make('POST');
		xhr.send('mine');
		const other = make('GET', 'https://elsewhere.example/');
		other.xhr.send(null);
		make('GET', `blob:${ORIGIN}/1`).xhr.send('made');
		await settle();
		expect(plain).toEqual([
			['xhr', null],
			['xhr', 'made'],
			['xhr', 'mine']
		]);
		expect(kit.sent).toEqual([]);
	});

	it('asks for what is outside plain, without cookies and without waiting', async () => {
		const { xhr } = make('GET', '/static/user-import.csv');
		xhr.send();
		await settle();
		expect(plain).toEqual([['fetch', 'GET', `${ORIGIN}/static/user-import.csv`, 'omit', '']]);
		expect([xhr.status, xhr.responseText]).toEqual([200, 'plain']);
	});

	it('does not stand still: who would have to is refused, unless it may go plain', () => {
		const ask = (address: string) => {
			const xhr = new page.XMLHttpRequest();
			xhr.open('POST', address, false);
			xhr.send(CANARY);
		};
		const refused = named('NetworkError');
		expect(() => {
			ask('/x');
		}).toThrow(refused);
		kit.decide('sealed');
		expect(() => {
			ask('/x');
		}).toThrow(refused);
		expect([plain, kit.sent]).toEqual([[], []]);
		kit.decide('plain');
		ask('/x');
		ask('/api/v1/tee/report');
		expect(plain).toHaveLength(2);
	});

	it('follows inside, and says where it got to', async () => {
		kit.decide('sealed');
		answer = ({ url }) =>
			url.endsWith('/x')
				? new Response(null, { status: 302, headers: { location: '/to' } })
				: new Response('there');
		const { xhr } = make();
		xhr.send();
		await settle();
		expect([xhr.responseURL, xhr.responseText]).toEqual([`${ORIGIN}/to`, 'there']);
	});
});
