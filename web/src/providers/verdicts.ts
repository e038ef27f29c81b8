import type { Finding } from '../base/checks';
import { isObject, own, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import { ASKED_POLICY, named, verdictOn, type Generation } from './members';
import { tierOf, writeVerdict, type TrustClaim } from './tiers';

/** One submodule's status, `shown` as it is written, and its trustworthiness vector. */
interface Verdict {
	status: string;
	shown: string;
	vector: readonly TrustClaim[];
}

/** In the place of a verdict that is none. */
const none = (shown: string): Verdict => ({ status: 'missing', shown, vector: [] });

/** From good to bad. */
const OUTCOMES = ['pass', 'warn', 'fail'] as const;

const outcomeOf = (tier: string): number => {
	if (tier === 'affirming') return 0;
	return tier === 'warning' ? 1 : 2;
};

/** The worst of status and vector: a token may not approve of what it warns of. */
const worst = ({ status, vector }: Verdict): number => {
	const tiers = vector.map(([, value]) => tierOf(value)).filter((tier) => tier !== 'none');
	return Math.max(...[status, ...tiers].map(outcomeOf));
};

const textOf = (value: unknown): string =>
	typeof value === 'string' ? value : JSON.stringify(value);

/** A submodule's; one with a member that is not what it must be has none. */
const verdictOf = (part: unknown, generation: Generation): Verdict => {
	if (!isObject(part)) return none('missing');
	for (const [name, rule] of Object.entries(generation.submodule)) {
		if (verdictOn(part, name, rule) !== 'appraisal') continue;
		if (rule.role !== 'status') return none(name);
		return none(Object.hasOwn(part, name) ? textOf(part[name]) : 'missing');
	}
	// The table vouches for the types.
	const status = part[named(generation, 'status')] as string;
	const vector = (own(part, named(generation, 'vector')) ?? {}) as Record<string, number>;
	return { status, shown: status, vector: Object.entries(vector) };
};

/** The claims that say why it does not affirm: zeros only where there is nothing else. */
const remarkable = (verdict: Verdict): readonly TrustClaim[] => {
	if (worst(verdict) === 0) return [];
	const claims = verdict.vector.filter(([, value]) => tierOf(value) !== 'affirming');
	const telling = claims.filter(([, value]) => value !== 0);
	return telling.length > 0 ? telling : claims;
};

/**
 * appraisal of an EAR: the verdict of every submodule counts, the worst one wins. The detail is its
 * status and, by name and number, the claims that do not affirm.
 */
export const appraiseEar = (
	submods: readonly unknown[],
	generation: Generation
): Finding | undefined => {
	const verdicts = submods.map((part) => verdictOf(part, generation));
	const found = Math.max(...verdicts.map(worst));
	if (verdicts.length === 0) throw new Problem('appraisal', 'submods');
	if (found === 0) return undefined;
	const shown = verdicts.find((verdict) => worst(verdict) === found)?.shown ?? '';
	const detail = writeVerdict(shown, verdicts.flatMap(remarkable));
	const outcome = OUTCOMES[found] ?? 'fail';
	if (outcome === 'fail') throw new Problem('appraisal', detail);
	return { outcome, code: 'appraisal', detail };
};

/** Does a report name the policy, or with `any` some policy, and not its refusal? */
const isGoodReport = (report: unknown, any: boolean): boolean => {
	// Trustee's first versions repeat the policy's verdict; later ones give no token without it.
	const allowed = own(own(report, 'evaluation-result'), 'allow') ?? true;
	const id = own(report, 'policy-id');
	return (any ? typeof id === 'string' : id === ASKED_POLICY) && allowed === true;
};

/** appraisal of a Simple token: every report is good, by the policy that was asked for or by `any`. */
export const appraiseSimple = (payload: JsonObject, any: boolean): Finding | undefined => {
	const reports = payload['evaluation-reports'];
	const isGood = (report: unknown) => isGoodReport(report, any);
	if (!Array.isArray(reports) || reports.length === 0 || !reports.every(isGood)) {
		throw new Problem('appraisal', 'evaluation-reports');
	}
	return undefined;
};
