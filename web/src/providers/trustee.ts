import { fromHex, toBase64url } from '../base/encoding';
import type { Reply } from '../base/http';
import { isObject, type JsonObject } from '../base/json';
import type { Evidence } from '../evidence/evidence';
import { earClaims, simpleClaims } from './claims';
import { accepted, encodeEvidence } from './exchange';
import { serviceProvider } from './service';

type Form = (evidence: Evidence) => JsonObject;

const request = (evidence: Evidence): JsonObject => ({
	tee: 'tdx',
	evidence: encodeEvidence(evidence),
	// Trustee compares raw data with the report data as it is, and hashes structured data only.
	runtime_data: { raw: toBase64url(fromHex(evidence.quote.body.report_data)) },
	runtime_data_hash_algorithm: 'sha384'
});

/** Trustee 0.14 and later. */
const LISTED: Form = (evidence) => ({ verification_requests: [request(evidence)], policy_ids: [] });
/** Trustee 0.13 and before. */
const FLAT: Form = (evidence) => ({ ...request(evidence), policy_ids: [] });

/** The form that each address took last, while this page is open. */
const remembered = new Map<string, Form>();

/** Did the service not understand the body (rather than refuse the evidence, or the visitor)? */
const misunderstood = ({ status, text }: Reply): boolean =>
	status === 400 ||
	status === 422 ||
	(status >= 500 && /deseriali[sz]|missing field|unknown field/i.test(text));

/** CoCo Trustee's attestation service (restful-as): EAR (ES256) or Simple (RS384) tokens. */
export default serviceProvider({
	algorithms: ['ES256', 'RS384'],
	issuer: false,
	async token({ address, post }, evidence) {
		const first = remembered.get(address) ?? LISTED;
		const second = first === LISTED ? FLAT : LISTED;
		let reply = await post(first(evidence));
		if (!misunderstood(reply)) {
			remembered.set(address, first);
			return accepted(reply);
		}
		reply = await post(second(evidence));
		if (!misunderstood(reply)) remembered.set(address, second);
		return accepted(reply);
	},
	keys: ({ address, get }) => get(`${address}/.well-known/jwks.json`),
	claims: (payload) =>
		'submods' in payload
			? earClaims(isObject(payload.submods) ? Object.values(payload.submods) : [])
			: simpleClaims(payload)
});
