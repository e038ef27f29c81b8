/** What a page says to the worker: it wants to be under control, as after a hard reload. */
export const CLAIM = 'tee-claim';

/** What it is told then. */
export interface Claimed {
	/** Whether the asking document stands in for what the person went to. */
	standIn: boolean;
}
