import type { Anchor, PlaceName, Site } from './anchors';
import { isContent } from '../base/content';

/** Anchors that get a place: the app has one, or two while it draws a chat anew. */
const ANCHORS_MAX = 16;

const ATTRIBUTE = 'data-tee-place';

/** What people write in, whatever an open-webui calls it. */
const FIELDS = ['form textarea', '[contenteditable]', '[role="textbox"]'];

/** What no style of the page may change about a place: whether it is seen. */
const SEEN = {
	display: 'block',
	visibility: 'visible',
	opacity: '1',
	transform: 'none',
	filter: 'none',
	'clip-path': 'none'
};

const isPlace = (element: Element | null, name: PlaceName): element is HTMLElement =>
	element instanceof HTMLElement && element.getAttribute(ATTRIBUTE) === name;

const put = (place: HTMLElement, element: HTMLElement, position: Anchor['position']): void => {
	if (position === 'first-child') element.prepend(place);
	else if (position === 'last-child') element.append(place);
	else element[position](place);
};

/**
 * Finds the places of badge, forms and what leads to them: those that the app brings
 * (`<div data-tee-place="badge">`), and those that it makes at anchors where the app brings none.
 *
 * The app may rebuild, move and copy what is around them at any time. Whatever it does, there is
 * one place in an anchor, and what came with a model's answer is none.
 */
export class Finder {
	/** Places that came with a model's answer: they stay what they are. */
	readonly #foreign = new WeakSet<Element>();
	readonly #made = new WeakSet<Element>();

	constructor(
		private readonly document: Document,
		private readonly sites: Readonly<Record<PlaceName, Site>>
	) {}

	/** All places of this name, those at anchors first. */
	find(name: PlaceName): HTMLElement[] {
		const anchored = this.#anchored(name);
		const others = this.#placesIn(this.document, name).filter((place) => !anchored.includes(place));
		for (const place of others) {
			if (this.#made.has(place)) place.remove(); // its anchor has left it
		}
		return [...anchored, ...others.filter((place) => place.isConnected)];
	}

	/**
	 * The elements, seen or not, by which the app shows that this place should be there. Those that
	 * came with an answer count: better a false alarm than a badge that goes missing silently.
	 */
	expected(name: PlaceName): HTMLElement[] {
		const { expected = [] } = this.sites[name];
		return expected.flatMap(({ selector }) => this.#select(selector));
	}

	/** All that people could write a message in. */
	fields(): HTMLElement[] {
		return FIELDS.flatMap((selector) => this.#select(selector));
	}

	/** Give a place styles that outweigh all others. */
	protect(place: HTMLElement, styles: Readonly<Record<string, string>> = SEEN): void {
		for (const [name, value] of Object.entries(styles)) {
			place.style.setProperty(name, value, 'important');
		}
	}

	/** A node that is a place, wherever it will stand. */
	create(name: PlaceName): HTMLElement {
		const place = this.document.createElement('div');
		place.setAttribute(ATTRIBUTE, name);
		return place;
	}

	/** The places at anchors. */
	#anchored(name: PlaceName): HTMLElement[] {
		const { anchors, further = [] } = this.sites[name];
		const at = (anchor: Anchor): HTMLElement[] =>
			this.#select(anchor.selector)
				.filter((element) => !isContent(element))
				.slice(0, ANCHORS_MAX)
				.map((element) => this.#at(element, anchor, name));
		let places: HTMLElement[] = [];
		for (const anchor of anchors) {
			places = at(anchor);
			if (places.length > 0) break;
		}
		return [...new Set([...places, ...further.flatMap(at)])];
	}

	/** The one place at an anchor: the one that is there, or one that we make. */
	#at(element: HTMLElement, { position }: Anchor, name: PlaceName): HTMLElement {
		const inside = position === 'first-child' || position === 'last-child';
		const [place, ...copies] = inside
			? this.#placesIn(element, name)
			: [element.previousElementSibling, element.nextElementSibling].filter((sibling) =>
					isPlace(sibling, name)
				);
		for (const copy of copies) copy.remove();
		return place ?? this.#make(element, position, name);
	}

	#make(element: HTMLElement, position: Anchor['position'], name: PlaceName): HTMLElement {
		const place = this.create(name);
		this.#made.add(place);
		put(place, element, position);
		return place;
	}

	#placesIn(root: ParentNode, name: PlaceName): HTMLElement[] {
		const places = root.querySelectorAll<HTMLElement>(`[${ATTRIBUTE}="${name}"]`);
		return [...places].filter((place) => this.#isOurs(place));
	}

	/** Remembered for each node, so that thousands of them in an answer cost nothing later. */
	#isOurs(place: Element): boolean {
		if (this.#foreign.has(place)) return false;
		if (isContent(place)) this.#foreign.add(place);
		return !this.#foreign.has(place);
	}

	#select(selector: string): HTMLElement[] {
		try {
			return [...this.document.querySelectorAll<HTMLElement>(selector)];
		} catch {
			return []; // a selector that this browser does not know yet selects nothing
		}
	}
}
