import type { Finding } from '../base/checks';
import { asText, isObject, own, parseObject, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import type { Evidence } from '../evidence/evidence';
import { DEFAULT_POLICY, type Policy, type Tcb } from '../policy/policy';

/** Seconds that the clocks may differ. */
const SKEW = 60;

/** What token-claims and the later checks need, whatever the token's format. */
export interface Claims {
	tee: unknown;
	/** A header or body field of the quote as the service reports it. */
	measurement: (name: string) => unknown;
	/** The service's verdict; throws where it is not good. */
	appraise: () => Finding | undefined;
	simulated?: boolean;
	/** The platform's TCB where the service names one. */
	tcb?: Tcb;
}

/** Fields of newer quotes that not every service repeats; where it does, they must be equal. */
const OPTIONAL = ['tee_tcb_svn2', 'mr_servicetd'];

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
	if (!/^[\w.:-]*$/.test(asText(payload.jti ?? ''))) throw new Problem('token-claim', 'jti');
	checkParties(payload, issuer);
	checkTimes(payload, now);
};

/** The token must speak of the quote that I sent, and of nothing else. */
export const checkMeasurements = (claims: Claims, { quote }: Evidence): void => {
	if (claims.tee !== 'tdx') throw new Problem('token-claim', 'tee');
	for (const [name, mine] of Object.entries(quote.body)) {
		const claimed = claims.measurement(name);
		if (claimed === undefined && OPTIONAL.includes(name)) continue;
		if (typeof claimed !== 'string' || claimed.toLowerCase() !== mine) {
			throw new Problem('token-claim', name);
		}
	}
};

/** The platform's TCB as a verifier's claims spell it, or undefined where they do not name it. */
export const readTcb = (claim: (name: string) => unknown): Tcb | undefined => {
	const status = claim('tcb_status');
	if (status === undefined) return undefined;
	const advisories = claim('advisory_ids');
	const date = claim('tcb_date');
	const evaluation = claim('tcb_eval_num');
	return {
		// Trustee up to v0.13 has names of its own.
		status: asText(status)
			.replace(/^OK$/, 'UpToDate')
			.replace('Software', 'SW')
			.replace(/^Td/, 'TD'),
		advisories: Array.isArray(advisories) ? advisories.map(asText) : undefined,
		date: date === undefined ? undefined : asText(date),
		evaluation: Number.isInteger(evaluation) ? Number(evaluation) : undefined
	};
};

/** What a policy is held against where the service tells nothing of the platform's TCB. */
export const UNTOLD: Tcb = { status: '?' };

/** What a policy asks of the TCB: the same text in whatever order its lists are. */
const asked = ({ pass, warn, ...more }: Policy['tcb']): string =>
	JSON.stringify({ ...more, pass: [...pass].sort(), warn: [...warn].sort() });

/** Does a policy ask for another TCB than the default one does? */
export const asksForTcb = ({ tcb }: Policy): boolean => asked(tcb) !== asked(DEFAULT_POLICY.tcb);

/** Does a report of the service's name its policy, and not its refusal? */
const isGoodReport = (report: unknown): boolean => {
	// Trustee's first versions repeat the policy's verdict; later ones give no token without it.
	const allowed = own(own(report, 'evaluation-result'), 'allow') ?? true;
	return typeof own(report, 'policy-id') === 'string' && allowed === true;
};

/**
 * Claims of the "Simple" token of CoCo's attestation service, which Alibaba Cloud's has too:
 * `tcb-status` is a JSON text with flat keys.
 */
export const simpleClaims = (payload: JsonObject): Claims => {
	let tcb: JsonObject = {};
	try {
		tcb = parseObject(asText(payload['tcb-status']));
	} catch {
		// token-claims then misses every measurement
	}
	return {
		tee: payload.tee,
		measurement: (name) => own(tcb, `tdx.quote.body.${name}`),
		tcb: readTcb((name) => own(tcb, `tdx.${name}`)),
		appraise: () => {
			const reports = payload['evaluation-reports'];
			if (!Array.isArray(reports) || reports.length === 0 || !reports.every(isGoodReport)) {
				throw new Problem('appraisal', 'evaluation-reports');
			}
			return undefined;
		}
	};
};

/** EAR (draft-ietf-rats-ear): the verdict of every submodule counts, the worst one wins. */
const appraiseEar = (submods: unknown[]): Finding | undefined => {
	const statuses = submods.map((submod) => own(submod, 'ear.status') ?? 'missing');
	if (statuses.length === 0) throw new Problem('appraisal', 'submods');
	const bad = statuses.filter((status) => status !== 'affirming' && status !== 'warning');
	if (bad.length > 0) throw new Problem('appraisal', asText(bad[0]));
	if (!statuses.includes('warning')) return undefined;
	return { outcome: 'warn', code: 'appraisal', detail: 'warning' };
};

export const earClaims = (submods: unknown[]): Claims => {
	const evidence = submods.map((submod) => own(submod, 'ear.veraison.annotated-evidence'));
	// Exactly one submodule may speak for the TD: with two, they could disagree.
	const [annotated, ...more] = evidence.filter((one) => isObject(own(one, 'tdx')));
	const speaker = more.length === 0 ? annotated : undefined;
	const tdx = own(speaker, 'tdx');
	const kit = own(speaker, 'cczoo');
	const body = own(own(tdx, 'quote'), 'body');
	return {
		tee: isObject(tdx) ? 'tdx' : undefined,
		measurement: (name) => own(body, name),
		appraise: () => appraiseEar(submods),
		simulated: evidence.some((one) => own(own(one, 'cczoo'), 'simulated') === true),
		tcb: readTcb((name) => own(kit, name) ?? own(tdx, name))
	};
};
