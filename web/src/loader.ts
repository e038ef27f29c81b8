import { guard } from './guard/guard';
import { watchViolations } from './guard/violations';
import { brokenIn } from './i18n/broken';
import type * as Page from './page';
import { SITES, type PlaceName } from './places/anchors';
import { isChat, isElsewhere, watchChats } from './places/chat';
import { Keeper } from './places/keeper';
import type * as Sealing from './sealing';
import type { Door } from './transport/door';
import { waitingCarrier } from './transport/waiting';
import { wrap } from './transport/wrap';

/** The names of the page's piece and of its transport, with their hashes; build.js puts them in. */
declare const PAGE_PIECE: string;
declare const SEALING_PIECE: string;

declare global {
	interface Window {
		/** There once the loader has begun. */
		cczooTrustBadge?: object;
	}
}

/** What the loader calls of the page's piece. */
type Piece = Pick<
	typeof Page,
	'mount' | 'askBy' | 'openChat' | 'offerSettings' | 'blocked' | 'originAsked' | 'enter'
>;
/** Loads a module by its address. */
type Load = <Module>(address: string) => Promise<Module>;

/** Milliseconds between two tries to load the page's piece. */
export const RETRY = 15_000;
/** Milliseconds after which a place says that what belongs there has not come yet. */
export const LATE = 5_000;

/** What the console says of a place that is missing; nothing says that there should be another. */
const MISSING: Partial<Record<PlaceName, string>> = {
	badge:
		'The trust badge does not find its place in this open-webui, or the place is hidden; the badge is in the corner of the window instead.',
	settings:
		'The settings of the trust badge do not find their place in this open-webui, or the place is hidden; they are in the panel of the badge instead.'
};

const isSignedIn = (): boolean => {
	try {
		return Boolean(localStorage.getItem('token'));
	} catch {
		return false; // where storage is forbidden, even its name throws
	}
};

/** Where nothing comes to fill a place, say so in it: a badge never goes missing silently. */
const mark = (place: HTMLElement): void => {
	const text = document.createElement('span');
	text.textContent = `✕ ${brokenIn(document.documentElement.lang)}`;
	text.setAttribute('role', 'alert');
	text.setAttribute('data-testid', 'tee-broken');
	Object.assign(text.style, { color: '#dc2626', fontSize: '12px' });
	place.replaceChildren(text);
};

/**
 * Fill the places of badge and forms: the page's piece comes with the first of them.
 *
 * @param self Address of this script: the other pieces are beside it, the kit's routes one above.
 * @param piece Name of the page's piece.
 * @param load Loads a module by its address.
 * @param asked Resolves when the app asked for the page's origin for something from outside.
 * @returns What brings the page's piece before there is a place for it.
 */
