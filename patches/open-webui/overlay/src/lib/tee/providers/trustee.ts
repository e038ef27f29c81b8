import { fromHex, toBase64url } from '../encoding';
import type { Evidence } from '../evidence';
import { isObject, own, type JsonObject } from '../json';
import type { Reply } from '../net';
import { Problem } from '../problem';
import type { Finding } from './provider';
import { accepted, encodeEvidence, readTcb, serviceProvider, simpleClaims, type Claims } from './service';

type Form = (evidence: Evidence) => JsonObject;

const one = (evidence: Evidence): JsonObject => ({
	tee: 'tdx',
	evidence: encodeEvidence(evidence),
	// Trustee compares raw data with the report data as it is, and hashes structured data only.
	runtime_data: { raw: toBase64url(fromHex(evidence.quote.body.report_data)) },
	runtime_data_hash_algorithm: 'sha384'
});

/** Request bodies, newest first: Trustee 0.14 and later, then 0.13 and before. */
const FORMS: readonly Form[] = [
	(evidence) => ({ verification_requests: [one(evidence)], policy_ids: [] }),
	(evidence) => ({ ...one(evidence), policy_ids: [] })
];

/** The form that each address took last, while this page is open. */
const remembered = new Map<string, Form>();

/** Did the service not understand the body (rather than refuse the evidence, or the visitor)? */
const misunderstood = ({ status, text }: Reply): boolean =>
	status === 400 || status === 422 || (status >= 500 && /deseriali[sz]|missing field|unknown field/i.test(text));

/** EAR (draft-ietf-rats-ear): the verdict of every submodule counts, the worst one wins. */
const appraiseEar = (submods: unknown[]): void | Finding => {
	const statuses = submods.map((submod) => String(own(submod, 'ear.status') ?? 'missing'));
	if (statuses.length === 0) throw new Problem('appraisal', 'submods');
	const bad = statuses.find((status) => status !== 'affirming' && status !== 'warning');
	if (bad) throw new Problem('appraisal', bad);
	if (statuses.includes('warning')) return { outcome: 'warn', code: 'appraisal', detail: 'warning' };
};

const earClaims = (submods: unknown[]): Claims => {
	const evidence = submods.map((submod) => own(submod, 'ear.veraison.annotated-evidence'));
	// Exactly one submodule may speak for the TD: with two, they could disagree.
	const tdx = evidence.filter((annotated) => isObject(own(annotated, 'tdx')));
	const annotated = tdx.length === 1 ? tdx[0] : undefined;
	const body = own(own(own(annotated, 'tdx'), 'quote'), 'body');
	const claim = (name: string) => own(own(annotated, 'cczoo'), name) ?? own(own(annotated, 'tdx'), name);
	return {
		tee: annotated && 'tdx',
		measurement: (name) => own(body, name),
		appraise: () => appraiseEar(submods),
		simulated: evidence.some((part) => own(own(part, 'cczoo'), 'simulated') === true),
		tcb: readTcb(claim)
	};
};

/** CoCo Trustee's attestation service (restful-as): EAR (ES256) or Simple (RS384) tokens. */
export default serviceProvider({
	algorithms: ['ES256', 'RS384'],
	issuer: false,
	async token(service, evidence) {
		const last = remembered.get(service.address) ?? FORMS[0];
		let reply: Reply | undefined;
		for (const form of [last, ...FORMS.filter((other) => other !== last)]) {
			reply = await service.post('/attestation', form(evidence));
			if (misunderstood(reply)) continue;
			remembered.set(service.address, form);
			break;
		}
		return accepted(reply as Reply);
	},
	keys: ({ address, get }) => get(`${address}/.well-known/jwks.json`),
	claims: (payload) =>
		'submods' in payload
			? earClaims(Object.values(Object(payload.submods)))
			: simpleClaims(payload)
});
