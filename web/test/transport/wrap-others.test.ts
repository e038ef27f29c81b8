import { beforeEach, describe, expect, it } from 'vitest';
import type { Page } from '../../src/transport/stand-in';
import { wrap } from '../../src/transport/wrap';
import { must } from '../support/must';
import { CANARY, makeCarrier, makePage, ORIGIN, settle, type Sent } from '../support/carrier';

let page: Page;
let plain: unknown[][];
let kit: ReturnType<typeof makeCarrier>;
let answer: (sent: Sent) => Response | Promise<Response>;

beforeEach(() => {
	({ page, plain } = makePage());
	answer = () => new Response('sealed');
	kit = makeCarrier((sent) => answer(sent));
	kit.carrier.fetch = page.fetch.bind(page);
	const define = (holder: object, name: string, value: unknown) => {
		Object.defineProperty(holder, name, { value, writable: true, configurable: true });
	};
	define(page.Navigator.prototype, 'sendBeacon', (...args: unknown[]) => {
		plain.push(['beacon', ...args]);
		return true;
	});
	define(page.HTMLFormElement.prototype, 'submit', function (this: HTMLFormElement) {
		plain.push(['submit', this.getAttribute('action')]);
	});
	const source = function (address: string) {
		plain.push(['events', address]);
	};
	source.prototype = Object.create(page.EventTarget.prototype) as object;
	for (const name of ['url', 'readyState', 'onopen', 'onmessage', 'onerror']) {
		Object.defineProperty(source.prototype, name, {
			get: () => 'native',
			set: () => undefined,
			configurable: true
		});
	}
	define(source.prototype, 'close', () => undefined);
	define(page, 'EventSource', source);
	define(page, 'open', (...args: unknown[]) => void plain.push(['open', ...args.map(String)]));
	// Node's knows no forms.
	const { FormData: Own } = globalThis;
	define(page, 'FormData', function (form: HTMLFormElement) {
		const data = new Own();
		for (const field of form.querySelectorAll('input')) data.append(field.name, field.value);
		return data;
	});
	wrap(page, kit.carrier);
});

describe('a beacon', () => {
	const send = (address: string, data?: BodyInit) => page.navigator.sendBeacon(address, data);

	it('waits at the gate, and is sealed', async () => {
		expect(send('/x', CANARY)).toBe(true);
		await settle();
		expect([plain, kit.sent]).toEqual([[], []]);
		kit.decide('sealed');
		await settle();
		expect(plain).toEqual([]);
		expect(kit.sent).toMatchObject([
			{ method: 'POST', url: `${ORIGIN}/x`, body: CANARY, request: { keepalive: true } }
		]);
	});

	it('is lost where it is refused, and as before where the gate says so', async () => {
		kit.decide(new TypeError('refused'));
		send('/x', CANARY);
		await settle();
		expect(plain).toEqual([]);
		kit.decide('plain');
		send('/x', 'mine');
		await settle();
		expect(plain).toEqual([['beacon', `${ORIGIN}/x`, 'mine']]);
	});

	it('has its size, and other origins are as before', () => {
		expect(send('/x', new Blob([new Uint8Array((64 << 10) + 1)]))).toBe(false);
		send('https://elsewhere.example/', 'x');
		expect(plain).toEqual([['beacon', 'https://elsewhere.example/', 'x']]);
	});
});

