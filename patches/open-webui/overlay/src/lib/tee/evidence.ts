import type { Environment } from './environment';
import { fromBase64, fromBase64url, fromHex, fromUtf8, toBase64url, toHex } from './encoding';
import { own, parseObject, type JsonObject } from './json';
import { inclusionRoot } from './merkle';
import { request, type Reply } from './net';
import { Problem } from './problem';
import { parseQuote, type Quote } from './quote';

/** The server's answer to one nonce (docs/evidence.md), parsed; nothing in it is trusted yet. */
export interface Evidence {
	quoteBytes: Uint8Array;
	quote: Quote;
	runtimeData: Uint8Array;
	proof: { index: number; size: number; path: Uint8Array[] };
	/** The firmware's log (CCEL), as base64 and as bytes, and the application's. */
	ccEventlog: string | null;
	ccel: Uint8Array | null;
	aaEventlog: string | null;
	/** The server's own word; it can only lower the result. */
	simulated: boolean;
}

/** The server's reason in its own words; one that everybody must understand has ours as well. */
const refusal = ({ status, text }: Reply): Problem => {
	let answer = {};
	try {
		answer = parseObject(text);
	} catch {
		// not ours: the status says enough
	}
	const code = own(answer, 'code') === 'tdx-not-available' ? 'tdx-not-available' : 'quote-refused';
	return new Problem(code, own(answer, 'detail') ?? `HTTP ${status}`);
};

const optionalText = (answer: JsonObject, name: string): string | null => {
	const text = answer[name] ?? null;
	if (text !== null && typeof text !== 'string') throw new Problem('internal', name);
	return text;
};

/** Decode base64 with its padding and nothing else in it: `atob` would skip white space. */
const strictBase64 = (text: string): Uint8Array => {
	if (text.length % 4 || !/^[A-Za-z\d+/]*={0,2}$/.test(text)) throw new Problem('internal', 'base64');
	return fromBase64(text);
};

/** Parse the answer of `GET /tee/quote`; throws `evidence-malformed`. */
export const parseEvidence = (text: string): Evidence => {
	try {
		const answer = parseObject(text);
		const proof = answer.nonce_proof;
		const path = own(proof, 'path');
		if (answer.status !== true || answer.tee !== 'tdx') throw new Problem('internal', 'status');
		if (!Array.isArray(path) || path.length > 64) throw new Problem('internal', 'nonce_proof');
		const quoteBytes = fromHex(answer.quote);
		const ccEventlog = optionalText(answer, 'cc_eventlog');
		return {
			quoteBytes,
			quote: parseQuote(quoteBytes),
			runtimeData: fromBase64url(answer.runtime_data),
			proof: {
				index: own(proof, 'leaf_index') as number,
				size: own(proof, 'tree_size') as number,
				path: path.map(fromBase64url)
			},
			ccEventlog,
			ccel: ccEventlog === null ? null : strictBase64(ccEventlog),
			aaEventlog: optionalText(answer, 'aa_eventlog'),
			simulated: answer.simulated !== false || answer.provider === 'simulator'
		};
	} catch (error) {
		throw new Problem('evidence-malformed', (error as Problem).detail);
	}
};

/** Ask this server's TD for evidence over a nonce. */
export const fetchEvidence = async (
	env: Environment,
	signal: AbortSignal,
	nonce: Uint8Array
): Promise<Evidence> => {
	const url = `${env.api}/tee/quote?nonce=${toBase64url(nonce)}`;
	const reply = await request(env, signal, url, 'quote-unreachable');
	if (reply.status !== 200) throw refusal(reply);
	return parseEvidence(reply.text);
};

/**
 * Is this quote an answer to my nonce? The proof leads from the nonce to `nonce_root` inside the
 * exact `runtime_data` bytes, and their SHA-384, zero-padded, is the quote's report_data.
 * Throws `nonce`, with the part that does not fit as detail.
 */
export const verifyBinding = async (
	subtle: SubtleCrypto,
	nonce: Uint8Array,
	{ runtimeData, proof, quote }: Evidence
): Promise<void> => {
	let data;
	try {
		data = parseObject(fromUtf8(runtimeData));
	} catch {
		// then neither of the next two holds
	}
	if (own(data, 'v') !== 1) throw new Problem('nonce', 'runtime_data');
	const root = await inclusionRoot(subtle, nonce, proof.index, proof.size, proof.path);
	if (!root || toBase64url(root) !== own(data, 'nonce_root')) throw new Problem('nonce', 'nonce_proof');
	const digest = toHex(new Uint8Array(await subtle.digest('SHA-384', runtimeData)));
	if (quote.body.report_data !== digest.padEnd(128, '0')) throw new Problem('nonce', 'report_data');
};
