/** Milliseconds: the first and the longest step between two tries, and the longest that we let others ask for. */
export const FIRST_STEP = 2_000;
export const LONGEST_STEP = 120_000;
export const LONGEST_WAIT = 300_000;

/** What a pause depends on. */
export interface Tries {
	/** How many have failed, one after the other. */
	failed: number;
	/** Milliseconds that the last one was asked to wait. */
	asked: number;
	/** Milliseconds for which an older result still holds; 0 for none. */
	left: number;
	/** From 0 to 1, drawn anew each time. */
	random: number;
}

/**
 * Milliseconds until the next try.
 *
 * The steps double, and half of each is left to chance, so that the pages of a server that comes
 * back do not all ask it at once. While an older result holds, a step is at most half of what is
 * left of it: it would be a pity to miss its end by waiting.
 */
export const pause = ({ failed, asked, left, random }: Tries): number => {
	const longest = left > 0 ? Math.max(FIRST_STEP, left / 2) : LONGEST_STEP;
	const step = Math.min(FIRST_STEP * 2 ** (failed - 1), longest, LONGEST_STEP);
	return Math.max(step / 2, Math.min(asked, LONGEST_WAIT)) + (random * step) / 2;
};

/** Milliseconds that are waited in any case, whatever there is to try again for. */
export const leastPause = (asked: number): number =>
	Math.max(FIRST_STEP / 2, Math.min(asked, LONGEST_WAIT));
