import { fromBase64, fromBase64url, fromHex, fromUtf8, toBase64url, toHex } from '../base/encoding';
import type { Environment } from '../base/environment';
import { request, type Reply } from '../base/http';
import { isJson, own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { PassingCode } from '../base/reasons';
import { inclusionRoot } from './merkle';
import { parseQuote, type Quote } from './quote';

/** Hashes in a proof: as many as a tree of 2^64 leaves is high. */
const PATH_LIMIT = 64;
/** Characters of runtime data: they are a few hashes. */
const RUNTIME_DATA_LIMIT = 8192;

/** Where a nonce's leaf is in the tree, and the hashes from there to the root. */
interface Proof {
	index: number;
	size: number;
	path: Uint8Array<ArrayBuffer>[];
}

/** The server's answer to one nonce (docs/evidence.md), parsed; nothing in it is trusted yet. */
export interface Evidence {
	/** The answer as it came. */
	document: JsonObject;
	quoteBytes: Uint8Array<ArrayBuffer>;
	quote: Quote;
	runtimeData: Uint8Array<ArrayBuffer>;
	proof: Proof;
	/** The keys that the quote binds, and what the software says, as they came; nothing in version 1. */
	keyset: unknown;
	statement: unknown;
	/** The statement's sections, where whoever asked has an account. */
	sections: unknown;
	/** The firmware's log (CCEL), as base64 and as bytes, and the application's. */
	ccEventlog: string | null;
	ccel: Uint8Array<ArrayBuffer> | null;
	aaEventlog: string | null;
	/** The server's own word; it can only lower the result. */
	simulated: boolean;
}

/** What it means, whatever else an answer says, that it has one of these statuses. */
const BY_STATUS: Partial<Record<number, PassingCode>> = {
	401: 'signed-out',
	403: 'not-allowed',
	429: 'too-many'
};

/** By these somebody in front of a server says that there is none behind it now. */
const DOWN: readonly number[] = [502, 503, 504];

/** Why this server gives nothing now, by an answer's status and whether the kit has worded it. */
export const refusalBy = (status: number, isWorded: boolean, other: PassingCode): PassingCode =>
	BY_STATUS[status] ?? (DOWN.includes(status) && !isWorded ? 'server-down' : other);

/**
 * The server's reason in its own words. One is about the machine, and has ours as well; any other
 * (busy, starting, not signed in, somebody else's page) may pass.
 */
const refusal = ({ status, text, wait }: Reply): Problem => {
	let answer: JsonObject = {};
	try {
		answer = parseObject(text);
	} catch {
		// not ours: the status says enough
	}
	const detail = own(answer, 'detail') ?? `HTTP ${status}`;
	const without = 'tdx-not-available';
	const said = own(answer, 'code');
	if (said === without) return new Problem(without, detail);
	return new Passing(refusalBy(status, said !== undefined, 'quote-refused'), detail, wait);
};

/** A text of limited length, which is therefore cheap to decode and to hash. */
const shortText = (answer: JsonObject, name: string): string => {
	const text = answer[name];
	if (typeof text === 'string' && text.length <= RUNTIME_DATA_LIMIT) return text;
	throw new Problem('internal', name);
};

const optionalText = (answer: JsonObject, name: string): string | null => {
	const text = answer[name] ?? null;
	if (text !== null && typeof text !== 'string') throw new Problem('internal', name);
	return text;
};

/** Decode base64 with its padding and nothing else in it: `atob` would skip white space. */
const fromPlainBase64 = (text: string): Uint8Array<ArrayBuffer> => {
	if (text.length % 4 !== 0 || !/^[A-Za-z\d+/]*={0,2}$/.test(text)) {
		throw new Problem('internal', 'base64');
	}
	return fromBase64(text);
};

/** A number of the proof that is not written as a whole one: 1.0 and 1 are the same to some readers. */
const FRACTION = /"(?:leaf_index|tree_size)"\s*:\s*-?\d+[.eE]/;

/** A number, or NaN, which is the place of no leaf. */
const numberIn = (value: unknown, name: string): number => {
	const number = own(value, name);
	return typeof number === 'number' ? number : NaN;
};

const parseProof = (value: unknown): Proof => {
	const path = own(value, 'path');
	if (!Array.isArray(path) || path.length > PATH_LIMIT)
		throw new Problem('internal', 'nonce_proof');
	return {
		index: numberIn(value, 'leaf_index'),
		size: numberIn(value, 'tree_size'),
		path: path.map(fromBase64url)
	};
};

/** Parse the answer of `GET /tee/quote`; throws `evidence-malformed`. */
export const parseEvidence = (text: string): Evidence => {
	try {
		const answer = parseObject(text);
		if (answer.status !== true || answer.tee !== 'tdx') throw new Problem('internal', 'status');
		if (FRACTION.test(text)) throw new Problem('internal', 'nonce_proof');
		const quoteBytes = fromHex(answer.quote);
		const ccEventlog = optionalText(answer, 'cc_eventlog');
		return {
			document: answer,
			quoteBytes,
			quote: parseQuote(quoteBytes),
			runtimeData: fromBase64url(shortText(answer, 'runtime_data')),
			proof: parseProof(answer.nonce_proof),
			keyset: own(answer, 'keyset'),
			statement: own(answer, 'statement'),
			sections: own(answer, 'statement_sections'),
			ccEventlog,
			ccel: ccEventlog === null ? null : fromPlainBase64(ccEventlog),
			aaEventlog: optionalText(answer, 'aa_eventlog'),
			simulated: answer.simulated !== false || answer.provider === 'simulator'
		};
	} catch (error) {
		throw new Problem('evidence-malformed', asProblem(error).detail);
	}
};

/** Ask this server's TD for evidence over a nonce. */
export const fetchEvidence = async (
	env: Environment,
	signal: AbortSignal,
	nonce: Uint8Array<ArrayBuffer>
): Promise<Evidence> => {
	const url = `${env.api}/tee/quote?nonce=${toBase64url(nonce)}`;
	const reply = await request(env, signal, url, 'quote-unreachable');
	const { status, text, wait } = reply;
	if (status !== 200) {
		// Versions of open-webui differ in what they say to who is not signed in at all.
		throw refusal(status === 403 && !env.token() ? { ...reply, status: 401 } : reply);
	}
	// No server with the kit answers like that: somebody else did, in its place.
	if (!isJson(text)) throw new Passing('evidence-malformed', `HTTP ${status} ${text}`, wait);
	return parseEvidence(text);
};

/** What a quote is over. Version 2 has hashes of keyset and statement, as they stand in it. */
export interface RuntimeData {
	version: 1 | 2;
	keys: unknown;
	statement: unknown;
}

const readRuntimeData = (bytes: Uint8Array<ArrayBuffer>): JsonObject => {
	try {
		return parseObject(fromUtf8(bytes));
	} catch {
		throw new Problem('nonce', 'runtime_data');
	}
};

/**
 * Is this quote an answer to my nonce? The proof leads from the nonce to `nonce_root` inside the
 * exact `runtime_data` bytes, and their SHA-384, zero-padded, is the quote's report_data.
 * Throws `nonce`, with the part that does not fit as detail; returns what else the quote is over.
 */
export const verifyBinding = async (
	subtle: SubtleCrypto,
	nonce: Uint8Array<ArrayBuffer>,
	{ runtimeData, proof, quote }: Evidence
): Promise<RuntimeData> => {
	const data = readRuntimeData(runtimeData);
	const version = own(data, 'v');
	if (version !== 1 && version !== 2) throw new Problem('nonce', 'runtime_data');
	const root = await inclusionRoot(subtle, nonce, proof.index, proof.size, proof.path);
	if (!root || toBase64url(root) !== own(data, 'nonce_root'))
		throw new Problem('nonce', 'nonce_proof');
	const digest = toHex(new Uint8Array(await subtle.digest('SHA-384', runtimeData)));
	if (quote.body.report_data !== digest.padEnd(128, '0')) throw new Problem('nonce', 'report_data');
	return { version, keys: own(data, 'keys'), statement: own(data, 'statement') };
};
