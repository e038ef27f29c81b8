import { canonicalJson } from '../base/canonical';
import { toBase64url } from '../base/encoding';
import type { Environment } from '../base/environment';
import { inTime, NO_CONNECTION, readBody, readOut } from '../base/http';
import { own, parseObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import { createChannel } from '../transport/client';
import { SealedError } from '../transport/errors';
import type { Keyset } from '../transport/keyset';

/** Statuses by which a server, or a proxy in front of it, says that it cannot answer now. */
const LATER: readonly number[] = [429, 502, 503, 504];

/** What it means that there is no sealed answer; null where there was one all the same. */
const meaning = (error: unknown): Problem | null => {
	if (!(error instanceof SealedError)) return asProblem(error);
	const { code, detail, status, wait } = error;
	if (code === 'date-refused') return null; // that stood in an answer, which opened
	if (code === 'no-connection') return new Passing('quote-unreachable', NO_CONNECTION);
	if (LATER.includes(status)) return new Passing('quote-unreachable', `HTTP ${status}`, wait);
	// Nobody was asked: this browser has none of the curves.
	if (code === 'no-key') return new Problem('key-mismatch', code);
	return new Problem('key-silent', status ? `HTTP ${status}` : `${code} ${detail}`.trim());
};

/**
 * Have the holder of these keys answer a sealed request, in limited time. Whatever opens under the
 * request's context is an answer: nobody else could have sealed it.
 *
 * Throws `key-silent` where whoever answers does not hold them, and what may pass by itself where
 * nobody answers now.
 */
export const askHolder = async (
	env: Environment,
	subtle: SubtleCrypto,
	signal: AbortSignal,
	keyset: Keyset
): Promise<void> => {
	const channel = createChannel({ ...env, subtle }, keyset);
	const url = `${env.api}/tee/sealed`;
	try {
		await inTime(env, signal, 'quote-unreachable', async (inner) => {
			readOut(await channel.request({ method: 'GET', url, signal: inner }));
		});
	} catch (error) {
		const problem = meaning(error);
		if (problem) throw problem;
	}
};

/**
 * Have the holder of these keys tell what it states of itself to the person of this token, which goes
 * sealed. Undefined where that person may not know, and of an older kit.
 *
 * Throws what may pass by itself where it does not answer now, or states another thing than the quote
 * was over by now.
 */
export const askStatement = async (
	env: Environment,
	subtle: SubtleCrypto,
	signal: AbortSignal,
	keyset: Keyset,
	{ token, bound }: { token: string; bound: string }
): Promise<unknown> => {
	const channel = createChannel({ ...env, subtle }, keyset);
	const url = `${env.api}/tee/statement`;
	const fields: [string, string][] = [['authorization', `Bearer ${token}`]];
	const answer = await inTime(env, signal, 'quote-unreachable', async (inner) => {
		const response = await channel.request({ method: 'GET', url, fields, signal: inner });
		return { status: response.status, text: await readBody(response) };
	}).catch((error: unknown) => {
		throw meaning(error) ?? new Passing('quote-unreachable');
	});
	const { status, text } = answer;
	if (LATER.includes(status) || status >= 500) {
		throw new Passing('quote-unreachable', `HTTP ${status}`);
	}
	if (status !== 200) return undefined;
	const told = parseObject(text);
	const digest = await subtle.digest('SHA-256', canonicalJson(own(told, 'statement')));
	if (toBase64url(new Uint8Array(digest)) !== bound) throw new Passing('statement-changed');
	return own(told, 'sections') ?? null;
};
