/** Where a panel has room, so that what is being typed stays in sight. */

/** Pixels at the top of the window where the app's own bar covers whatever reaches up there. */
const NAVBAR = 72;
/** Pixels of a panel: what is enough above, what anything can be read in, its greatest height, and
 * what is left free beside it. */
const ENOUGH = 180;
const LEAST = 120;
const GREATEST = 560;
const MARGIN = 8;

/** What is used of a rectangle in the window. */
export type Edges = Pick<DOMRect, 'top' | 'right' | 'bottom'>;

export interface Size {
	width: number;
	height: number;
}

/** Where in the window a panel starts, or above what it ends, and how large it may be; in pixels. */
export interface Room extends Size {
	side: 'above' | 'below' | 'over';
	/** From the window's upper edge. */
	at: number;
}

/**
 * Above the message box where there is enough, else on the side that has more, else over it.
 *
 * @param box The message box that the badge stands in or beside; the badge itself where none is.
 */
export const roomBeside = (badge: Edges, box: Edges, { width, height }: Size): Room => {
	const top = Math.min(badge.top, box.top);
	const bottom = Math.max(badge.bottom, box.bottom);
	const above = top - NAVBAR;
	const below = height - bottom - MARGIN;
	const inside = width - 2 * MARGIN;
	if (Math.max(above, below) < LEAST) {
		// Under the app's bar, if that leaves enough.
		const hasBar = height - NAVBAR - MARGIN >= ENOUGH;
		const at = hasBar ? NAVBAR : MARGIN;
		return { side: 'over', at, height: height - at - MARGIN, width: inside };
	}
	return above >= ENOUGH || above >= below
		? { side: 'above', at: top, height: Math.min(GREATEST, above), width: inside }
		: { side: 'below', at: bottom, height: Math.min(GREATEST, below), width: inside };
};

/** Pixels from the window's left edge to a panel that ends with the badge, and starts in the window. */
export const startOf = (badge: Edges, width: number): number =>
	Math.max(MARGIN, badge.right - width);

/** What the person types in, where this badge stands in or beside it. */
export const messageBox = (badge: Element): Element => {
	const form = badge.closest('form');
	if (form) return form;
	// The badge in the corner of the window: its panel could reach over the box, wherever that is.
	const isChip = badge.closest('[data-tee-chip]') !== null;
	const field = isChip ? badge.ownerDocument.querySelector('#chat-input') : null;
	return field?.closest('form') ?? badge;
};
