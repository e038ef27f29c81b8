import { fromHex, toBase64url } from '../encoding';
import { accepted, encodeEvidence, serviceProvider, simpleClaims } from './service';

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
	// Where its OpenID discovery points; asked for there at once, discovery could name no other place
	// that we would trust.
	keys: (service) => service.get('/jwks.json'),
	claims: simpleClaims
});
