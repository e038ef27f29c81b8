// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SITES, type PlaceName, type Site } from '../../src/places/anchors';
import { isChat, isElsewhere } from '../../src/places/chat';
import { FILLED_MAX, Keeper, PATIENCE } from '../../src/places/keeper';
import { collectObservers, element, makeAdmin, makeChat, makeSettings, placesIn } from './app';

/** Places that were filled, in order, and names that were missing. */
let filled: [HTMLElement, PlaceName][];
let missing: PlaceName[];
let keeper: Keeper;
let endObservers: () => void;

const keep = (sites: Readonly<Record<PlaceName, Site>> = SITES) => {
	keeper = new Keeper(document, sites, {
		fill: (place, name, wanted) => {
			expect(wanted()).toBe(true);
			filled.push([place, name]);
			place.replaceChildren(element('b'));
		},
		missing: (name) => missing.push(name),
		inChat: () => isChat(location.pathname),
		elsewhere: () => isElsewhere(location.pathname)
	});
	keeper.start();
};

/** Let the observer and the next frame come. */
const frame = () => vi.advanceTimersByTimeAsync(20);
const fullPlaces = (root: ParentNode = document) =>
	placesIn(root).filter((place) => place.hasChildNodes());

beforeEach(() => {
	vi.useFakeTimers();
	endObservers = collectObservers();
	filled = [];
	missing = [];
	history.replaceState(null, '', '/');
	// jsdom draws nothing: what is not hidden is seen.
	Element.prototype.getClientRects = function () {
		const hidden = this.closest('[hidden]') !== null;
		return (hidden ? [] : [{ width: 1, height: 1 }]) as unknown as DOMRectList;
	};
});
afterEach(() => {
	endObservers();
	vi.useRealTimers();
	document.body.replaceChildren();
});

describe('places', () => {
	it('are made at anchors, where the app brings none', async () => {
		keep();
		const { chat, row } = makeChat();
		document.body.append(chat);
		await frame();
		expect(placesIn(document)).toEqual([row.firstElementChild]);
		expect(fullPlaces()).toHaveLength(1);

		const { tab, first } = makeSettings();
		document.body.append(tab);
		await frame();
		expect(placesIn(document, 'settings')).toEqual([first.nextElementSibling]);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect([filled.length, missing]).toEqual([2, []]);
	});

	it('are made for administrators where their settings show, and are never missed', async () => {
		keep();
		const { form, scrolled } = makeAdmin();
		document.body.append(form);
		await frame();
		expect(placesIn(document, 'admin')).toEqual([scrolled.lastElementChild]);
		expect(filled.map(([, name]) => name)).toEqual(['admin']);
		document.body.append(element('form'));
		form.remove();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual([]);
	});

	it('are filled where the app brings them, and made nowhere else then', async () => {
		const { chat, row } = makeChat();
		const own = element('div', { 'data-tee-place': 'badge' });
		row.prepend(own);
		document.body.append(chat, element('div', { 'data-tee-place': 'settings' }));
		keep();
		await frame();
		expect(filled.map(([, name]) => name)).toEqual(['badge', 'settings']);
		expect(placesIn(document)).toEqual([own]);
	});

	it('come again where the app draws the row anew, one at a time', async () => {
		const { chat, row } = makeChat();
		document.body.append(chat);
		keep();
		for (let count = 0; count < 20; count++) {
			const next = makeChat().row;
			chat.querySelector('.self-end')?.replaceWith(next);
			await frame();
			expect(fullPlaces()).toEqual([next.firstElementChild]);
		}
		expect(placesIn(row)).toHaveLength(1); // what left with the old row
	});

	it('stay one in an anchor when the app copies the row', async () => {
		const { chat, form, row } = makeChat();
		document.body.append(chat);
		keep();
		const copy = row.cloneNode(true) as HTMLElement;
		form.append(copy);
		row.append(...[1, 2, 3].map(() => row.firstElementChild?.cloneNode(true) as HTMLElement));
		await frame();
		expect([placesIn(row).length, placesIn(copy).length]).toEqual([1, 1]);
		expect(fullPlaces()).toHaveLength(2);
	});

	it('go back where they belong when the app moves them', async () => {
		const { chat, row } = makeChat();
		const elsewhere = element('div');
		document.body.append(chat, elsewhere);
		keep();
		elsewhere.append(...placesIn(row));
		await frame();
		expect([placesIn(row).length, placesIn(elsewhere).length]).toEqual([1, 0]);
		row.append(...placesIn(row)); // within the row it may stand anywhere
		await frame();
		expect(placesIn(row)).toEqual([row.lastElementChild]);
	});

	it('are filled again when somebody empties them', async () => {
		const { chat, row } = makeChat();
		document.body.append(chat);
		keep();
		row.firstElementChild?.replaceChildren();
		await frame();
		expect(fullPlaces()).toHaveLength(1);
		keeper.refill();
		expect(filled).toHaveLength(3);
	});

	it('leave with their anchor', async () => {
		const { chat, row } = makeChat();
		document.body.append(chat);
		keep();
		row.className = 'something else';
		document.body.append(element('p'));
		await frame();
		expect(placesIn(document)).toEqual([]);
	});

	it('are looked for without a body, and found where no frame is drawn', async () => {
		vi.stubGlobal('requestAnimationFrame', () => 0);
		const { body } = document;
		body.remove();
		keep();
		document.documentElement.append(body);
		body.append(makeChat().chat);
		await vi.advanceTimersByTimeAsync(100);
		vi.unstubAllGlobals();
		expect(fullPlaces()).toHaveLength(1);
	});

	it('are looked for once a frame, however much changes', async () => {
		keep();
		const look = vi.spyOn(keeper, 'look');
		for (let count = 0; count < 100; count++) {
			document.body.append(element('p'));
			await Promise.resolve();
		}
		await frame();
		expect(look).toHaveBeenCalledTimes(1);
	});
});