describe('an event source', () => {
	const stream = (...pieces: string[]) =>
		new Response(
			new ReadableStream({
				start(controller) {
					for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
					controller.close();
				}
			}),
			{ headers: { 'content-type': 'text/event-stream' } }
		);
	const make = (address = '/events') => {
		const source = new page.EventSource(address);
		const events: unknown[] = [];
		for (const type of ['open', 'error', 'message', 'named']) {
			source.addEventListener(type, (event) => {
				const { data, lastEventId } = event as MessageEvent<string>;
				events.push(event instanceof page.MessageEvent ? [type, data, lastEventId] : type);
			});
		}
		return { source, events };
	};

	it('waits at the gate, and comes sealed, in whatever pieces', async () => {
		answer = () =>
			stream(
				'\uFEFFdata: a\r',
				'\ndata:b\n\nevent: named\nid: 1\n: word\ndata\n',
				'\n',
				'data: half'
			);
		const { source, events } = make(`/events?q=${CANARY}`);
		await settle();
		expect([plain, kit.sent, source.readyState]).toEqual([[], [], 0]);
		kit.decide('sealed');
		await settle();
		expect(events).toEqual(['open', ['message', 'a\nb', ''], ['named', '', '1'], 'error']);
		expect(source).toBeInstanceOf(page.EventSource);
		expect(source.url).toBe(`${ORIGIN}/events?q=${CANARY}`);
		expect(plain).toEqual([]);
	});

	it('begins again where it was, when it is told, until it is closed', async () => {
		kit.decide('sealed');
		answer = () => stream('id: 7\nretry: 11\ndata: a\n\n');
		const { source, events } = make();
		await settle();
		expect(kit.timers.map(({ ms }) => ms)).toEqual([11]);
		kit.ring();
		await settle();
		expect(kit.sent.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '7']);
		source.close();
		kit.ring();
		await settle();
		expect([source.readyState, kit.sent.length]).toEqual([2, 2]);
		expect(events.filter((event) => event === 'error')).toHaveLength(2);
	});

	it('tries again where it is refused, and nothing leaves', async () => {
		kit.decide(new TypeError('refused'));
		const { source, events } = make();
		await settle();
		expect([events, source.readyState, plain, kit.sent]).toEqual([['error'], 0, [], []]);
	});

	it.each([
		['another status', () => new Response('', { status: 404 })],
		['no stream', () => new Response('')]
	])('ends at %s', async (_what, other) => {
		kit.decide('sealed');
		answer = other;
		const { source, events } = make();
		await settle();
		expect([events, source.readyState, kit.timers]).toEqual([['error'], 2, []]);
	});

	it('of another origin is as before', () => {
		new page.EventSource('https://elsewhere.example/');
		expect(plain).toEqual([['events', 'https://elsewhere.example/']]);
	});
});

describe('a form', () => {
	const make = (attributes = '', fields = `<input name="words" value="${CANARY}">`) => {
		const { body } = page.document;
		const parsed = new page.DOMParser().parseFromString(
			`<form method="post" action="/x" ${attributes}>${fields}</form>`,
			'text/html'
		);
		const form = page.document.importNode(must(parsed.querySelector('form')), true);
		body.append(form);
		return form;
	};
	/** What a browser does by itself is not done here: whether it would be. */
	const submitted = (form: HTMLFormElement, submitter?: HTMLElement) => {
		const event = new page.SubmitEvent('submit', { bubbles: true, cancelable: true, submitter });
		return form.dispatchEvent(event);
	};

	it('waits at the gate, and is gone where its answer leads', async () => {
		answer = () => new Response(null, { status: 303, headers: { location: '/c/2' } });
		expect(submitted(make())).toBe(false);
		kit.ring(0);
		await settle();
		expect([plain, kit.sent]).toEqual([[], []]);
		kit.decide('sealed');
		await settle();
		expect(kit.sent).toMatchObject([
			{
				method: 'POST',
				url: `${ORIGIN}/x`,
				body: `words=${CANARY}`,
				headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' }
			}
		]);
		expect(plain).toEqual([['open', `${ORIGIN}/c/2`, '_self']]);
	});

	it('is sealed by `submit` too, in the form that it says, though a field has its name', async () => {
		kit.decide('sealed');
		const fields = `<input name="action" value="${CANARY}"><input name="method" value="get">`;
		const { prototype } = page.HTMLFormElement;
		prototype.submit.call(make('enctype="multipart/form-data" target="_top"', fields));
		prototype.submit.call(make('enctype="text/plain"', fields));
		await settle();
		const sent = new Map(
			kit.sent.map(({ headers, body }) => [headers['content-type']?.split(';')[0], body])
		);
		expect(sent.get('multipart/form-data')).toContain(CANARY);
		expect(sent.get('text/plain')).toBe(`action=${CANARY}\r\nmethod=get\r\n`);
		expect(plain).toEqual([]);
	});

	it('is what its button says', async () => {
		kit.decide('sealed');
		const form = make('', '<button formaction="/y">');
		submitted(form, form.querySelector('button') ?? undefined);
		kit.ring(0);
		await settle();
		expect(kit.sent.map(({ url }) => url)).toEqual([`${ORIGIN}/y`]);
	});

	it('is the page’s own business where that says so, before or after', async () => {
		kit.decide('sealed');
		const form = make();
		const seen: boolean[] = [];
		form.addEventListener('submit', (event) => {
			seen.push(event.defaultPrevented);
			event.preventDefault();
			seen.push(event.defaultPrevented);
		});
		submitted(form);
		kit.ring(0);
		await settle();
		expect([seen, kit.sent, plain]).toEqual([[false, true], [], []]);
	});

	it('tells where it is refused, and goes as before where the gate says so', async () => {
		kit.decide(new TypeError('refused'));
		submitted(make());
		kit.ring(0);
		await settle();
		expect([kit.failures, plain]).toEqual([[new TypeError('refused')], []]);
		kit.decide('plain');
		submitted(make());
		make().submit();
		kit.ring(0);
		await settle();
		expect(plain).toEqual([
			['submit', '/x'],
			['submit', '/x']
		]);
	});

	it('is as before where it asks, or goes elsewhere', () => {
		const elsewhere = make();
		elsewhere.setAttribute('action', 'https://elsewhere.example/');
		const asking = make();
		asking.setAttribute('method', 'get');
		expect([submitted(elsewhere), submitted(asking)]).toEqual([true, true]);
		elsewhere.submit();
		expect(plain).toEqual([['submit', 'https://elsewhere.example/']]);
	});
});

