import type { Reply } from '../base/http';
import type { JsonObject } from '../base/json';
import { earClaims, simpleClaims } from './claims';
import { accepted } from './exchange';
import { serviceProvider } from './service';

type Form = (request: JsonObject) => JsonObject;

const hashed = (request: JsonObject) => ({ ...request, runtime_data_hash_algorithm: 'sha384' });

/** Trustee 0.14 and later. */
const LISTED: Form = (request) => ({ verification_requests: [hashed(request)], policy_ids: [] });
/** Trustee 0.13 and before. */
const FLAT: Form = (request) => ({ ...hashed(request), policy_ids: [] });

/** The form that each address took last, while this page is open. */
const remembered = new Map<string, Form>();

/** Does the service take the other form? Each names the member that it misses. */
const misunderstood = ({ status, text }: Reply): boolean =>
	status === 400 && /missing field `(verification_requests|tee)`/.test(text);

/** CoCo Trustee's attestation service (restful-as): EAR (ES256) or Simple (RS384) tokens. */
export default serviceProvider({
	algorithms: ['ES256', 'RS384'],
	issuer: false,
	async token({ address, post }, request) {
		const form = remembered.get(address) ?? LISTED;
		const reply = await post(form(request));
		if (!misunderstood(reply)) return accepted(reply);
		const other = form === LISTED ? FLAT : LISTED;
		remembered.set(address, other);
		return accepted(await post(other(request)));
	},
	keys: ({ address, get }) => get(`${address}/.well-known/jwks.json`),
	claims: (payload) =>
		Object.hasOwn(payload, 'submods') ? earClaims(payload) : simpleClaims(payload)
});
