import { canonicalJson } from '../base/canonical';
import { toBase64url } from '../base/encoding';
import { isObject } from '../base/json';
import { Problem } from '../base/problem';
import { readKeyset, type Keyset } from '../transport/keyset';
import type { Evidence, RuntimeData } from './evidence';

/** Milliseconds that keys may live, and by which two clocks may differ where it is about keys. */
const KEY_LIFE = 3_600_000;
const CLOCKS = 120_000;

/** SHA-256 of an object's canonical JSON in base64url, or null where it is no object or has none. */
const digestOf = async (subtle: SubtleCrypto, value: unknown): Promise<string | null> => {
	let text: Uint8Array<ArrayBuffer>;
	try {
		if (!isObject(value)) return null;
		text = canonicalJson(value);
	} catch {
		return null;
	}
	return toBase64url(new Uint8Array(await subtle.digest('SHA-256', text)));
};

/** When these keys end: RFC 3339, in whole seconds. */
export const endOf = ({ notAfter }: Keyset): string =>
	`${new Date(notAfter).toISOString().slice(0, 19)}Z`;

/**
 * The keyset that the quote binds, or undefined where it binds none (runtime data of version 1).
 *
 * Throws `key-mismatch` where the quote is over other keys or another statement, or its keys cannot
 * be used; `keyset-expired` and `keyset-life`, by `now` in milliseconds since 1970.
 */
export const boundKeyset = async (
	subtle: SubtleCrypto,
	evidence: Pick<Evidence, 'keyset' | 'statement'>,
	{ version, keys, statement }: RuntimeData,
	now: number
): Promise<Keyset | undefined> => {
	if (version === 1) return undefined;
	const isBound = async (shown: unknown, bound: unknown): Promise<boolean> =>
		typeof bound === 'string' && (await digestOf(subtle, shown)) === bound;
	if (!(await isBound(evidence.keyset, keys))) throw new Problem('key-mismatch', 'keyset');
	if (!(await isBound(evidence.statement, statement)))
		throw new Problem('key-mismatch', 'statement');
	const keyset = await readKeyset(subtle, evidence.keyset);
	const end = endOf(keyset);
	if (now > keyset.notAfter + CLOCKS) throw new Problem('keyset-expired', end);
	if (now < keyset.notAfter - KEY_LIFE - CLOCKS) throw new Problem('keyset-life', end);
	return keyset;
};
