/**
 * Why a sealed request came to nothing:
 *
 * - `key-unknown`: the server does not hold this key, or any. Attest anew, then repeat once.
 * - `statement-changed`: the server states another thing than the request was meant for. The same.
 * - `sealed-busy`: it cannot take more now; `wait` says for how long.
 * - `sealed-refused`: another outer status, which `status` has.
 * - `sealed-broken`: what came back does not open, is cut off, or breaks a rule.
 * - `date-refused`: the server does not take the time of this request, corrected once as it asked.
 * - `no-connection`: nothing came back.
 * - `no-key`: this browser can use no key of the keyset.
 */
export type SealedCode =
	| 'key-unknown'
	| 'statement-changed'
	| 'sealed-busy'
	| 'sealed-refused'
	| 'sealed-broken'
	| 'date-refused'
	| 'no-connection'
	| 'no-key';

/** A TypeError, as `fetch` throws where there was no answer: apps take it for that. */
export class SealedError extends TypeError {
	constructor(
		readonly code: SealedCode,
		readonly detail = '',
		/** The outer answer's status, 0 where there was none. */
		readonly status = 0,
		/** Milliseconds that we were asked to wait. */
		readonly wait = 0
	) {
		super(code);
	}
}

/** It does not have the form that it should; the detail says more. */
export const broken = (detail?: string) => new SealedError('sealed-broken', detail);

/** What asks for another verdict, and then once more. */
export const isOutdated = (error: unknown): boolean =>
	error instanceof SealedError && ['key-unknown', 'statement-changed'].includes(error.code);