describe('a download', () => {
	let handed: { download: string; text: string }[];
	let blobs: Map<string, Blob>;
	beforeEach(() => {
		handed = [];
		blobs = new Map();
		const NativeUrl = page.URL;
		Object.assign(NativeUrl, {
			createObjectURL: (blob: Blob) => {
				const address = `blob:${ORIGIN}/${blobs.size}`;
				blobs.set(address, blob);
				return address;
			},
			revokeObjectURL: (address: string) => blobs.delete(address)
		});
	});
	const link = (address: string, download: string | null = '', connected = true) => {
		const made = page.document.createElement('a');
		made.href = address;
		if (download !== null) made.download = download;
		if (connected) page.document.body.append(made);
		return made;
	};
	/** Click; whether the browser itself would go there. */
	const click = (made: HTMLElement): boolean =>
		made.dispatchEvent(new page.MouseEvent('click', { bubbles: true, cancelable: true }));
	/** What was handed over. */
	const taken = async () => {
		for (const blob of blobs.values()) handed.push({ download: '', text: await blob.text() });
		return handed.map(({ text }) => text);
	};

	it.each([
		['in the document', true],
		['outside of it', false]
	])('waits at the gate, and is handed over (%s)', async (_where, connected) => {
		expect(click(link(`/api/v1/files/1/content?q=${CANARY}`, 'a.txt', connected))).toBe(false);
		kit.ring(0);
		await settle();
		expect([plain, kit.sent]).toEqual([[], []]);
		kit.decide('sealed');
		await settle();
		expect(kit.sent.map(({ url }) => url)).toEqual([
			`${ORIGIN}/api/v1/files/1/content?q=${CANARY}`
		]);
		expect(await taken()).toEqual(['sealed']);
		kit.ring();
		expect(blobs.size).toBe(0);
		expect(plain).toEqual([]);
	});

	it('is taken by `click` outside of the document too, and by what is in it', async () => {
		kit.decide('sealed');
		link('/x', '', false).click();
		const around = link('/y', '', false);
		const inner = around.appendChild(page.document.createElement('span'));
		expect(click(inner)).toBe(false);
		kit.ring(0);
		await settle();
		expect(kit.sent.map(({ url }) => url)).toEqual([`${ORIGIN}/x`, `${ORIGIN}/y`]);
	});

	it('is taken where the page makes it one while it is clicked, once', async () => {
		kit.decide('sealed');
		const made = link('https://elsewhere.example/');
		made.addEventListener('click', () => {
			made.href = '/x';
		});
		expect(click(made)).toBe(false);
		kit.ring(0);
		await settle();
		expect(kit.sent).toHaveLength(1);
	});

	it('is the page’s own business where that says so', async () => {
		kit.decide('sealed');
		const made = link('/x');
		made.addEventListener('click', (event) => {
			event.preventDefault();
		});
		expect(click(made)).toBe(false);
		kit.ring(0);
		await settle();
		expect(kit.sent).toEqual([]);
	});

	it('tells where there is no file, or it is refused', async () => {
		kit.decide('sealed');
		answer = () => new Response('no', { status: 404 });
		click(link('/x'));
		kit.ring(0);
		await settle();
		kit.decide(new TypeError('refused'));
		click(link('/x'));
		kit.ring(0);
		await settle();
		expect(kit.failures.map((error) => (error as Error).message)).toEqual(['404', 'refused']);
		expect([await taken(), plain]).toEqual([[], []]);
	});

	it.each([
		['other links', '/c/2', null],
		['another origin’s', 'https://elsewhere.example/', ''],
		['what the page has made', `blob:${ORIGIN}/1`, ''],
		['what is outside', '/static/user-import.csv', '']
	])('leaves %s as they are', (_what, address, download) => {
		expect(click(link(address, download))).toBe(true);
		expect(kit.timers).toEqual([]);
	});

	it.each([
		['attachment; filename="b c.txt"', 'wanted', 'b c.txt'],
		["attachment; filename=x; filename*=UTF-8''%C3%A4.txt", 'wanted', 'ä.txt'],
		["attachment; filename*=UTF-8''%", 'wanted', 'wanted'],
		['', 'wanted', 'wanted'],
		['', '', 'x.txt']
	])('is named by %j, %j or its address: %s', async (disposition, wanted, name) => {
		kit.decide('sealed');
		answer = () => new Response('a', { headers: { 'content-disposition': disposition } });
		const names: string[] = [];
		const { prototype } = page.HTMLAnchorElement;
		Object.defineProperty(prototype, 'click', {
			value(this: HTMLAnchorElement) {
				names.push(this.download);
			}
		});
		const made = link('/x.txt', wanted);
		click(made);
		kit.ring(0);
		await settle();
		expect(names).toEqual([name]);
	});
});

