/** Requests that are begun ahead, so that one that comes need not wait for its key agreement. */
import type { Encapsulation } from './chunked-ohttp';
import type { SealKey } from './keyset';

/** A request that has its key, and not yet its words. */
export interface Begun {
	key: SealKey;
	encapsulation: Encapsulation;
}

export interface Pool {
	/** One that is ready, or the next. */
	take: () => Promise<Begun>;
	/** Have as many ready as at the beginning. */
	fill: () => void;
}

/** Begin so many requests, now and after each one that is taken. */
export const poolOf =
	(count = 2) =>
	(begin: () => Promise<Begun>): Pool => {
		const ready: Promise<Begun>[] = [];
		const fill = () => {
			while (ready.length < count) {
				const begun = begin();
				begun.catch(() => undefined); // told to whoever takes it
				ready.push(begun);
			}
		};
		fill();
		return { take: () => ready.shift() ?? begin(), fill };
	};