describe('places besides that of a chat', () => {
	/** Rows of buttons where open-webui draws them, by version; the last element gets the place. */
	const row = (...classes: string[]) => {
		const form = element('form');
		const made = classes.map((name) => element('div', { class: name }));
		const box = made[0] as HTMLElement;
		box.id = 'message-input-container';
		form.append(box);
		made.reduce((outer, inner) => outer.appendChild(inner));
		return [form, made.at(-1)] as const;
	};
	const BEFORE = row('', 'flex justify-between', 'self-end flex space-x-1 mr-1');
	const SINCE = row('', 'flex items-center justify-between', 'flex items-center gap-1 shrink-0');

	it.each([
		['0.5', BEFORE],
		['0.12', SINCE]
	])('are in channels, in their threads too: %s', async (_version, [form, buttons]) => {
		history.replaceState(null, '', '/channels/one');
		const channel = element('div', { id: 'channel-container' });
		const [thread] = [form.cloneNode(true)];
		channel.append(form);
		document.body.append(channel, thread);
		keep();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(fullPlaces()).toHaveLength(2);
		expect(fullPlaces()[0]?.parentElement).toBe(buttons);
		expect(missing).toEqual([]);
	});

	it('are in a voice call, beside that of the chat', async () => {
		const { chat, row: buttons } = makeChat();
		const call = element('div', {
			class: 'max-w-lg w-full h-full max-h-[100dvh] flex flex-col justify-between p-3 md:p-6'
		});
		document.body.append(chat, call);
		keep();
		await frame();
		expect(fullPlaces()).toEqual([buttons.firstElementChild, call.firstElementChild]);
		call.remove();
		await frame();
		expect(fullPlaces()).toEqual([buttons.firstElementChild]);
	});

	it.each(['/notes/one', '/channels/one', '/playground', '/playground/completions'])(
		'are in the corner of other pages that take words, and not told as missing: %s',
		async (path) => {
			history.replaceState(null, '', path);
			keep();
			await frame();
			expect(fullPlaces()).toEqual([]); // nothing to write in yet
			document.body.append(element('div', { contenteditable: 'true' }));
			await frame();
			const [chip] = fullPlaces();
			expect([chip?.parentElement, chip?.style.position]).toEqual([document.body, 'fixed']);
			expect(chip?.hasAttribute('data-tee-chip')).toBe(true);
			await vi.advanceTimersByTimeAsync(2 * PATIENCE);
			expect(missing).toEqual([]);

			history.replaceState(null, '', '/workspace/models');
			document.body.append(element('p'));
			await frame();
			expect(placesIn(document)).toEqual([]);
		}
	);

	it('are not in the corner where the page has one elsewhere', async () => {
		history.replaceState(null, '', '/notes/one');
		document.body.append(element('div', { contenteditable: 'true' }), makeChat().chat);
		keep();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(fullPlaces().map(({ style }) => style.position)).toEqual(['']);
	});
});

