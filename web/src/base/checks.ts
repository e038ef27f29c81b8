import type { ReasonCode } from './reasons';

/** Every check, in the order in which it is run and shown. The ids are shared with the CLI. */
export const CHECKS = [
	'secure-context',
	'evidence-format',
	'nonce-binding',
	'key-binding',
	'event-log',
	'workload',
	'token-signature',
	'token-claims',
	'quote-signature',
	'collateral',
	'tcb-status',
	'td-attributes',
	'reference-values',
	'appraisal',
	'settings',
	'not-simulated'
] as const;

export type CheckId = (typeof CHECKS)[number];
export type Outcome = 'pass' | 'warn' | 'fail' | 'skipped';
export type Status = 'green' | 'amber' | 'red';

export interface Check {
	id: CheckId;
	outcome: Outcome;
	/** Why it is not a plain pass. */
	code?: ReasonCode;
	detail?: string;
	/** Seconds since 1970: when such an outcome ends by itself. */
	until?: number;
}

/** An outcome other than a failure; a failure is thrown as a Problem. */
export interface Finding {
	outcome: Exclude<Outcome, 'fail'>;
	code?: ReasonCode;
	detail?: string;
	until?: number;
}

/** Codes that are no more than a check's own; their details begin with the reason. */
const GENERAL: readonly (ReasonCode | undefined)[] = [
	'evidence-malformed',
	'collateral',
	'quote-signature',
	'tcb-status',
	'td-attributes'
];

/** The stable word of why a check is not a plain pass: the same in every verifier of this kit. */
export const reasonOf = ({ code, detail = '' }: Check): string | undefined => {
	const [, word] = /^([a-z]+(?:-[a-z]+)*)(?::|$)/.exec(detail) ?? [];
	return GENERAL.includes(code) ? (word ?? code) : code;
};

/** What warned or failed by itself, and not because something before it did: `id:code` each. */
export const causesOf = (checks: readonly Check[]): string[] =>
	checks
		.filter(({ outcome, code }) => /^(warn|fail)$/.test(outcome) && code !== 'not-run')
		.map(({ id, code = '' }) => `${id}:${code}`);

/** What has been found so far; a check that is not in here has not run. */
export type Findings = Partial<Record<CheckId, Check>>;

/**
 * The whole list, in order. A required check that did not run is a failure, so that a step that
 * was left out can never look like success.
 */
export const complete = (findings: Findings, required: readonly CheckId[]): Check[] =>
	CHECKS.map((id) => {
		const found = findings[id];
		if (found && !(found.outcome === 'skipped' && required.includes(id))) return found;
		if (required.includes(id)) return { id, outcome: 'fail', code: 'not-run' };
		return { id, outcome: 'skipped', code: 'not-offered' };
	});

/** The badge's colour, from nothing but the checks: any fail red, any warn amber, else green. */
export const deriveStatus = (checks: readonly Check[], required: readonly CheckId[]): Status => {
	const outcomes = (id: CheckId) => checks.filter((c) => c.id === id).map((c) => c.outcome);
	const ran = (id: CheckId) => outcomes(id).some((o) => o === 'pass' || o === 'warn');
	if (required.length === 0 || !required.every(ran)) return 'red';
	if (checks.some((c) => c.outcome === 'fail')) return 'red';
	return checks.some((c) => c.outcome === 'warn') ? 'amber' : 'green';
};

/** The check to name in the headline, or undefined where all is well. */
export const headline = (checks: readonly Check[]): Check | undefined =>
	checks.find((c) => c.outcome === 'fail' && c.code !== 'not-run') ??
	checks.find((c) => c.outcome === 'fail') ??
	checks.find((c) => c.outcome === 'warn' && c.id === 'not-simulated') ??
	checks.find((c) => c.outcome === 'warn');
