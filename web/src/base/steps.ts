import { headline, type Check, type CheckId, type Outcome } from './checks';
import { recordOf } from './record';

/** What a person wants to know, in this order: each step counts only where those before it hold. */
export const STEPS = ['machine', 'software', 'words'] as const;
export type Step = (typeof STEPS)[number];

/** Which step a check belongs to. */
export const STEP_OF = {
	// This machine is genuine
	'secure-context': 'machine',
	'evidence-format': 'machine',
	'nonce-binding': 'machine',
	'token-signature': 'machine',
	'token-claims': 'machine',
	'quote-signature': 'machine',
	collateral: 'machine',
	'tcb-status': 'machine',
	'not-simulated': 'machine',
	// It runs what you expect
	'event-log': 'software',
	workload: 'software',
	'reference-values': 'software',
	appraisal: 'software',
	settings: 'software',
	// Only it can read your words
	'key-binding': 'words',
	'td-attributes': 'words'
} as const satisfies Record<CheckId, Step>;

/** A step has passed only where one of these has: the others say nothing of it by themselves. */
const DECISIVE: Record<Step, readonly CheckId[]> = {
	machine: ['token-signature', 'quote-signature'],
	software: ['workload', 'reference-values'],
	words: ['key-binding']
};

/** What a check or a step has come to; `not-reached` where something before it failed. */
export type Reached = Outcome | 'not-reached';

/** A check that did not run because an earlier one failed is no failure of its own. */
export const reachedOf = ({ outcome, code }: Check): Reached =>
	code === 'not-run' ? 'not-reached' : outcome;

/** The one check that says why not all is well, or undefined where all is. */
export const causeOf = (checks: readonly Check[]): Check | undefined =>
	headline(checks.filter((check) => reachedOf(check) !== 'not-reached')) ?? headline(checks);

export interface StepResult {
	reached: Reached;
	/** Its checks that warned or failed by themselves. */
	causes: readonly Check[];
}

/** From bad to good. */
const ORDER: readonly Reached[] = ['fail', 'not-reached', 'warn', 'pass'];

/** What a step's own checks have come to, whatever the others say. */
const ownResult = (step: Step, own: readonly Check[]): Reached => {
	const found = ORDER.find((reached) => own.some((check) => reachedOf(check) === reached));
	const isDecided = own.some(
		({ id, outcome }) => DECISIVE[step].includes(id) && outcome === 'pass'
	);
	return found === 'pass' && !isDecided ? 'skipped' : (found ?? 'skipped');
};

/** Is it known that no hardware vouches for the evidence? */
const isUnvouched = (checks: readonly Check[]): boolean =>
	checks.some(({ id, outcome }) => id === 'not-simulated' && outcome === 'warn');

/**
 * What each step has come to, from nothing but the checks.
 *
 * A step is never called good where one before it failed, or where no hardware vouches for the
 * evidence: a key that is bound into a forged quote keeps nothing secret.
 */
export const stepsOf = (checks: readonly Check[]): Record<Step, StepResult> => {
	const best = isUnvouched(checks) ? 'warn' : 'pass';
	let isBroken = false;
	return recordOf(STEPS, (step) => {
		const own = checks.filter(({ id }) => STEP_OF[id] === step);
		const causes = own.filter((check) => /^(warn|fail)$/.test(reachedOf(check)));
		const found = ownResult(step, own);
		const reached = isBroken && found !== 'fail' ? 'not-reached' : found;
		isBroken ||= reached === 'fail' || reached === 'not-reached';
		return { reached: reached === 'pass' ? best : reached, causes };
	});
};