describe('a frame without an address', () => {
	it('has no way of its own', async () => {
		const frame = page.document.createElement('iframe');
		page.document.body.append(frame);
		// Those of jsdom have no network.
		const bare = must(page.frames[0]);
		for (const name of ['fetch', 'Request', 'Headers', 'AbortController'] as const) {
			const own = Object.getOwnPropertyDescriptor(page, name);
			Object.defineProperty(bare, name, own ?? {});
		}
		const inner = frame.contentWindow as Page;
		expect(inner.location.origin).toBe('null');
		const xhr = new inner.XMLHttpRequest();
		xhr.open('POST', `${ORIGIN}/x`);
		xhr.send(CANARY);
		await settle();
		expect(kit.sent).toEqual([]);
		kit.decide('sealed');
		await settle();
		expect(kit.sent).toMatchObject([{ method: 'POST', url: `${ORIGIN}/x`, body: CANARY }]);
		expect([xhr.readyState, xhr.status]).toEqual([4, 200]);
		expect(frame.contentWindow).toBe(inner);
		expect(frame.contentDocument).toBe(inner.document);
	});

	it('of another origin is handed out as it is, and nothing of it is read', () => {
		const blocked = () => {
			throw new DOMException('another origin', 'SecurityError');
		};
		const foreign = new Proxy({}, { get: blocked, has: blocked });
		const { page: other } = makePage();
		const { prototype } = other.HTMLIFrameElement;
		Object.defineProperty(prototype, 'contentWindow', { get: () => foreign, configurable: true });
		wrap(other, kit.carrier);
		expect(other.document.createElement('iframe').contentWindow === foreign).toBe(true);
	});

	it('is not handed out where it cannot be wrapped, however often it is asked for', () => {
		const frame = page.document.createElement('iframe');
		page.document.body.append(frame); // one of jsdom's, without a fetch to be wrapped
		for (const name of ['contentWindow', 'contentDocument', 'contentWindow'] as const) {
			expect(() => frame[name]).toThrow(page.TypeError);
		}
	});

	it('is not handed out where looking at it fails in another way', () => {
		const broken = {
			get location(): never {
				throw new DOMException('for a reason of its own', 'InvalidStateError');
			}
		};
		const { page: other } = makePage();
		const { prototype } = other.HTMLIFrameElement;
		Object.defineProperty(prototype, 'contentWindow', { get: () => broken, configurable: true });
		wrap(other, kit.carrier);
		expect(() => other.document.createElement('iframe').contentWindow).toThrow('of its own');
	});
});
