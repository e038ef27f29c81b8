import { fromBase64url, fromUtf8, toUtf8 } from './encoding';
import { own, parseObject, type JsonObject } from './json';
import type { Jwk } from './keys';
import { Problem } from './problem';

/** A token may bring a whole parsed event log along; its header has no reason to be long. */
const TOKEN_LIMIT = 1 << 20;
const HEADER_LIMIT = 1 << 13;

interface Scheme {
	/** Public members of a key of this kind: nothing else is handed to WebCrypto. */
	kty: 'RSA' | 'EC';
	members: Array<'n' | 'e' | 'crv' | 'x' | 'y'>;
	params: RsaHashedImportParams & EcKeyImportParams & EcdsaParams;
	/** Does the key's size or curve fit? */
	fits: (jwk: Jwk) => boolean;
}

const rsa = (hash: string): Scheme => ({
	kty: 'RSA',
	members: ['n', 'e'],
	params: { name: 'RSASSA-PKCS1-v1_5', hash, namedCurve: '' },
	// 2048 to 16384 bits
	fits: ({ n }) => typeof n === 'string' && n.length >= 342 && n.length <= 2731
});

/** Every algorithm there is here; a provider allows a part of them. No `none`, no HMAC. */
const SCHEMES = {
	RS256: rsa('SHA-256'),
	RS384: rsa('SHA-384'),
	ES256: {
		kty: 'EC',
		members: ['crv', 'x', 'y'],
		params: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
		fits: ({ crv }) => crv === 'P-256'
	} as Scheme
};

export type Algorithm = keyof typeof SCHEMES;

/** A token taken apart, not yet verified. */
export interface Jwt {
	alg: unknown;
	kid: unknown;
	/** The certificates that it brings along, as it spells them: worth nothing by themselves. */
	chain: unknown;
	payload: JsonObject;
	signed: Uint8Array;
	signature: Uint8Array;
}

/** Header parameters that change what a token means; we understand none of them. */
const REFUSED = ['crit', 'b64', 'zip', 'cty', 'enc'];

/**
 * Take a compact JWS apart (RFC 7515 section 5.2, RFC 7519 section 7.2), strictly.
 *
 * Keys that the header brings along (`jwk`, `jku`, `x5u`) are not even read. A chain is, for those
 * who pinned a CA: in `x5c` (RFC 7515 section 4.1.6), or where Trustee has it, inside `jwk`.
 * Throws `token-malformed`.
 */
export const parseJwt = (text: string): Jwt => {
	const parts = text.split('.', 4);
	if (text.length > TOKEN_LIMIT || parts.length !== 3 || parts[0].length > HEADER_LIMIT) {
		throw new Problem('token-malformed', 'size');
	}
	try {
		const [header, payload] = parts.slice(0, 2).map((p) => parseObject(fromUtf8(fromBase64url(p))));
		const { alg, kid, x5c = own(header.jwk, 'x5c') } = header;
		const refused = REFUSED.find((name) => name in header);
		if (refused) throw new Problem('token-malformed', refused);
		return {
			alg,
			kid,
			chain: x5c,
			payload,
			signed: toUtf8(`${parts[0]}.${parts[1]}`),
			signature: fromBase64url(parts[2])
		};
	} catch (error) {
		throw new Problem('token-malformed', (error as Problem).detail);
	}
};

/** May this key verify this algorithm? (RFC 7517 sections 4.1 to 4.4) */
const suits = (jwk: Jwk, alg: Algorithm): boolean =>
	jwk.kty === SCHEMES[alg].kty &&
	(jwk.alg === undefined || jwk.alg === alg) &&
	(jwk.use === undefined || jwk.use === 'sig') &&
	(jwk.key_ops === undefined || (Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) &&
	SCHEMES[alg].fits(jwk);

/** WebCrypto takes ECDSA signatures as r || s of exactly 64 bytes, the form of RFC 7518. */
const verifyWith = async (subtle: SubtleCrypto, jwt: Jwt, alg: Algorithm, jwk: Jwk) => {
	const { kty, members, params } = SCHEMES[alg];
	const bare = Object.fromEntries([['kty', kty], ...members.map((name) => [name, jwk[name]])]);
	try {
		const key = await subtle.importKey('jwk', bare, params, false, ['verify']);
		return await subtle.verify(params, key, jwt.signature, jwt.signed);
	} catch {
		return false;
	}
};

/**
 * Verify a token's signature under a key set.
 *
 * A token's `kid` must be the key's; where neither has one (Trustee's own signer), each key is
 * tried. Only with keys that the user pinned may one side name a key and the other not.
 * Throws `token-malformed` for an algorithm that is not allowed, `token-forged` for a key that is
 * not there or a signature that is wrong.
 */
export const verifyJwt = async (
	subtle: SubtleCrypto,
	jwt: Jwt,
	keys: readonly Jwk[],
	algorithms: readonly Algorithm[],
	pinned: boolean
): Promise<void> => {
	const alg = algorithms.find((name) => name === jwt.alg);
	if (!alg) throw new Problem('token-malformed', jwt.alg);
	const candidates = keys.filter(
		(jwk) =>
			suits(jwk, alg) &&
			(jwk.kid === jwt.kid || (pinned && (jwk.kid === undefined || jwt.kid === undefined)))
	);
	if (candidates.length === 0) throw new Problem('token-forged', jwt.kid ?? '');
	for (const jwk of candidates) {
		if (await verifyWith(subtle, jwt, alg, jwk)) return;
	}
	throw new Problem('token-forged');
};
