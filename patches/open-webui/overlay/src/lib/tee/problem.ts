import type { TextKey } from './text';

/** Reason codes: every `reason.*` text, so that a code without a sentence does not compile. */
export type ReasonCode = Extract<TextKey, `reason.${string}`> extends `reason.${infer Code}`
	? Code
	: never;

/**
 * The one error this folder throws on purpose.
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
		this.detail = text.length > 300 ? `${text.slice(0, 300)}…` : text;
	}
}

/** Anything thrown, as a Problem: what we did not foresee becomes `internal`, never a success. */
export const asProblem = (error: unknown): Problem =>
	error instanceof Problem ? error : new Problem('internal', (error as Error)?.name);
