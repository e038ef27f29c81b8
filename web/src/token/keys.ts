import { strictBase64 } from '../base/encoding';
import { isObject, parseObject } from '../base/json';
import { Problem } from '../base/problem';

/** Keys in a set, and certificates that may be pinned. */
const KEYS_LIMIT = 64;
/** Characters; the largest key sets of large services have some 10,000. */
const TEXT_LIMIT = 1 << 16;

export type Jwk = JsonWebKey & { kid?: string };

/** Is it a key, and one that may be known to all? Whether it is a good one, WebCrypto says. */
const isPublicKey = (value: unknown): value is Jwk =>
	isObject(value) && 'kty' in value && !('d' in value) && !('k' in value);

/** The members of a set, or the one key that the text is. */
const readKeys = (text: string): unknown => {
	if (text.length > TEXT_LIMIT) throw new Problem('keys-malformed');
	try {
		const value = parseObject(text);
		return 'keys' in value ? value.keys : [value];
	} catch {
		throw new Problem('keys-malformed');
	}
};

/**
 * Read a JWK Set, or one JWK, as text; throws `keys-malformed`.
 *
 * Private and symmetric keys are refused: whoever pastes one has taken the wrong file.
 */
export const parseKeySet = (text: string): Jwk[] => {
	const keys = readKeys(text);
	if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_LIMIT) {
		throw new Problem('keys-malformed');
	}
	if (!keys.every(isPublicKey)) throw new Problem('keys-malformed');
	return keys;
};

/** What the user trusts to sign tokens. */
export interface Pins {
	/** Keys that are trusted by themselves. */
	keys: Jwk[];
	/** Certificates (DER) that vouch for the key of a token which brings its chain along. */
	certificates: Uint8Array<ArrayBuffer>[];
}

/** With PEM's own white space (RFC 7468): JavaScript's kind has more of it. */
const PEM = /-----BEGIN CERTIFICATE-----[ \t\r\n]([A-Za-z\d+/= \t\r\n]+)-----END CERTIFICATE-----/g;
const BLANK = /^[ \t\r\n]*$/;

/**
 * Read what the user pinned: a JWK Set, a JWK, or PEM certificates and nothing else.
 *
 * Whether a certificate is one is seen when a chain is verified. Throws `keys-malformed`.
 */
export const parsePins = (text: string): Pins => {
	if (!text.trimStart().startsWith('-')) return { keys: parseKeySet(text), certificates: [] };
	const bodies = Array.from(text.matchAll(PEM), ([, body = '']) => body);
	const isAll = BLANK.test(text.replace(PEM, ''));
	if (!isAll || bodies.length > KEYS_LIMIT) throw new Problem('keys-malformed');
	try {
		return {
			keys: [],
			certificates: bodies.map((body) => strictBase64(body.replace(/[ \t\r\n]/g, '')))
		};
	} catch {
		throw new Problem('keys-malformed');
	}
};
