import type { Environment } from '../base/environment';
import { request } from '../base/http';
import { own, parseObject } from '../base/json';
import { Passing } from '../base/problem';
import { readKeyset, type Keyset } from '../transport/keyset';

/**
 * The keys that this server says it has, checked by nobody: where attestation is off, or came to
 * nothing. null where it has none, or this browser can use none.
 *
 * Throws what may pass by itself where it does not answer now.
 */
export const fetchKeys = async (env: Environment, signal: AbortSignal): Promise<Keyset | null> => {
	const { subtle } = env;
	if (!subtle) return null;
	const code = 'quote-unreachable';
	const { status, text, wait } = await request(env, signal, `${env.api}/tee/keys`, code);
	if (status === 404) return null; // an older kit
	if (status !== 200) throw new Passing(code, `HTTP ${status}`, wait);
	const keyset = own(parseObject(text), 'keyset');
	return keyset === null ? null : readKeyset(subtle, keyset);
};
