import { parseObject, type JsonObject } from '../base/json';
import { Passing } from '../base/problem';
import { simpleClaims } from './claims';
import { accepted, type Service } from './exchange';
import { serviceProvider } from './service';

const refusal = (what: string) => new Passing('keys-unreachable', what);

const parse = (text: string): JsonObject => {
	try {
		return parseObject(text);
	} catch {
		throw refusal('openid-configuration');
	}
};

/**
 * The key set's address, by OpenID Connect Discovery 1.0 (sections 4.2 and 4.3): the document must
 * be this very issuer's, and the keys lie at its own origin. Throws `keys-unreachable`.
 */
const discover = async ({ address, get }: Service): Promise<string> => {
	const { issuer, jwks_uri } = parse(await get(`${address}/.well-known/openid-configuration`));
	if (issuer !== address) throw refusal('issuer');
	if (typeof jwks_uri !== 'string' || !jwks_uri.startsWith(`${new URL(address).origin}/`)) {
		throw refusal('jwks_uri');
	}
	return jwks_uri;
};

/** Alibaba Cloud Remote Attestation Service: one POST, an RS256 token. */
export default serviceProvider({
	algorithms: ['RS256'],
	issuer: true,
	token: async (service, request) => accepted(await service.post({ ...request, policy_ids: [] })),
	keys: async (service) => service.get(await discover(service)),
	claims: (payload) => simpleClaims(payload, true)
});
