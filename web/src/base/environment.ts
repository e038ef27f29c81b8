import type { Whose } from './account';

/**
 * Which texts in this browser's storage the kit itself put there: kept in a second storage, apart
 * from the first, so that what others write or delete there is noticed.
 */
export interface Marks {
	/** The marked text of this name, or null; rejects where the browser keeps no marks. */
	get: (name: string) => Promise<string | null>;
	/** By the person's word: mark a text, or with null nothing. */
	set: (name: string, text: string | null) => void;
	/** The kit wrote a text in the place of another: it is marked exactly where that one was. */
	follow: (name: string, before: string | null, text: string) => void;
}

/** Everything that the verification takes from outside: a test passes its own. */
export interface Environment {
	fetch: typeof fetch;
	/** Milliseconds since 1970. */
	now: () => number;
	/**
	 * Milliseconds since some moment, by a clock that nobody sets. It may stand still while the
	 * machine sleeps.
	 */
	elapsed: () => number;
	/** Does the browser have a network at all, by its own word? */
	online: () => boolean;
	random: (length: number) => Uint8Array<ArrayBuffer>;
	/** Undefined where the browser gives no WebCrypto (plain HTTP). */
	subtle: SubtleCrypto | undefined;
	/**
	 * The signed-in user's bearer token for this open-webui; sent to nobody else. Empty: there is none,
	 * or it must not leave unsealed.
	 */
	token: () => string;
	/** Has the person confirmed all of these (`id:code`) for what goes to this server? */
	confirmed: (causes: readonly string[]) => boolean;
	/** This browser's storage for this origin; it may be missing, and then throws. */
	memory: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
	/** What the kit itself put there. */
	marks: Marks;
	/** Whose things these are; those of the first account where it does not say. */
	whose?: Whose;
	/** This page's own origin, for example `https://chat.example`. */
	origin: string;
	/** Base of open-webui's API there, for example `/api/v1`. */
	api: string;
	/** Call back once after so many milliseconds; returns what cancels it. */
	later: (ms: number, call: () => void) => () => void;
}
