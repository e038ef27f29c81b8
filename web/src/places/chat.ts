/**
 * Which chat is open, by the page's address: `/` is a new one, `/c/<id>` an existing one, and
 * anything else is no chat (the open one is then still the last).
 *
 * A new chat gets its id with its first message, by `history.replaceState`: that is the same chat.
 * `history.pushState` to `/` is another new chat, also from one that was not used. In two cases only
 * the click tells. After the first message open-webui itself forgets the address, and its New Chat
 * button leaves it as it is. And a link to `/` that is followed at `/` only replaces the address by
 * itself: such links, the app's name and sign, begin a new chat from 0.6 on.
 */

type Move = 'push' | 'replace' | 'travel';

/** The app's buttons and links for a new chat; its shortcuts and menus click the buttons as well. */
const NEW_CHAT = '#new-chat-button, #sidebar-new-chat-button, a[href="/"], a[href^="/?"]';

/** The chat at an address: its id, empty for a new one, or undefined where there is none. */
const chatAt = (path: string): string | undefined => {
	if (path === '/') return '';
	return /^\/c\/([^/]+)/.exec(path)?.[1];
};

/** Whether a page with this path shows a chat that can be written to: a folder begins a new one. */
export const isChat = (path: string): boolean =>
	chatAt(path) !== undefined || path.startsWith('/folders/');

/** Whether a page with this path has something else that can be written to. */
export const isElsewhere = (path: string): boolean =>
	/^\/(channels|notes|playground)\//.test(`${path}/`);

/**
 * Call `opened` with a number that is new for each other chat, whenever one is opened. Returns
 * what tells the number of the one that is open.
 */
export const watchChats = (window: Window, opened: (chat: string) => void): (() => string) => {
	const { document, history, location } = window;
	/** The chat at the address, and the one that is open: they differ on pages without a chat. */
	let here = chatAt(location.pathname);
	let open = here;
	let number = 1;

	const openAnother = (): void => {
		number += 1;
		const chat = String(number);
		// Later, so that nothing of ours is in the way of the app's own navigation.
		queueMicrotask(() => {
			opened(chat);
		});
	};

	const moved = (move: Move): void => {
		const before = here;
		here = chatAt(location.pathname);
		if (here === undefined) return;
		const gotItsName = move === 'replace' && before === '' && here !== '';
		const another = here !== open || (move === 'push' && here === '');
		open = here;
		if (another && !gotItsName) openAnother();
	};

	const follow = (name: 'pushState' | 'replaceState', move: Move): void => {
		const original = history[name].bind(history);
		history[name] = (...args) => {
			original(...args);
			moved(move);
		};
	};
	follow('pushState', 'push');
	follow('replaceState', 'replace');
	window.addEventListener('popstate', () => {
		moved('travel');
	});
	const clicked = ({ target }: Event): void => {
		if (!(target instanceof Element && target.closest(NEW_CHAT))) return;
		here = open = '';
		openAnother();
	};
	// Before the app hears of it, and whatever it then keeps from others.
	document.addEventListener('click', clicked, { capture: true });
	return () => String(number);
};
