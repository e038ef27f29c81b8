import type { PlaceName, Site } from './anchors';
import { Finder } from './finder';

/** So many of a kind are filled at once: the app shows two, a hostile page could bring thousands. */
export const FILLED_MAX = 4;
/** Milliseconds after which a place that should be there counts as missing. */
export const PATIENCE = 5_000;
/** Where the badge stands that has no place. */
const CORNER = { position: 'fixed', right: '12px', bottom: '12px', 'z-index': '9999' };
/** The same, on pages whose own buttons are in that corner. */
const OVER_CORNER = { ...CORNER, bottom: '80px' };
/** Milliseconds to the next look where the browser draws no frames (a hidden page). */
const WITHOUT_FRAMES = 100;

export interface Handlers {
	/**
	 * Put into a place what belongs there. It is called again for a place that somebody emptied,
	 * and by `refill`; `wanted` says whether the place is still to be filled.
	 */
	fill: (place: HTMLElement, name: PlaceName, wanted: () => boolean) => void;
	/** The app has no place of this name, or hides it, although it should: said once for each name. */
	missing: (name: PlaceName) => void;
	/** Whether the page's address is that of a chat, and somebody is signed in. */
	inChat: () => boolean;
	/** Whether it is that of another page that can be written to, and somebody is signed in. */
	elsewhere: () => boolean;
}

/** Whether the app shows this; a choice is seen where its menu is. */
const isVisible = (element: Element): boolean =>
	(element.closest('select') ?? element).getClientRects().length > 0;

/** Whether a place shows what is in it, whatever styles the page has. */
const isSeen = (place: HTMLElement): boolean => {
	const shown =
		!('checkVisibility' in place) || // not every browser has it
		place.checkVisibility({ opacityProperty: true, visibilityProperty: true });
	return shown && [...place.getClientRects()].some(({ width, height }) => width * height > 0);
};

/**
 * Keeps what belongs into the places of a document in them, from the first look on.
 *
 * A badge whose place is missing for {@link PATIENCE} stands in the corner of the window instead,
 * for as long as it is missing. A place that nobody sees counts as missing, too.
 */
