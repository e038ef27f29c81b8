import data from '../../../patches/open-webui/anchors.json';

export type PlaceName = 'badge' | 'settings' | 'controls' | 'admin';

/** Where the loader makes a place in an open-webui that brings none. */
export interface Anchor {
	/** CSS selector. */
	selector: string;
	/** Inside the selected element, or beside it. */
	position: 'first-child' | 'last-child' | 'before' | 'after';
}

/** What shows that a place should be there. */
export interface Sign {
	/** CSS selector of something that is visible then. */
	selector: string;
}

/** Where a place is to be, by what open-webui shows. */
export interface Site {
	/**
	 * One of them is enough: a version that renames one thing, or a browser that does not know it.
	 * Missing where nobody need be told that the place is.
	 */
	expected?: readonly Sign[];
	/** Alternatives: the first that fits counts. */
	anchors: readonly Anchor[];
	/** Where one is as well, such as in channels and in a voice call: each that fits counts. */
	further?: readonly Anchor[];
}

/** What patches/open-webui/anchors.json says about each place. */
export const SITES = data.places as Readonly<Record<PlaceName, Site>>;
