// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LATE, RETRY, start } from '../../src/loader';
import { PATIENCE } from '../../src/places/keeper';
import { collectObservers, element, makeChat, makeSettings, placesIn } from './app';

const SELF = 'https://chat.example/api/v1/tee/page/loader-ABC.js';
const WORDS = '✕ The check itself broke; reload the page.';

/** A page's piece that notes what the loader asks of it. */
const makePage = () => ({
	mount: vi.fn((place: HTMLElement) => {
		place.replaceChildren(element('b'));
	}),
	openChat: vi.fn(),
	offerSettings: vi.fn(),
	blocked: vi.fn(),
	originAsked: vi.fn(),
	askBy: vi.fn(),
	enter: vi.fn()
});

type Load = Parameters<typeof start>[2];

let page: ReturnType<typeof makePage>;
let load: ReturnType<typeof vi.fn<Load>>;
let send: ReturnType<typeof vi.fn<typeof fetch>>;
let asked: Promise<void>;
let ask: () => void;
let endObservers: () => void;
/** The browser's own functions are those of the prototype. */
const isWatched = () => Object.hasOwn(history, 'pushState');
const unwatch = () => {
	for (const name of ['pushState', 'replaceState']) Reflect.deleteProperty(history, name);
};

const begin = () => {
	start(SELF, 'page-DEF.js', load, asked);
};
const broken = () => [...document.querySelectorAll('[data-testid=tee-broken]')];
const frame = () => vi.advanceTimersByTimeAsync(20);
const reports = () => send.mock.calls.map(([url, init]) => [(url as URL).href, init]);

beforeEach(() => {
	vi.useFakeTimers();
	vi.spyOn(console, 'warn').mockImplementation(() => undefined);
	endObservers = collectObservers();
	page = makePage();
	asked = new Promise((resolve) => {
		ask = resolve;
	});
	load = vi.fn<Load>(() => Promise.resolve(page));
	send = vi.fn<typeof fetch>(() => Promise.resolve(new Response(null, { status: 204 })));
	vi.stubGlobal('fetch', send);
	const seen = [{ width: 1, height: 1 }] as unknown as DOMRectList;
	Element.prototype.getClientRects = () => seen;
	history.replaceState(null, '', '/');
});
afterEach(() => {
	endObservers();
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
	vi.useRealTimers();
	unwatch();
	document.body.replaceChildren();
});