export class Keeper {
	readonly #finder: Finder;
	readonly #window: Window;
	readonly #filled: Record<PlaceName, Set<HTMLElement>> = {
		badge: new Set(),
		settings: new Set(),
		admin: new Set(),
		controls: new Set()
	};
	readonly #timers = new Map<PlaceName, number>();
	readonly #missing = new Set<PlaceName>();
	/** Names whose places are there and hidden, as of the last examination. */
	readonly #hidden = new Set<PlaceName>();
	#chip: HTMLElement | undefined;
	#scheduled = false;

	constructor(
		private readonly document: Document,
		sites: Readonly<Record<PlaceName, Site>>,
		private readonly handlers: Handlers
	) {
		if (!document.defaultView) throw new Error('a document without a window');
		this.#window = document.defaultView;
		this.#finder = new Finder(document, sites);
	}

	/** Look now, and again whenever the document changes. */
	start(): void {
		const observer = new MutationObserver(() => {
			this.#schedule();
		});
		observer.observe(this.document, { childList: true, subtree: true });
		this.#window.setInterval(() => {
			this.#examine();
		}, PATIENCE);
		this.look();
	}

	/** Look for places, fill those that came, and notice those that should be there and are not. */
	look(): void {
		for (const name of Object.keys(this.#filled) as PlaceName[]) {
			const places = this.#places(name);
			const absent = places.length === 0 || this.#hidden.has(name);
			const lacking = absent && this.#signs(name).length > 0;
			this.#beReady(name, lacking);
			if (name === 'badge') {
				const missing = lacking && this.#missing.has(name);
				places.push(...this.#corner(missing ? CORNER : this.#overCorner(absent)));
			}
			this.#fill(name, places);
		}
	}

	/** The app's places of this name: without the one in the corner. */
	#places(name: PlaceName): HTMLElement[] {
		return this.#finder.find(name).filter((place) => place !== this.#chip);
	}

	/**
	 * What shows that there should be such a place. For the badge in a chat it is, in the last resort,
	 * anything that people can write in: that is never called something else.
	 */
	#signs(name: PlaceName): HTMLElement[] {
		const signs = this.#finder.expected(name);
		if (name === 'badge' && this.handlers.inChat()) signs.push(...this.#finder.fields());
		return signs;
	}

	/** See which places are hidden: now and then, because a browser has to lay out the page for it. */
	#examine(): void {
		for (const name of Object.keys(this.#filled) as PlaceName[]) {
			const places = this.#places(name);
			if (places.length > 0 && !places.some(isSeen)) this.#hidden.add(name);
			else this.#hidden.delete(name);
		}
		this.look();
	}

	/** Fill every place once more. */
	refill(): void {
		for (const name of Object.keys(this.#filled) as PlaceName[]) {
			for (const place of this.#filled[name]) this.#put(name, place);
		}
	}

	/** Look once before the next frame, however much changes until then. */
	#schedule(): void {
		if (this.#scheduled) return;
		this.#scheduled = true;
		const once = () => {
			if (!this.#scheduled) return;
			this.#scheduled = false;
			this.look();
		};
		this.#window.requestAnimationFrame(once);
		this.#window.setTimeout(once, WITHOUT_FRAMES);
	}

	/** Fill the first of these places, and empty what is no longer among them. */
	#fill(name: PlaceName, places: HTMLElement[]): void {
		const filled = this.#filled[name];
		const wanted = new Set(places.slice(0, FILLED_MAX));
		for (const place of filled) {
			if (wanted.has(place)) continue;
			filled.delete(place);
			place.replaceChildren();
		}
		for (const place of wanted) {
			if (filled.has(place) && place.hasChildNodes()) continue;
			filled.add(place);
			this.#put(name, place);
		}
	}

	#put(name: PlaceName, place: HTMLElement): void {
		this.#finder.protect(place);
		this.handlers.fill(place, name, () => this.#filled[name].has(place));
	}

	/** Be patient with a place that is lacking: the app may just be about to bring it. */
	#beReady(name: PlaceName, lacking: boolean): void {
		if (!lacking) {
			this.#window.clearTimeout(this.#timers.get(name));
			this.#timers.delete(name);
		} else if (!this.#timers.has(name) && !this.#missing.has(name)) {
			const expire = () => {
				this.#expire(name);
			};
			this.#timers.set(name, this.#window.setTimeout(expire, PATIENCE));
		}
	}

	/** The place did not come: it is missing, unless nobody sees yet what it belongs to. */
	#expire(name: PlaceName): void {
		this.#timers.delete(name);
		const expected = this.#signs(name).some(isVisible);
		if (expected && !this.#places(name).some(isSeen)) {
			this.#missing.add(name);
			this.handlers.missing(name);
		}
		this.look();
	}

	/** The styles of the stand-in on a page that has no place for a badge, and takes words. */
	#overCorner(absent: boolean): typeof CORNER | undefined {
		const isNeeded = absent && this.handlers.elsewhere() && this.#finder.fields().length > 0;
		return isNeeded ? OVER_CORNER : undefined;
	}

	/** The badge's stand-in in the corner of the window, where there are styles for it. */
	#corner(styles: typeof CORNER | undefined): HTMLElement[] {
		if (!styles) {
			this.#chip?.remove();
			this.#chip = undefined;
			return [];
		}
		if (!this.#chip) {
			this.#chip = this.#finder.create('badge');
			this.#chip.setAttribute('data-tee-chip', '');
		}
		this.#finder.protect(this.#chip, styles);
		if (!this.#chip.isConnected) this.document.body.append(this.#chip);
		return [this.#chip];
	}
}
