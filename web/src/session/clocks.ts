import type { Check } from '../base/checks';
import type { ReasonCode } from '../base/reasons';

/** What two clocks said at the same time, in milliseconds since 1970; NaN where one says nothing. */
export interface Clocks {
	/** This computer's. */
	ours: number;
	/** This server's, by its word. */
	theirs: number;
}

/** Milliseconds that clocks may differ, as tokens and keys bear it. */
const TOLERANCE = 60_000;

/** What fails by a clock alone, */
const BY_CLOCK: readonly (ReasonCode | undefined)[] = [
	'token-time',
	'keyset-expired',
	'keyset-life',
	'collateral-expired'
];
/** and what fails by one where its detail says so (base/x509.ts, dcap/collateral.ts). */
const PERHAPS_BY_CLOCK: readonly (ReasonCode | undefined)[] = ['collateral', 'quote-signature'];
const TIMELY = /\b(collateral-early|collateral-expired|crl-expired|not valid yet|expired)\b/;

const isByClock = ({ outcome, code, detail = '' }: Check): boolean =>
	outcome === 'fail' &&
	(BY_CLOCK.includes(code) || (PERHAPS_BY_CLOCK.includes(code) && TIMELY.test(detail)));

const textOf = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/**
 * The same checks; where one failed by time, and the two clocks differ, it says so instead.
 *
 * That changes words, never an outcome: the server's clock is its own word, and whoever shows old
 * evidence could say that it is still that day.
 */
export const blameClock = (checks: readonly Check[], clocks?: Clocks): Check[] => {
	const { ours, theirs } = clocks ?? { ours: NaN, theirs: NaN };
	if (!(Math.abs(ours - theirs) > TOLERANCE)) return [...checks];
	const times = `${textOf(ours)} / ${textOf(theirs)}`;
	return checks.map((check) =>
		isByClock(check)
			? {
					...check,
					code: 'clock-differs',
					detail: [times, `(${check.code})`, check.detail].filter(Boolean).join(' ')
				}
			: check
	);
};
