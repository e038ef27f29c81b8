import type { Finding } from '../base/checks';
import { fromHex, toBase64url } from '../base/encoding';
import { asText, isObject, own, parseObject, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import type { Evidence } from '../evidence/evidence';
import { LATER_FIELDS } from '../evidence/quote';
import { appraiseTcb, DEFAULT_POLICY, type Policy, type Tcb } from '../policy/policy';
import {
	codeOfWrong,
	firstFault,
	generationOf,
	IN_DATE,
	momentOf,
	named,
	readPlatform,
	SIMPLE,
	wrongFor,
	type Told
} from './members';
import { appraiseEar, appraiseSimple } from './verdicts';

/** Seconds that the clocks may differ. */
const SKEW = 60;

/** What token-claims and the later checks need, whatever the token's format. */
export interface Claims {
	/** The member that makes it no token of one kind. */
	fault?: string;
	tee: unknown;
	/** What it says it was asked with. */
	nonces: readonly unknown[];
	/** A header or body field of the quote as the service reports it. */
	measurement: (name: string) => unknown;
	/** The service's verdict; throws where it is not good. */
	appraise: () => Finding | undefined;
	simulated?: boolean;
	/** About platform and collateral, where the service tells. */
	told: Told;
}

/** Claims in seconds since 1970 (RFC 7519 section 4.1); without a time there, NaN. */
const timeOf = (payload: JsonObject, name: string): number => {
	const value = payload[name];
	return typeof value === 'number' && Number.isFinite(value) ? value : NaN;
};

/** Is the token in force? The comparisons are such that NaN never is. */
const checkTimes = (payload: JsonObject, now: number): void => {
	if (!(timeOf(payload, 'exp') > now - SKEW)) throw new Problem('token-time', 'exp');
	const begins = payload.nbf === undefined ? ['iat'] : ['iat', 'nbf'];
	for (const name of begins) {
		if (!(timeOf(payload, name) < now + SKEW)) throw new Problem('token-time', name);
	}
};

/** Does the token come from this issuer, and for it, where it is to name one? */
const checkParties = (payload: JsonObject, issuer: string | undefined): void => {
	if (issuer !== undefined && payload.iss !== issuer) throw new Problem('token-claim', 'iss');
	// An audience is whom a token is for (RFC 7519 section 4.1.3): for somebody else, where we are none.
	if (payload.aud !== issuer) throw new Problem('token-claim', 'aud');
};

export const checkRegistered = (
	payload: JsonObject,
	now: number,
	issuer: string | undefined
): void => {
	// An id is shown as it is, so it may be nothing but an id.
	const id = payload.jti ?? '';
	if (typeof id !== 'string' || !/^[\w.:-]*$/.test(id)) throw new Problem('token-claim', 'jti');
	checkParties(payload, issuer);
	checkTimes(payload, now);
};

/** The token must speak of the quote that I sent, and of nothing else. */
export const checkMeasurements = (claims: Claims, { quote }: Evidence): void => {
	if (claims.fault !== undefined) throw new Problem('token-claim', claims.fault);
	// The nonce is the report data, as it was sent (RFC 9711 section 4.1: a text, or a list of them).
	const sent = JSON.stringify(toBase64url(fromHex(quote.body.report_data)));
	for (const nonce of claims.nonces) {
		const isOurs = [sent, `[${sent}]`].includes(JSON.stringify(nonce));
		if (!isOurs) throw new Problem('token-claim', 'eat_nonce');
	}
	if (claims.tee !== 'tdx') throw new Problem('token-claim', 'tee');
	for (const [name, mine] of Object.entries(quote.body)) {
		const claimed = claims.measurement(name);
		// Not every service repeats the fields of newer quotes; where it does, they must be equal.
		if (claimed === undefined && LATER_FIELDS.includes(name)) continue;
		if (typeof claimed !== 'string' || claimed.toLowerCase() !== mine) {
			throw new Problem('token-claim', name);
		}
	}
};

/** The platform's TCB, as far as a service tells it. */
const tcbOf = ({ values }: Told): Tcb => ({
	// The table vouches for the types.
	status: values.tcb_status as string | undefined,
	advisories: values.advisory_ids as string[] | undefined,
	date: values.tcb_date as string | undefined,
	evaluation: values.tcb_eval_num as number | undefined,
	platform: {
		dynamic_platform: values.is_dynamic_platform as boolean | undefined,
		cached_keys: values.is_cached_keys as boolean | undefined,
		smt: values.is_smt_enabled as boolean | undefined
	}
});

/** What a policy asks of TCB and platform: the same text in whatever order its lists are. */
const asked = ({ tcb: { pass, warn, ...more }, platform }: Policy): string =>
	JSON.stringify([{ ...more, pass: [...pass].sort(), warn: [...warn].sort() }, platform]);

/** Does a policy ask for another TCB than the default one does? */
const asksForTcb = (policy: Policy): boolean => asked(policy) !== asked(DEFAULT_POLICY);

/**
 * tcb-status by the service's word, as of now (seconds since 1970), or nothing where it gives none and the policy asks for none:
 * the service's own policy sees to it then.
 */
export const appraiseTold = (policy: Policy, told: Told, now: number): Finding | undefined => {
	const wrong = wrongFor(told, 'tcb-status');
	if (wrong.length > 0) throw new Problem('not-told', wrong.join(', '));
	const tcb = tcbOf(told);
	if (tcb.status === undefined && !asksForTcb(policy)) return undefined;
	return appraiseTcb(policy, tcb, now);
};

/** Seconds since 1970: when the first part of the collateral ends, where that is told. */
export const collateralEnd = ({ values }: Told): number => {
	const end = momentOf(values.earliest_expiration_date) / 1000;
	return isNaN(end) ? Infinity : end;
};

/** collateral by the service's word, as of now (seconds since 1970), or nothing where it gives none. */
export const checkCollateral = (told: Told, now: number): Finding | undefined => {
	const [wrong] = wrongFor(told, 'collateral');
	if (wrong !== undefined) throw new Problem(codeOfWrong(wrong), wrong);
	const { collateral_expiration_status: status, earliest_expiration_date: date } = told.values;
	if (status !== undefined && status !== IN_DATE) {
		throw new Problem('collateral-expired', `collateral_expiration_status ${asText(status)}`);
	}
	if (collateralEnd(told) <= now) throw new Problem('collateral-expired', date);
	return status === undefined && date === undefined ? undefined : { outcome: 'pass' };
};

/** What is told, to be shown: lists as one text. */
export const shownOf = ({ values }: Told): Record<string, unknown> =>
	Object.fromEntries(
		Object.entries(values).map(([name, value]) => [
			name === 'tcb_eval_num' ? 'tcb_evaluation' : name,
			Array.isArray(value) ? value.join(' ') || undefined : value
		])
	);

/** The claims that a token says it was asked with. */
const noncesIn = (holders: readonly unknown[]): unknown[] =>
	holders
		.filter(isObject)
		.filter((holder) => Object.hasOwn(holder, 'eat_nonce'))
		.map(({ eat_nonce }) => eat_nonce);

/**
 * Claims of the "Simple" token of CoCo's attestation service, which Alibaba Cloud's has too:
 * `tcb-status` is a JSON text with flat keys. `anyPolicy`: what the service calls its own is not known.
 */
export const simpleClaims = (payload: JsonObject, anyPolicy = false): Claims => {
	let tcb: JsonObject = {};
	try {
		tcb = parseObject(asText(payload['tcb-status']));
	} catch {
		// token-claims then misses every measurement
	}
	const flat = Object.entries(tcb).filter(([name]) => name.startsWith('tdx.'));
	const platform = Object.fromEntries(flat.map(([name, value]) => [name.slice(4), value]));
	return {
		fault: firstFault(payload, [], SIMPLE),
		tee: payload.tee,
		nonces: noncesIn([payload]),
		measurement: (name) => own(tcb, `tdx.quote.body.${name}`),
		told: readPlatform([platform], SIMPLE),
		appraise: () => appraiseSimple(payload, anyPolicy)
	};
};

/** What evidence says of a TD, under its TEE's name or, as newer services have it, beside it. */
const tdxIn = (evidence: unknown): JsonObject[] => {
	const beside = own(evidence, 'tee') === 'tdx' ? own(evidence, 'claims') : undefined;
	return [own(evidence, 'tdx'), beside].filter(isObject);
};

/** EAR (draft-ietf-rats-ear), as CoCo Trustee gives it, under the names of either generation. */
export const earClaims = (payload: JsonObject): Claims => {
	const submods = isObject(payload.submods) ? Object.values(payload.submods) : [];
	const generation = generationOf(payload, submods);
	const parts = submods.map((part) => {
		const evidence = own(part, named(generation, 'evidence'));
		const words = own(part, named(generation, 'words'));
		return { evidence, words, kits: [own(evidence, 'cczoo'), own(words, 'cczoo')] };
	});
	// Exactly one submodule may speak for the TD: with two, they could disagree.
	const [speaker, ...others] = parts.flatMap(({ evidence, words, kits }) =>
		tdxIn(evidence).map((tdx) => ({ tdx, places: [tdx, words, own(words, 'tdx'), ...kits] }))
	);
	const { tdx, places } = speaker && others.length === 0 ? speaker : { places: [] };
	const told = readPlatform(places, generation);
	return {
		fault: firstFault(payload, submods, generation) ?? told.differing,
		tee: tdx ? 'tdx' : undefined,
		nonces: noncesIn([payload, ...submods]),
		measurement: (name) => own(own(own(tdx, 'quote'), 'body'), name),
		appraise: () => appraiseEar(submods, generation),
		simulated: parts.some(({ kits }) => kits.some((kit) => own(kit, 'simulated') === true)),
		told
	};
};
