import { isObject, parseObject } from './json';
import { Problem } from './problem';

const KEYS_LIMIT = 64;

export type Jwk = JsonWebKey & { kid?: string };

/**
 * Read a JWK Set, or one JWK, as text; throws `keys-malformed`.
 *
 * Private and symmetric keys are refused: whoever pastes one has taken the wrong file.
 */
export const parseKeySet = (text: string): Jwk[] => {
	let keys: unknown;
	try {
		const value = parseObject(text);
		keys = 'keys' in value ? value.keys : [value];
	} catch {
		// then there are none
	}
	const isPublic = (key: unknown) => isObject(key) && 'kty' in key && !('d' in key || 'k' in key);
	const good = Array.isArray(keys) && keys.length > 0 && keys.length <= KEYS_LIMIT;
	if (!good || !(keys as unknown[]).every(isPublic)) throw new Problem('keys-malformed');
	return keys as Jwk[];
};
