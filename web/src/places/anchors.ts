import data from '../../../patches/open-webui/anchors.json';

export type PlaceName = 'badge' | 'settings';

/** Where the loader makes a place in an open-webui that brings none. */
export interface Anchor {
	/** CSS selector. */
	selector: string;
	/** Inside the selected element, or beside it. */
	position: 'first-child' | 'last-child' | 'before' | 'after';
}

/** Where a place is to be, by what open-webui shows. */
export interface Site {
	/** CSS selector: where such an element is visible, there should be the place. */
	expected: string;
	anchors: readonly Anchor[];
}

/** What patches/open-webui/anchors.json says about each place. */
export const SITES = data.places as Readonly<Record<PlaceName, Site>>;