describe('what a model answers', () => {
	/** An answer that holds all that the loader looks for. */
	const answer = (count: number) => {
		const { chat } = makeChat();
		const { tab } = makeSettings();
		const places = Array.from({ length: count }, () =>
			element('div', { 'data-tee-place': 'badge' })
		);
		chat.append(...places, element('div', { 'data-tee-place': 'settings' }));
		return [chat, tab];
	};

	it('gets no place and no anchor', async () => {
		keep();
		const message = element('div', { class: 'markdown-prose' });
		message.append(...answer(3));
		document.body.append(message);
		await frame();
		expect([filled, placesIn(document).length]).toEqual([[], 3]);
	});

	it('takes no place from the app’s own, with 10,000 places in it', async () => {
		const { chat, messages, row } = makeChat();
		messages.append(...answer(10_000));
		const settings = element('div', { 'data-tee-place': 'settings' });
		document.body.append(chat, settings);
		keep();
		await frame();
		expect(filled).toEqual([
			[row.firstElementChild, 'badge'],
			[settings, 'settings']
		]);
	}, 120_000);

	it('fills at most a few places, wherever thousands stand, and the anchored one first', async () => {
		const places = Array.from({ length: 1_000 }, () =>
			element('div', { 'data-tee-place': 'badge' })
		);
		document.body.append(...places);
		keep();
		expect(fullPlaces()).toEqual(places.slice(0, FILLED_MAX));
		const { chat, row } = makeChat();
		document.body.append(chat);
		await frame();
		expect(fullPlaces()).toEqual([...places.slice(0, FILLED_MAX - 1), row.firstElementChild]);
	});
});

