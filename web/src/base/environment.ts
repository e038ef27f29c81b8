/** Everything that the verification takes from outside: a test passes its own. */
export interface Environment {
	fetch: typeof fetch;
	/** Milliseconds since 1970. */
	now: () => number;
	random: (length: number) => Uint8Array<ArrayBuffer>;
	/** Undefined where the browser gives no WebCrypto (plain HTTP). */
	subtle: SubtleCrypto | undefined;
	/** The signed-in user's bearer token for this open-webui; sent to nobody else. */
	token: () => string;
	/** This browser's storage for this origin; it may be missing, and then throws. */
	memory: Pick<Storage, 'getItem' | 'setItem'>;
	/** Base of open-webui's API, for example `/api/v1`. */
	api: string;
	/** Call back once after so many milliseconds; returns what cancels it. */
	later: (ms: number, call: () => void) => () => void;
}