describe('the loader', () => {
	it('tells when the app asked for the page’s origin for something from outside', async () => {
		begin();
		await frame();
		expect(load).not.toHaveBeenCalled();
		ask();
		await frame();
		expect(page.originAsked).toHaveBeenCalledTimes(1);
		expect(console.warn).toHaveBeenCalledWith(expect.stringContaining('took that right'));
	});

	it('has the page ask by what was there before the app put its own in front', async () => {
		begin();
		const apps = vi.fn<typeof fetch>();
		vi.stubGlobal('fetch', apps);
		ask();
		await frame();
		const given = page.askBy.mock.lastCall?.[0] as typeof fetch;
		await given('/api/v1/tee/config');
		expect([send.mock.calls.length, apps.mock.calls.length]).toEqual([1, 0]);
	});

	it('loads the page’s piece with the first place, once, and fills all places', async () => {
		begin();
		await frame();
		expect(load).not.toHaveBeenCalled();
		document.body.append(makeChat().chat, makeSettings().tab);
		await frame();
		expect(load.mock.calls).toEqual([['https://chat.example/api/v1/tee/page/page-DEF.js']]);
		expect(page.mount.mock.calls).toEqual([
			[placesIn(document)[0], 'badge'],
			[placesIn(document, 'settings')[0], 'settings']
		]);
		expect(page.offerSettings).not.toHaveBeenCalled();
	});

	it('fills no place that is gone when the piece comes', async () => {
		let arrive: (value: typeof page) => void = () => undefined;
		load.mockReturnValueOnce(new Promise((resolve) => (arrive = resolve)));
		const { chat, row } = makeChat();
		document.body.append(chat);
		begin();
		chat.remove();
		await frame();
		arrive(page);
		await frame();
		expect(page.mount).not.toHaveBeenCalled();
		expect(row.firstElementChild?.hasChildNodes()).toBe(false);
	});

	it('tells the page which chat is open, also of what came before it', async () => {
		begin();
		history.pushState({}, '', '/c/one');
		document.body.append(makeChat().chat);
		await frame();
		history.pushState({}, '', '/c/two');
		await frame();
		expect(page.openChat.mock.calls).toEqual([['2'], ['3']]);
	});

	it('marks places in words where the piece does not come, and tries again', async () => {
		load.mockRejectedValue(new TypeError('network'));
		const { chat, form, row } = makeChat();
		document.body.append(chat);
		begin();
		await frame();
		expect(broken().map(({ textContent, role }) => [textContent, role])).toEqual([
			[WORDS, 'alert']
		]);
		expect(console.warn).toHaveBeenCalledTimes(1);

		// At the next place, and after a while: under another address, lest the failure be kept.
		row.remove();
		form.append(makeChat().row);
		await frame();
		expect(broken()).toHaveLength(1);
		await vi.advanceTimersByTimeAsync(RETRY);
		expect(load.mock.calls.map(([address]) => address.split('/').pop())).toEqual([
			'page-DEF.js',
			'page-DEF.js?1',
			'page-DEF.js?2'
		]);

		load.mockResolvedValue(page);
		await vi.advanceTimersByTimeAsync(RETRY);
		expect(broken()).toHaveLength(0);
		expect(page.mount).toHaveBeenCalledTimes(1);
		await vi.advanceTimersByTimeAsync(5 * RETRY);
		expect(load).toHaveBeenCalledTimes(4);
	});

	it('marks a place while the piece is late, until it comes', async () => {
		let arrive: (value: typeof page) => void = () => undefined;
		load.mockReturnValueOnce(new Promise((resolve) => (arrive = resolve)));
		document.body.append(makeChat().chat);
		begin();
		await vi.advanceTimersByTimeAsync(LATE - 1_000);
		expect(broken()).toHaveLength(0);
		await vi.advanceTimersByTimeAsync(1_000);
		expect(broken()).toHaveLength(1);
		arrive(page);
		await vi.advanceTimersByTimeAsync(2 * LATE);
		expect([broken().length, page.mount.mock.calls.length]).toEqual([0, 1]);
	});

	it('tries once in a while, however many places wait', async () => {
		load.mockRejectedValue(new TypeError('network'));
		document.body.append(makeChat().chat, makeSettings().tab);
		begin();
		await vi.advanceTimersByTimeAsync(10.5 * RETRY);
		expect(load.mock.calls.length).toBeLessThanOrEqual(11);
		expect(broken()).toHaveLength(2);
	});

	it('marks a place where the page’s piece itself breaks', async () => {
		page.mount.mockImplementation(() => {
			throw new Error('no');
		});
		document.body.append(makeChat().chat);
		begin();
		await frame();
		expect(broken()).toHaveLength(1);
	});

	it('tells console and server once of a missing place, without credentials', async () => {
		begin();
		const { chat, row } = makeChat();
		row.className = 'redesigned';
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(4 * PATIENCE);
		expect(page.mount.mock.calls.map(([place]) => place.style.position)).toEqual(['fixed']);
		expect(console.warn).toHaveBeenCalledTimes(1);
		expect(reports()).toEqual([
			[
				'https://chat.example/api/v1/tee/report',
				{
					method: 'POST',
					headers: { 'content-type': 'application/json' },
					body: '{"v":1,"missing":["badge"]}',
					credentials: 'omit'
				}
			]
		]);
	});

	it.each([
		['/', 'a token', ['fixed'], 1],
		['/c/one', 'a token', ['fixed'], 1],
		['/channels/one', 'a token', ['fixed'], 0],
		['/channels/one', null, [], 0],
		['/s/one', 'a token', [], 0],
		['/admin/settings', 'a token', [], 0],
		['/auth', null, [], 0],
		['/', null, [], 0]
	])('at %s with %j has a field that nobody knew, so the badge is at %j', async (...given) => {
		const [path, token, corner, reported] = given;
		vi.stubGlobal('localStorage', { getItem: () => token });
		history.replaceState(null, '', path);
		begin();
		document.body.append(element('div', { contenteditable: 'true' }));
		await vi.advanceTimersByTimeAsync(4 * PATIENCE);
		expect(page.mount.mock.calls.map(([place]) => place.style.position)).toEqual(corner);
		expect(reports()).toHaveLength(reported);
	});

	it('has the settings in the badge’s panel where their place is missing', async () => {
		send.mockRejectedValue(new TypeError('network'));
		begin();
		const { tab } = makeSettings();
		tab.replaceChildren();
		document.body.append(makeChat().chat, tab);
		await frame();
		expect(page.offerSettings).not.toHaveBeenCalled();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(page.offerSettings).toHaveBeenCalled();
		expect(reports().map(([, init]) => (init as RequestInit).body)).toEqual([
			'{"v":1,"missing":["settings"]}'
		]);
		expect(page.mount.mock.calls.map(([, name]: unknown[]) => name)).not.toContain('settings');
	});
});

describe('the loader’s script', () => {
	/** Run the script as the browser would: in this window, for this tag. */
	const run = async (tag: Element | null) => {
		vi.resetModules();
		vi.spyOn(document, 'currentScript', 'get').mockReturnValue(tag as HTMLScriptElement | null);
		vi.stubGlobal('PAGE_PIECE', 'page-DEF.js');
		vi.stubGlobal('SEALING_PIECE', 'sealing-ABC.js');
		await import('../../src/loader');
	};
	const script = Object.assign(document.createElement('script'), { src: SELF });
	beforeEach(() => {
		delete window.cczooTrustBadge;
	});

	it('begins in the window itself, once, and says that it is there', async () => {
		await run(script);
		expect([window.cczooTrustBadge, isWatched()]).toEqual([{}, true]);
		unwatch();
		await run(script);
		expect(isWatched()).toBe(false);
	});

	const foreign = () => {
		const refuse = () => {
			throw new DOMException('Blocked a frame from accessing a cross-origin frame.');
		};
		return new Proxy({}, { get: refuse }) as Window;
	};

	it.each([
		['the app', () => ({ cczooTrustBadge: {} }) as Window, 'https://chat.example', false],
		['the app, without its rights', foreign, 'null', false],
		[
			'a page of its origin that is not the app',
			() => ({}) as Window,
			'https://chat.example',
			true
		],
		['a page of another origin', foreign, 'https://chat.example', true]
	])('in a frame of %s', async (_whose, top, origin, begins) => {
		vi.spyOn(window, 'top', 'get').mockReturnValue(top());
		vi.spyOn(window, 'origin', 'get').mockReturnValue(origin);
		await run(script);
		expect([window.cczooTrustBadge, isWatched()]).toEqual([{}, begins]);
	});

	it('does nothing where no script tag runs it', async () => {
		await run(null);
		expect(isWatched()).toBe(false);
	});
});