describe('a place that is missing', () => {
	const nowhere = (name: PlaceName): Readonly<Record<PlaceName, Site>> => ({
		...SITES,
		[name]: { ...SITES[name], anchors: [] }
	});

	it('is told once, after a while, and the badge stands in the corner', async () => {
		keep(nowhere('badge'));
		const { chat } = makeChat();
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(PATIENCE - 1_000);
		expect([missing, filled]).toEqual([[], []]);
		await vi.advanceTimersByTimeAsync(2_000);
		expect(missing).toEqual(['badge']);
		const [chip] = fullPlaces();
		expect([chip?.parentElement, chip?.style.position]).toEqual([document.body, 'fixed']);

		// It goes with what it belongs to, and is back with it at once.
		chat.remove();
		await frame();
		expect(placesIn(document)).toEqual([]);
		document.body.append(chat);
		await frame();
		expect(fullPlaces()).toHaveLength(1);
		await vi.advanceTimersByTimeAsync(3 * PATIENCE);
		expect(missing).toEqual(['badge']);
	});

	it('is given up for one that turns up later', async () => {
		keep(nowhere('badge'));
		const { chat, row } = makeChat();
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		row.append(element('div', { 'data-tee-place': 'badge' }));
		await frame();
		expect(fullPlaces()).toEqual([row.lastElementChild]);
	});

	it('is none where the app brings it in time, or takes away what it belongs to', async () => {
		keep(nowhere('badge'));
		const { chat, row } = makeChat();
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(PATIENCE - 1_000);
		chat.remove();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(PATIENCE - 1_000);
		row.append(element('div', { 'data-tee-place': 'badge' }));
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual([]);
	});

	it('is none yet where nobody sees what it belongs to', async () => {
		keep(nowhere('badge'));
		const { chat } = makeChat();
		chat.hidden = true;
		document.body.append(chat);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual([]);
		chat.hidden = false;
		await vi.advanceTimersByTimeAsync(PATIENCE);
		expect(missing).toEqual(['badge']);
	});

	it('is told for the settings, and nothing stands in the corner', async () => {
		keep(nowhere('settings'));
		document.body.append(makeSettings().tab);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect([missing, placesIn(document, 'settings')]).toEqual([['settings'], []]);
	});

	const CHATS = ['/', '/c/one', '/folders/one'];
	const OTHERS = ['/auth', '/admin/users', '/workspace/prompts', '/s/one', '/channels/one'];

	/** A chat whose names another version has changed: which ones, and what one writes in. */
	const renamed = (names: string, writing = element('textarea')) => {
		const { chat, input, row } = makeChat();
		row.className = 'redesigned';
		if (names.includes('container')) chat.id = 'other';
		if (names.includes('input')) input.id = 'other';
		input.append(writing);
		return chat;
	};

	it.each([
		['the row alone', '', CHATS[0]],
		['and the chat', 'container', CHATS[0]],
		['and the input', 'input', CHATS[1]],
		['and both', 'container, input', CHATS[0]],
		['and both, in a folder', 'container, input', CHATS[2]],
		['and the address', '', '/talk/one'],
		['the address and the input', 'input', '/talk/one']
	])('is told where another version has renamed %s', async (_what, names, path) => {
		history.replaceState(null, '', path);
		document.body.append(renamed(names));
		keep();
		await vi.advanceTimersByTimeAsync(PATIENCE);
		expect([missing, fullPlaces().length]).toEqual([['badge'], 1]);
	});

	it.each([
		['a text area', element('textarea')],
		['a text that can be edited', element('div', { contenteditable: 'true' })],
		['something that says it is one', element('div', { role: 'textbox' })]
	])('is told in a chat that has nothing of ours but %s', async (_what, writing) => {
		document.body.append(renamed('container, input', writing));
		keep();
		await vi.advanceTimersByTimeAsync(PATIENCE);
		expect(missing).toEqual(['badge']);
	});

	it('is not told of pages that show no chat, whatever one writes there', async () => {
		const page = element('form');
		page.append(element('input'), element('textarea'), element('div', { contenteditable: 'true' }));
		for (const path of OTHERS) {
			history.replaceState(null, '', path);
			document.body.append(page);
			keep();
			await vi.advanceTimersByTimeAsync(2 * PATIENCE);
			expect([path, missing]).toEqual([path, []]);
		}
	});

	it.each([
		['note', 'note-chat-container', '/notes/one'],
		['channel', 'channel-container', '/channels/one'],
		['channel that is encrypted', '', '/channels/one/encrypted']
	])('is not told of a %s, which has the chat’s input', async (_what, id, path) => {
		const { chat, row } = makeChat();
		chat.id = id;
		row.remove();
		history.replaceState(null, '', path);
		document.body.append(chat);
		keep();
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual([]);
	});

	it('is not told while the app loads a chat, however long that takes', async () => {
		document.body.append(element('div', { id: 'splash-screen' }), element('nav'));
		document.body.append(element('input', { placeholder: 'Search' }), element('button'));
		keep();
		await vi.advanceTimersByTimeAsync(20 * PATIENCE);
		expect(missing).toEqual([]);
	});

	it('is told where this browser understands but one of the signs', async () => {
		const expected = [{ selector: ':has-no-such(' }, { selector: '#chat-input' }];
		keep({ ...SITES, badge: { expected, anchors: [] } });
		document.body.append(makeChat().chat);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual(['badge']);
	});

	it('is told for settings whose theme is all that is left, as a closed list', async () => {
		const modal = element('div', { class: 'modal' });
		const choice = element('option', { value: 'oled-dark' });
		modal.append(element('select'));
		modal.firstElementChild?.append(choice);
		choice.getClientRects = () => [] as unknown as DOMRectList;
		document.body.append(modal);
		keep();
		await vi.advanceTimersByTimeAsync(PATIENCE);
		expect(missing).toEqual(['settings']);
	});

	it('is noticed where this browser does not understand the selector of its anchor', async () => {
		const anchors = [{ selector: ':has-no-such(', position: 'after' as const }];
		keep({ ...SITES, settings: { ...SITES.settings, anchors } });
		document.body.append(makeSettings().tab, makeChat().chat);
		await vi.advanceTimersByTimeAsync(2 * PATIENCE);
		expect(missing).toEqual(['settings']);
		expect(fullPlaces()).toHaveLength(1);
	});
});
