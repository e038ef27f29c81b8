import type { PassingCode, ReasonCode } from './reasons';

/** Characters of outside text that are kept to be shown. */
const DETAIL_LIMIT = 300;

/**
 * The one error that the page throws on purpose.
 *
 * `code` is stable and names the sentence to show; `detail` is outside text (a field's name, a
 * service's answer) and is only ever rendered as text.
 */
export class Problem extends Error {
	readonly detail: string;

	constructor(
		readonly code: ReasonCode,
		detail: unknown = ''
	) {
		super(code);
		const text = String(detail);
		this.detail = text.length > DETAIL_LIMIT ? `${text.slice(0, DETAIL_LIMIT)}…` : text;
	}
}

/**
 * A problem that says nothing about the machine and may pass by itself: no answer, or one of
 * somebody who cannot answer now. Whoever meets it may ask again.
 */
export class Passing extends Problem {
	constructor(
		code: PassingCode,
		detail: unknown = '',
		/** Milliseconds that we were asked to wait. */
		readonly wait = 0
	) {
		super(code, detail);
	}
}

/** Anything thrown, as a Problem: what we did not foresee becomes `internal`, never a success. */
export const asProblem = (error: unknown): Problem => {
	if (error instanceof Problem) return error;
	return new Problem('internal', error instanceof Error ? error.name : '');
};
