/** Where a panel has room, so that what is being typed stays in sight. */

/** Pixels at the top of the window where the app's own bar covers whatever reaches up there. */
const NAVBAR = 72;
/** Pixels of a panel: what is enough above, what anything can be read in, its greatest height, and
 * what is left free beside it. */
const ENOUGH = 180;
const LEAST = 120;
const GREATEST = 560;
const MARGIN = 8;

/** What is used of a rectangle on the page. */
export type Edges = Pick<DOMRect, 'top' | 'right' | 'bottom' | 'left'>;

export interface Room {
	/** `over` the box, where the window has room nowhere else: then all that is seen is the panel's. */
	side: 'above' | 'below' | 'over';
	/** Pixels from the badge's bottom to the panel's, for `above`, or else from its top to its top. */
	offset: number;
	/** Pixels that the panel may be high and wide. */
	height: number;
	width: number;
}

/**
 * Above the message box where there is enough, else on the side that has more, else over it.
 *
 * @param box The message box that the badge stands in or beside; the badge itself where none is.
 * @param seen What of the page is seen around the badge.
 */
export const roomBeside = (badge: Edges, box: Edges, seen: Edges): Room => {
	const top = Math.min(badge.top, box.top);
	const bottom = Math.max(badge.bottom, box.bottom);
	const above = top - Math.max(NAVBAR, seen.top);
	const below = seen.bottom - bottom - MARGIN;
	const width = seen.right - seen.left - 2 * MARGIN;
	if (Math.max(above, below) < LEAST) {
		// Under the app's bar, if that leaves enough.
		const hasBar = seen.bottom - NAVBAR - MARGIN >= ENOUGH;
		const start = Math.max(seen.top + MARGIN, hasBar ? NAVBAR : 0);
		const height = seen.bottom - start - MARGIN;
		return { side: 'over', offset: start - badge.top, height, width };
	}
	const side = above >= ENOUGH || above >= below ? 'above' : 'below';
	const offset = side === 'above' ? badge.bottom - top : bottom - badge.top;
	return { side, offset, height: Math.min(GREATEST, side === 'above' ? above : below), width };
};

/** Pixels from the badge's right edge to that of a panel of this width: both ends are seen. */
export const shiftOf = (badge: Edges, width: number, seen: Edges): number =>
	Math.min(0, badge.right - width - seen.left - MARGIN);

/** What is seen around the badge: of the window, without what its ancestors cut off. */
export const seenAround = (badge: Element): Edges => {
	let { top, right, bottom, left }: Edges = {
		top: 0,
		right: innerWidth,
		bottom: innerHeight,
		left: 0
	};
	// What the body and the root cut off, the window does.
	const { body, documentElement } = badge.ownerDocument;
	for (let outer = badge.parentElement; outer; outer = outer.parentElement) {
		if (outer === body || outer === documentElement) break;
		if (/^(visible)?$/.test(getComputedStyle(outer).overflow)) continue;
		const edges = outer.getBoundingClientRect();
		top = Math.max(top, edges.top);
		right = Math.min(right, edges.right);
		bottom = Math.min(bottom, edges.bottom);
		left = Math.max(left, edges.left);
	}
	return { top, right, bottom, left };
};

/** What the person types in, where this badge stands in or beside it. */
export const messageBox = (badge: Element): Element => {
	const form = badge.closest('form');
	if (form) return form;
	// The badge in the corner of the window: its panel could reach over the box, wherever that is.
	const isChip = badge.closest('[data-tee-chip]') !== null;
	const field = isChip ? badge.ownerDocument.querySelector('#chat-input') : null;
	return field?.closest('form') ?? badge;
};
