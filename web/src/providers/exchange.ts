import { toBase64, toBase64url, toUtf8 } from '../base/encoding';
import { isPage, NO_CONNECTION, request, type Reply } from '../base/http';
import { asText, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { Evidence } from '../evidence/evidence';
import type { Context } from './provider';

/** HTTP to one service: the token directly or by the relay, everything else directly only. */
export interface Service {
	address: string;
	post: (body: JsonObject) => Promise<Reply>;
	get: (url: string) => Promise<string>;
}

/** `evidence` as both services take it: base64url of a JSON with the quote and the logs. */
export const encodeEvidence = ({ quoteBytes, ccEventlog, aaEventlog }: Evidence): string => {
	const evidence = {
		quote: toBase64(quoteBytes),
		cc_eventlog: ccEventlog,
		aa_eventlog: aaEventlog
	};
	return toBase64url(toUtf8(JSON.stringify(evidence)));
};

/** Answers of a server that has no service there; and of what stands before one that does. */
const NO_SERVICE = [404, 405];
const NO_APPRAISAL = [401, 403, 429, 502, 503, 504];

/** Why an answer is not a word about the evidence, or undefined where it is one. */
const whyNoWord = ({ status, text, wait }: Reply): Problem | undefined => {
	const said = `HTTP ${status} ${text}`;
	if (NO_SERVICE.includes(status)) return new Passing('service-address', said, wait);
	if (NO_APPRAISAL.includes(status)) return new Passing('service-unreachable', said, wait);
	if (!isPage(text)) return undefined;
	// A proxy's page about the service behind it, or somebody else's altogether.
	return new Passing(status >= 500 ? 'service-unreachable' : 'service-address', said, wait);
};

/** A successful answer's text; throws with what came instead, `service-rejected` for a refusal. */
export const accepted = (reply: Reply): string => {
	const { status, text } = reply;
	const elsewhere = whyNoWord(reply);
	if (elsewhere) throw elsewhere;
	if (status !== 200) throw new Problem('service-rejected', `HTTP ${status} ${text}`);
	return text.trim();
};

/** What the relay says itself (docs/backend.md, section Errors), or undefined for an answer passed on. */
const relaysOwn = (text: string): string | undefined => {
	try {
		const { status, code, detail } = parseObject(text);
		return status === false ? `${asText(code)}: ${asText(detail)}` : undefined;
	} catch {
		return undefined;
	}
};

export const connect = ({ env, signal, choice, relay }: Context): Service => {
	const { provider, address, path } = choice;
	const post = (url: string, body: JsonObject) =>
		request(env, signal, url, 'service-unreachable', body);
	return {
		address,
		async post(body) {
			try {
				return await post(address + path, body);
			} catch (error) {
				// No connection and no CORS look the same from here, and the relay helps with both.
				if (asProblem(error).detail !== NO_CONNECTION || !relay) throw error;
				const reply = await post(`${env.api}/tee/relay/${provider}`, body);
				const own = relaysOwn(reply.text);
				if (own !== undefined) throw new Passing('service-unreachable', own, reply.wait);
				return reply;
			}
		},
		async get(url) {
			const code = 'keys-unreachable';
			const { status, text, wait } = await request(env, signal, url, code);
			if (status !== 200) throw new Passing(code, `HTTP ${status}`, wait);
			return text;
		}
	};
};
