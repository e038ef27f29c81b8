// @vitest-environment jsdom
import { afterEach, describe, expect, it } from 'vitest';
import { watchChats } from '../../src/places/chat';

const own = Object.getOwnPropertyNames(history);

/** At this address, the chats that are opened from now on. */
const openAt = (path: string) => {
	history.replaceState(null, '', path);
	const opened: string[] = [];
	const chat = watchChats(window, (number) => opened.push(number));
	return { chat, settled: () => Promise.resolve().then(() => opened) };
};

afterEach(() => {
	// Back to the browser's own functions, which are those of the prototype.
	for (const name of ['pushState', 'replaceState']) Reflect.deleteProperty(history, name);
	expect(Object.getOwnPropertyNames(history)).toEqual(own);
});

describe('the open chat', () => {
	it('only gets its name with its first message', async () => {
		const { chat, settled } = openAt('/');
		history.replaceState({}, '', '/c/one');
		expect([await settled(), chat()]).toEqual([[], '1']);
	});

	it('is another one whenever one is opened', async () => {
		const { chat, settled } = openAt('/c/one');
		history.pushState({}, '', '/c/two');
		history.pushState({}, '', '/');
		history.replaceState({}, '', '/c/three');
		history.pushState({}, '', '/c/one');
		expect([await settled(), chat()]).toEqual([['2', '3', '4'], '4']);
	});

	it('is another one where a new chat replaces an existing one', async () => {
		// initNewChat does so, from 0.5.20 to 0.12.4
		const { settled } = openAt('/c/one');
		history.replaceState({}, '', '/');
		expect(await settled()).toEqual(['2']);
	});

	it('is another one where New Chat is chosen in a new chat', async () => {
		const { settled } = openAt('/?models=a');
		history.pushState({}, '', '/');
		expect(await settled()).toEqual(['2']);
	});

	it('is another one at a click on New Chat, although the address stays that of the last', async () => {
		// 0.5.20 after a first message: the app takes itself to be at `/` still
		const { settled } = openAt('/');
		history.replaceState({}, '', '/c/one');
		const button = document.body.appendChild(document.createElement('button'));
		button.id = 'new-chat-button';
		button.append(document.createElement('i'));
		button.addEventListener('click', (event) => {
			event.stopPropagation();
		});
		button.click();
		history.replaceState({}, '', '/c/two');
		expect(await settled()).toEqual(['2']);
		(button.firstElementChild as HTMLElement).click();
		expect(await settled()).toEqual(['2', '3']);
		document.body.click();
		expect(await settled()).toEqual(['2', '3']);
	});

	it.each(['/', '/?models=a'])(
		'is another one at a click on a link to %s in an unused chat, which leaves the address',
		async (href) => {
			// the app's name and sign in the side bar, 0.6.43 and 0.12.4
			const { settled } = openAt('/');
			const link = document.body.appendChild(document.createElement('a'));
			link.href = href;
			link.append(document.createElement('img'));
			link.addEventListener('click', (event) => {
				event.preventDefault();
				history.replaceState({}, '', href);
			});
			(link.firstElementChild as HTMLElement).click();
			expect(await settled()).toEqual(['2']);
			link.click();
			expect(await settled()).toEqual(['2', '3']);
			link.href = '/workspace';
			link.click();
			expect(await settled()).toEqual(['2', '3']);
		}
	);

	it('stays the same while its address only gets parameters, or is left and come back to', async () => {
		const { settled } = openAt('/c/one');
		history.replaceState({}, '', '/c/one?x=1');
		history.replaceState({}, '');
		history.pushState({}, '', '/workspace/models');
		history.pushState({}, '', '/c/one#end');
		expect(await settled()).toEqual([]);
	});

	it('is a new one after another page, also where that page is replaced', async () => {
		const { settled } = openAt('/auth');
		history.pushState({}, '', '/');
		history.pushState({}, '', '/workspace');
		history.replaceState({}, '', '/c/one');
		expect(await settled()).toEqual(['2', '3']);
	});

	it('follows back and forward', async () => {
		const { settled } = openAt('/c/one');
		history.pushState({}, '', '/c/two');
		const travelled = new Promise((resolve) => {
			window.addEventListener('popstate', resolve);
		});
		history.back();
		await travelled;
		expect(await settled()).toEqual(['2', '3']);
	});

	it('leaves history as it was for the app, errors included', () => {
		openAt('/');
		history.pushState({ some: 'state' }, '', '/c/one');
		expect([history.state, location.pathname]).toEqual([{ some: 'state' }, '/c/one']);
		expect(() => {
			history.pushState({}, '', 'https://elsewhere.example/');
		}).toThrow('elsewhere.example');
	});
});
