import { fromHex, toBase64url } from '../encoding';
import { parseObject } from '../json';
import { Problem } from '../problem';
import { accepted, encodeEvidence, serviceProvider, simpleClaims, type Service } from './service';

/**
 * The key set's address, by OpenID Connect Discovery 1.0 (sections 4.2 and 4.3): the document must
 * be this very issuer's, and the keys lie at its own origin. Throws `keys-unreachable`.
 */
const discover = async ({ address, get }: Service): Promise<string> => {
	const text = await get(`${address}/.well-known/openid-configuration`);
	const refuse = (what: string) => new Problem('keys-unreachable', what);
	let document;
	try {
		document = parseObject(text);
	} catch {
		throw refuse('openid-configuration');
	}
	const { issuer, jwks_uri } = document;
	if (issuer !== address) throw refuse('issuer');
	if (typeof jwks_uri !== 'string' || !jwks_uri.startsWith(`${new URL(address).origin}/`)) {
		throw refuse('jwks_uri');
	}
	return jwks_uri;
};

/** Alibaba Cloud Remote Attestation Service: one POST, an RS256 token. */
export default serviceProvider({
	algorithms: ['RS256'],
	issuer: true,
	token: async (service, evidence) =>
		accepted(
			await service.post('/v1/attestation', {
				tee: 'tdx',
				evidence: encodeEvidence(evidence),
				policy_ids: [],
				// Raw data is compared with the report data as it is; the service hashes nothing.
				runtime_data: { raw: toBase64url(fromHex(evidence.quote.body.report_data)) }
			})
		),
	keys: async (service) => service.get(await discover(service)),
	claims: simpleClaims
});
