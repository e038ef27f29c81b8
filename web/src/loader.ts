import { guard } from './guard/guard';
import { watchViolations } from './guard/violations';
import { brokenIn } from './i18n/broken';
import type * as Page from './page';
import { SITES, type PlaceName } from './places/anchors';
import { isChat, watchChats } from './places/chat';
import { Keeper } from './places/keeper';

/** The name of the page's piece, with its hash; build.js puts it in. */
declare const PAGE_PIECE: string;

declare global {
	interface Window {
		/** There once the loader has begun. */
		cczooTrustBadge?: object;
	}
}

/** What the loader calls of the page's piece. */
type Piece = Pick<typeof Page, 'mount' | 'openChat' | 'offerSettings' | 'blocked' | 'originAsked'>;

/** Milliseconds between two tries to load the page's piece. */
export const RETRY = 15_000;
/** Milliseconds after which a place says that what belongs there has not come yet. */
export const LATE = 5_000;

/** What the console says of a place that is missing. */
const MISSING: Record<PlaceName, string> = {
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
 * Fill the places of badge and settings: the page's piece comes with the first of them.
 *
 * @param self Address of this script: the other pieces are beside it, the kit's routes one above.
 * @param piece Name of the page's piece.
 * @param load Loads a module by its address.
 * @param asked Resolves when the app asked for the page's origin for something from outside.
 */
export const start = (
	self: string,
	piece: string,
	load: (address: string) => Promise<Piece>,
	asked: Promise<void>
): void => {
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
};

/**
 * Whether an app that has a badge of its own shows this page in a frame, as it does with files and
 * artifacts. In a frame of somebody else's page, say a company's portal, this is the app itself.
 */
export const isInsideTheApp = ({ top, origin }: Window): boolean => {
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
		const load = (address: string) => import(/* @vite-ignore */ address) as Promise<Piece>;
		start(currentScript.src, PAGE_PIECE, load, asked);
	}
}