export const start = (
	self: string,
	piece: string,
	load: (address: string) => Promise<Piece>,
	asked: Promise<void>
): (() => Promise<Piece>) => {
	/** As it is before the app comes. */
	const ownFetch = window.fetch.bind(window);
	let page: Promise<Piece> | undefined;
	let failures = 0;
	let timer: ReturnType<typeof setTimeout> | undefined;
	let roomForSettings = true;
	/** Places for which the page's piece is on its way. */
	const waiting = new WeakSet<HTMLElement>();

	const tryLater = (): void => {
		clearTimeout(timer);
		timer = setTimeout(() => {
			keeper.refill();
		}, RETRY);
	};

	const loadPage = async (): Promise<Piece> => {
		// Some browsers keep a piece that failed in mind, under its address.
		const again = failures > 0 ? `?${failures}` : '';
		try {
			const loaded = await load(new URL(piece + again, self).href);
			loaded.askBy(ownFetch);
			loaded.openChat(openChat());
			return loaded;
		} catch (error) {
			page = undefined;
			failures += 1;
			tryLater();
			throw error;
		}
	};

	const fill = async (place: HTMLElement, name: PlaceName, wanted: () => boolean) => {
		if (waiting.has(place)) return;
		waiting.add(place);
		page ??= loadPage();
		const late = setTimeout(() => {
			if (wanted()) mark(place);
		}, LATE);
		try {
			const { mount, offerSettings } = await page;
			if (!roomForSettings) offerSettings();
			if (wanted()) mount(place, name);
		} catch (error) {
			console.warn('The trust badge could not be shown.', error);
			if (wanted()) mark(place);
		} finally {
			clearTimeout(late);
			waiting.delete(place);
		}
	};

	const report = (name: PlaceName): void => {
		console.warn(MISSING[name]);
		fetch(new URL('../report', self), {
			method: 'POST',
			headers: { 'content-type': 'application/json' },
			body: JSON.stringify({ v: 1, missing: [name] }),
			credentials: 'omit'
		}).catch(() => {
			// the console has said so
		});
	};

	const openChat = watchChats(window, (chat) => {
		page?.then(
			({ openChat }) => {
				openChat(chat);
			},
			() => {
				// it gets the number when it comes
			}
		);
	});

	const keeper = new Keeper(document, SITES, {
		fill: (place, name, wanted) => void fill(place, name, wanted),
		inChat: () => isChat(location.pathname) && isSignedIn(),
		elsewhere: () => isElsewhere(location.pathname) && isSignedIn(),
		missing: (name) => {
			report(name);
			if (name !== 'settings') return;
			roomForSettings = false;
			keeper.refill();
		}
	});
	keeper.start();

	/** Have the page's piece tell something that the console has said already. */
	const tell = (words: (piece: Piece) => void): void => {
		page ??= loadPage();
		page.then(words, () => {
			// it stays with the console
		});
	};
	watchViolations(window, (violation) => {
		tell(({ blocked }) => {
			blocked(violation);
		});
	});
	void asked.then(() => {
		console.warn(
			'This open-webui would show something from outside, such as what a model wrote, with all rights of this page. The trust badge took that right from it.'
		);
		tell(({ originAsked }) => {
			originAsked();
		});
	});
	return () => (page ??= loadPage());
};

/**
 * Have everything that this page's code asks of its origin go by the door, which comes as a piece of
 * its own: requests wait for it. Returns that, and what settles with it.
 */
const seal = (self: string, load: Load): (() => Promise<Door>) => {
	const failed = (error: unknown) => {
		console.warn('A sealed request came to nothing.', error);
	};
	const own = { fetch: window.fetch.bind(window), WebSocket: window.WebSocket, failed };
	let failures = 0;
	let door: Promise<Door> | undefined;
	const opening = (): Promise<Door> => {
		const again = failures > 0 ? `?${failures}` : '';
		door ??= load<typeof Sealing>(new URL(SEALING_PIECE + again, self).href).then(
			({ open }) => open(own),
			(error: unknown) => {
				failures += 1;
				door = undefined;
				throw error;
			}
		);
		return door;
	};
	const later = (ms: number, call: () => void) => {
		const timer = setTimeout(call, ms);
		return () => {
			clearTimeout(timer);
		};
	};
	const carrier = async () => (await opening()).carrier;
	wrap(window, waitingCarrier(carrier, { fetch: own.fetch, failed, later }));
	return opening;
};

/**
 * Whether an app that has a badge of its own shows this page in a frame, as it does with files and
 * artifacts. In a frame of somebody else's page, say a company's portal, this is the app itself.
 */
const isInsideTheApp = ({ top, origin }: Window): boolean => {
	try {
		return top?.cczooTrustBadge !== undefined;
	} catch {
		// Another origin above: that of a portal, or that of the app if this frame has none.
		return origin === 'null';
	}
};

const insideTheApp = window.top !== window && isInsideTheApp(window);
const isFirst = window.cczooTrustBadge === undefined;
window.cczooTrustBadge ??= {};
const { currentScript } = document;
if (isFirst && currentScript instanceof HTMLScriptElement) {
	const asked = guard(window);
	if (!insideTheApp) {
		const load: Load = (address) => import(/* @vite-ignore */ address);
		const { src } = currentScript;
		const opening = seal(src, load);
		const bring = start(src, PAGE_PIECE, load, asked);
		const enter = (): void => {
			Promise.all([opening(), bring()]).then(
				([door, page]) => {
					page.enter(door);
				},
				() => {
					setTimeout(enter, RETRY);
				}
			);
		};
		enter();
	}
}
