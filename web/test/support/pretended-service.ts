/** Pretended attestation services: keys, tokens and what stands in them. */
import { generateKeyPairSync, sign as nodeSign, type KeyObject } from 'node:crypto';
import { base64url } from './bytes';
import { NOW } from './environment';
import { hexFields, type Fields } from './pretended-td';

export interface Signer {
	alg: string;
	kid: string;
	key: KeyObject;
	jwk: JsonWebKey & { kid: string; alg: string; use: string };
}

export const makeSigner = (
	alg: 'RS256' | 'RS384' | 'ES256',
	kid = `${alg}-key`,
	modulusLength = 2048
): Signer => {
	const pair =
		alg === 'ES256'
			? generateKeyPairSync('ec', { namedCurve: 'P-256' })
			: generateKeyPairSync('rsa', { modulusLength });
	const jwk = pair.publicKey.export({ format: 'jwk' }) as JsonWebKey;
	return { alg, kid, key: pair.privateKey, jwk: { ...jwk, kid, alg, use: 'sig' } };
};

export const signBytes = ({ alg, key }: Signer, bytes: Uint8Array): Buffer =>
	nodeSign(alg === 'RS384' ? 'sha384' : 'sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });

/** A compact JWS; `header` replaces parts of the usual one (undefined removes them). */
export const makeToken = (signer: Signer, payload: unknown, header: object = {}): string => {
	const head = JSON.stringify({ alg: signer.alg, kid: signer.kid, typ: 'JWT', ...header });
	const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
	const signed = `${base64url(head)}.${base64url(body)}`;
	return `${signed}.${base64url(signBytes(signer, Buffer.from(signed)))}`;
};

export type Claims = Record<string, unknown>;

export const alibabaClaims = (fields: Fields, issuer: string): Claims => ({
	aud: issuer,
	iss: issuer,
	iat: NOW,
	nbf: NOW,
	exp: NOW + 21_600,
	jti: 'f8a1d1a4',
	tee: 'tdx',
	eat_profile: `${issuer}/profile`,
	'evaluation-reports': [{ 'policy-id': 'default', 'policy-hash': '00' }],
	customized_claims: { init_data: null, runtime_data: null },
	'tcb-status': JSON.stringify({
		...Object.fromEntries(
			Object.entries(hexFields(fields)).map(([name, value]) => [`tdx.quote.body.${name}`, value])
		),
		'tdx.td_attributes.debug': false
	})
});

/** The same for nobody in particular, as Trustee's "Simple" tokens have it. */
export const simpleClaims = (fields: Fields): Claims => {
	const claims = alibabaClaims(fields, '');
	delete claims.aud;
	delete claims.iss;
	return claims;
};

export const earClaims = (fields: Fields, more: object = {}, annotated: object = {}): Claims => ({
	eat_profile: 'tag:github.com,2024:confidential-containers/Trustee',
	iat: NOW,
	exp: NOW + 300,
	'ear.verifier-id': { developer: 'nobody', build: '0' },
	submods: {
		cpu0: {
			'ear.status': 'affirming',
			'ear.appraisal-policy-id': 'default',
			'ear.veraison.annotated-evidence': {
				tdx: { quote: { header: {}, body: hexFields(fields) } },
				...annotated
			},
			...more
		}
	}
});
