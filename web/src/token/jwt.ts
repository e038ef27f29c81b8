import { fromBase64url, fromUtf8, toUtf8 } from '../base/encoding';
import { isObject, own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Problem } from '../base/problem';
import type { Jwk } from './keys';

/** Characters. A token may bring a whole parsed event log along; its header has no reason to be long. */
const TOKEN_LIMIT = 1 << 20;
const HEADER_LIMIT = 1 << 13;

interface Scheme {
	/** Public members of a key of this kind: nothing else is handed to WebCrypto. */
	kty: 'RSA' | 'EC';
	members: readonly ('n' | 'e' | 'crv' | 'x' | 'y')[];
	importing: RsaHashedImportParams | EcKeyImportParams;
	verifying: AlgorithmIdentifier | EcdsaParams;
	/** Does the key's size or curve fit? */
	fits: (jwk: Jwk) => boolean;
}

/** Characters of a modulus of 2048 and of 16384 bits in base64url. */
const MODULUS_MIN = 342;
const MODULUS_MAX = 2731;

const rsa = (hash: string): Scheme => ({
	kty: 'RSA',
	members: ['n', 'e'],
	importing: { name: 'RSASSA-PKCS1-v1_5', hash },
	verifying: 'RSASSA-PKCS1-v1_5',
	fits: ({ n }) => typeof n === 'string' && n.length >= MODULUS_MIN && n.length <= MODULUS_MAX
});

const ecdsaP256: Scheme = {
	kty: 'EC',
	members: ['crv', 'x', 'y'],
	importing: { name: 'ECDSA', namedCurve: 'P-256' },
	verifying: { name: 'ECDSA', hash: 'SHA-256' },
	fits: ({ crv }) => crv === 'P-256'
};

/** Every algorithm there is here; a provider allows a part of them. No `none`, no HMAC. */
const SCHEMES = { RS256: rsa('SHA-256'), RS384: rsa('SHA-384'), ES256: ecdsaP256 };

export type Algorithm = keyof typeof SCHEMES;

/** A token taken apart, not yet verified. */
export interface Jwt {
	alg: unknown;
	kid: unknown;
	/** The certificates that it brings along, as it spells them: worth nothing by themselves. */
	chain: unknown;
	/** Does it bring a key without any certificate, as a Trustee without a signer of its own does? */
	bareKey: boolean;
	payload: JsonObject;
	signed: Uint8Array<ArrayBuffer>;
	signature: Uint8Array<ArrayBuffer>;
}

/** Header parameters that change what a token means; we understand none of them. */
const REFUSED = ['crit', 'b64', 'zip', 'cty', 'enc'];

const parsePart = (part: string): JsonObject => parseObject(fromUtf8(fromBase64url(part)));

/**
 * Take a compact JWS apart (RFC 7515 section 5.2, RFC 7519 section 7.2), strictly.
 *
 * Keys that the header brings along (`jwk`, `jku`, `x5u`) are not read, only noticed. A chain is, for those
 * who pinned a CA: in `x5c` (RFC 7515 section 4.1.6), or where Trustee has it, inside `jwk`.
 * Throws `token-malformed`.
 */
export const parseJwt = (text: string): Jwt => {
	const [head = '', body, signature, ...more] = text.split('.', 4);
	const whole = body !== undefined && signature !== undefined && more.length === 0;
	if (!whole || text.length > TOKEN_LIMIT || head.length > HEADER_LIMIT) {
		throw new Problem('token-malformed', 'size');
	}
	try {
		const header = parsePart(head);
		const payload = parsePart(body);
		const { alg, kid, x5c = own(header.jwk, 'x5c') } = header;
		const refused = REFUSED.find((name) => name in header);
		if (refused) throw new Problem('token-malformed', refused);
		// RFC 7515 section 4.1.4; anything else would be as good as none.
		if (kid !== undefined && typeof kid !== 'string') throw new Problem('token-malformed', 'kid');
		return {
			alg,
			kid,
			chain: x5c,
			bareKey: isObject(header.jwk) && x5c === undefined,
			payload,
			signed: toUtf8(`${head}.${body}`),
			signature: fromBase64url(signature)
		};
	} catch (error) {
		throw new Problem('token-malformed', asProblem(error).detail);
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
const verifyWith = async (
	subtle: SubtleCrypto,
	{ signature, signed }: Jwt,
	{ kty, members, importing, verifying }: Scheme,
	jwk: Jwk
): Promise<boolean> => {
	const bare: JsonWebKey = { kty };
	for (const name of members) bare[name] = jwk[name];
	try {
		const key = await subtle.importKey('jwk', bare, importing, false, ['verify']);
		return await subtle.verify(verifying, key, signature, signed);
	} catch {
		return false; // not a key of this kind
	}
};

/** Does a token name this key? Only with pinned keys may one side name it and the other not. */
const names = (jwt: Jwt, jwk: Jwk, pinned: boolean): boolean =>
	jwk.kid === jwt.kid || (pinned && (jwk.kid === undefined || jwt.kid === undefined));

/**
 * Verify a token's signature under a key set.
 *
 * A token's `kid` must be the key's; where neither has one (Trustee's own signer), each key is
 * tried. Throws `token-malformed` for an algorithm that is not allowed, `token-forged` for a key
 * that is not there or a signature that is wrong; `key-changed` for another key than the pinned
 * one, of a signer that has no certificate.
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
	const candidates = keys.filter((jwk) => suits(jwk, alg) && names(jwt, jwk, pinned));
	for (const jwk of candidates) {
		if (await verifyWith(subtle, jwt, SCHEMES[alg], jwk)) return;
	}
	if (pinned && jwt.bareKey) throw new Problem('key-changed');
	throw new Problem('token-forged', candidates.length === 0 ? (jwt.kid ?? '') : '');
};
