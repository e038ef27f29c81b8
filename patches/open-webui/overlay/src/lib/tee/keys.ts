import { fromBase64 } from './encoding';
import { isObject, parseObject } from './json';
import { Problem } from './problem';

const KEYS_LIMIT = 64;
/** Characters; the largest key sets of large services have some 10,000. */
const TEXT_LIMIT = 1 << 16;

export type Jwk = JsonWebKey & { kid?: string };

/**
 * Read a JWK Set, or one JWK, as text; throws `keys-malformed`.
 *
 * Private and symmetric keys are refused: whoever pastes one has taken the wrong file.
 */
export const parseKeySet = (text: string): Jwk[] => {
	let keys: unknown;
	try {
		const value = text.length <= TEXT_LIMIT && parseObject(text);
		keys = value && 'keys' in value ? value.keys : [value];
	} catch {
		// then there are none
	}
	const isPublic = (key: unknown) => isObject(key) && 'kty' in key && !('d' in key || 'k' in key);
	const good = Array.isArray(keys) && keys.length > 0 && keys.length <= KEYS_LIMIT;
	if (!good || !(keys as unknown[]).every(isPublic)) throw new Problem('keys-malformed');
	return keys as Jwk[];
};

/** What the user trusts to sign tokens. */
export interface Pins {
	/** Keys that are trusted by themselves. */
	keys: Jwk[];
	/** Certificates (DER) that vouch for the key of a token which brings its chain along. */
	certificates: Uint8Array[];
}

const PEM = /-----BEGIN CERTIFICATE-----(\s*[A-Za-z\d+/][A-Za-z\d+/=\s]*)-----END CERTIFICATE-----/g;

/**
 * Read what the user pinned: a JWK Set, a JWK, or PEM certificates and nothing else.
 *
 * Whether a certificate is one is seen when a chain is verified. Throws `keys-malformed`.
 */
export const parsePins = (text: string): Pins => {
	if (!text.trimStart().startsWith('-')) return { keys: parseKeySet(text), certificates: [] };
	const blocks = [...text.matchAll(PEM)];
	const rest = text.replace(PEM, '').trim();
	if (rest || blocks.length > KEYS_LIMIT) throw new Problem('keys-malformed');
	try {
		return { keys: [], certificates: blocks.map(([, body]) => fromBase64(body)) };
	} catch {
		throw new Problem('keys-malformed');
	}
};
