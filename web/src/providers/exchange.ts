import { isPrivate } from '../base/address';
import { toBase64, toBase64url, toUtf8, fromHex } from '../base/encoding';
import { NO_CONNECTION, NO_TEXT, REDIRECT, request, type Reply } from '../base/http';
import { asText, own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { PassingCode, ReasonCode } from '../base/reasons';
import type { Evidence } from '../evidence/evidence';
import ANSWERS from './answers.json';
import type { Context } from './provider';

/** HTTP to one service: the token directly or by the relay, everything else directly only. */
export interface Service {
	address: string;
	post: (body: JsonObject) => Promise<Reply>;
	get: (url: string) => Promise<string>;
}

/** What every service takes: the quote and its report data, and one event log if it wants it. */
export const requestOf = ({ quoteBytes, quote }: Evidence, log: Uint8Array | null): JsonObject => {
	const evidence = {
		quote: toBase64(quoteBytes),
		...(log && { cc_eventlog: toBase64(log) })
	};
	return {
		tee: 'tdx',
		evidence: toBase64url(toUtf8(JSON.stringify(evidence))),
		// Raw data is compared with the report data as it is; services hash structured data only.
		runtime_data: { raw: toBase64url(fromHex(quote.body.report_data)) }
	};
};

/**
 * What an answer says that is no token. `answers.json` tells it for the page and for cczoo-verify
 * (verifier/services/exchange.py), so that both come to the same code.
 */
export interface Word {
	/** Its name in the table. */
	name: string;
	code: PassingCode | RefusalCode;
	/** What it means, in words; empty where its code says enough. */
	meaning: string;
}

const word = (name: string): Word => {
	const { code, text } = own(ANSWERS.words, name) as { code: Word['code']; text: string };
	return { name, code, meaning: text };
};

/** Intel's quote library answers with a number, which Trustee hands on. */
const byIntelsCode = (said: string): string | undefined =>
	ANSWERS.intel_before
		.filter((before) => said.includes(before))
		.map((before) => said.indexOf(before) + before.length)
		.map((at) => own(ANSWERS.intel, said.slice(at, at + 4)) as string | undefined)
		.find((name) => name !== undefined);

const byPhrase = (said: string): string | undefined =>
	ANSWERS.phrases.find(([phrase = '']) => said.includes(phrase))?.[1];

/** Alibaba Cloud refuses with status 400 and an object that has a code and a message. */
const byForm = (status: number, text: string): string => {
	try {
		const { code, message } = status === 400 ? parseObject(text) : {};
		if (typeof code === 'string' && typeof message === 'string') return ANSWERS.named_error;
	} catch {
		// not an object
	}
	return ANSWERS.else;
};

/** White space, as HTTP and JSON have it: every language's own kind has more of it. */
const BLANK = ' \t\r\n';

/** Without white space around it. A pattern would look again from each blank of a long row. */
const trim = (text: string): string => {
	let begin = 0;
	let end = text.length;
	while (begin < end && BLANK.includes(text.charAt(begin))) begin += 1;
	while (end > begin && BLANK.includes(text.charAt(end - 1))) end -= 1;
	return text.slice(begin, end);
};

/** The first rule that fits; cheap ones before those that read the text. */
const nameOf = (status: number, text: string): string | undefined => {
	if (status >= 300 && status < 400) return ANSWERS.redirect;
	const byStatus = own(ANSWERS.statuses, String(status)) as string | undefined;
	if (byStatus !== undefined) return byStatus;
	// A page for people: no service has tokens or refusals like that.
	if (text.startsWith('<')) return status >= 500 ? ANSWERS.page_of_error : ANSWERS.page;
	if (status === 200) return undefined;
	const said = text.slice(0, ANSWERS.characters);
	return byIntelsCode(said) ?? byPhrase(said) ?? byForm(status, text);
};

/** What an answer means, or undefined where it is to be read as a token. */
export const judge = ({ status, text }: Pick<Reply, 'status' | 'text'>): Word | undefined => {
	const name = nameOf(status, trim(text));
	return name === undefined ? undefined : word(name);
};

/** Only these are about this evidence; whoever gets any other may ask again. */
const REFUSALS = ['service-rejected', 'appraisal'] as const satisfies ReasonCode[];
type RefusalCode = (typeof REFUSALS)[number];

const isRefusal = (code: Word['code']): code is RefusalCode =>
	REFUSALS.some((refusal) => refusal === code);

/** What the page tells apart by an answer's status; cczoo-verify has one code for all of these. */
const BY_STATUS: Partial<Record<number, PassingCode>> = {
	401: 'service-keeps-out',
	403: 'service-keeps-out',
	405: 'service-kind',
	407: 'service-keeps-out',
	429: 'service-too-many',
	502: 'service-down',
	503: 'service-down',
	504: 'service-down'
};

/** Does something else answer than a service of this kind? A page for people has a status of success. */
const isForeign = ({ name }: Word, { status }: Reply): boolean =>
	name === 'misunderstood' || (name === ANSWERS.page && status === 200);

/** What the page calls an answer that is about something else than this evidence. */
const passingCode = (code: PassingCode, said: Word, reply: Reply): PassingCode =>
	isForeign(said, reply) ? 'service-kind' : (BY_STATUS[reply.status] ?? code);

/** The answer's text, where it is to be read as a token; throws what it says instead. */
export const accepted = (reply: Reply): string => {
	const said = judge(reply);
	if (!said) return trim(reply.text);
	const { code, meaning } = said;
	const parts = [`HTTP ${reply.status}`, meaning, trim(reply.text)].filter(Boolean);
	const detail = parts.join(': ');
	if (isRefusal(code)) throw new Problem(code, detail);
	throw new Passing(passingCode(code, said, reply), detail, reply.wait);
};

/** What the relay says itself (docs/backend.md, section Errors), by its code. */
const RELAYS_OWN: Partial<Record<string, PassingCode>> = {
	'too-large': 'service-broken',
	'too-many-requests': 'too-many',
	'relay-redirected': 'service-address',
	'relay-failed': 'service-down',
	'relay-timed-out': 'service-down'
};

/** Throw what the relay says itself; an answer that it passed on is left to others. */
const refuseRelaysOwn = ({ text, wait }: Reply): void => {
	let said: JsonObject;
	try {
		said = parseObject(text);
	} catch {
		return;
	}
	if (said.status !== false) return;
	const code = asText(said.code);
	const reason = own(RELAYS_OWN, code) as PassingCode | undefined;
	throw new Passing(reason ?? 'service-unreachable', `${code}: ${asText(said.detail)}`, wait);
};

/** What a service's answer is that could not be read at all. */
const CODES: Partial<Record<string, PassingCode>> = {
	[REDIRECT]: 'service-address',
	[NO_TEXT]: 'service-broken'
};

/** One service, as this page reaches it. */
export const connect = ({ env, signal, choice, relay }: Context): Service => {
	const { provider, address, path } = choice;
	/** May the page ask itself? One of HTTPS may not ask plain HTTP elsewhere. */
	const direct = isPrivate(address);

	/** What it is that nothing came: this page cannot tell a service that is down from one without CORS. */
	const silence = (error: unknown, code: PassingCode): unknown => {
		const problem = asProblem(error);
		const isSilent = problem.detail === NO_CONNECTION && problem.code !== 'offline';
		return isSilent ? new Passing(code, NO_CONNECTION) : error;
	};

	const post = async (url: string, body: JsonObject): Promise<Reply> => {
		try {
			return await request(env, signal, url, 'service-unreachable', body);
		} catch (error) {
			const { detail } = asProblem(error);
			const code = own(CODES, detail) as PassingCode | undefined;
			throw code ? new Passing(code, detail) : error;
		}
	};

	const postByRelay = async (body: JsonObject): Promise<Reply> => {
		const reply = await post(`${env.api}/tee/relay/${provider}`, body);
		refuseRelaysOwn(reply);
		return reply;
	};

	return {
		address,
		async post(body) {
			if (!direct) {
				if (relay !== address) throw new Problem('no-relay', relay);
				return postByRelay(body);
			}
			try {
				return await post(address + path, body);
			} catch (error) {
				// No connection and no CORS look the same from here, and the relay helps with both.
				if (asProblem(error).detail !== NO_CONNECTION || !relay)
					throw silence(error, 'service-silent');
				if (relay !== address) throw new Passing('no-relay', relay);
				return postByRelay(body);
			}
		},
		async get(url) {
			const code = 'keys-unreachable';
			try {
				const { status, text, wait } = await request(env, signal, url, code);
				if (status === 404) throw new Passing('keys-needed', `HTTP ${status}`, wait);
				if (status !== 200) throw new Passing(BY_STATUS[status] ?? code, `HTTP ${status}`, wait);
				return text;
			} catch (error) {
				// A server that offers its relay says by that that pages do not get through, and a key
				// that came by the relay would prove nothing.
				throw silence(error, relay === address ? 'keys-needed' : 'keys-silent');
			}
		}
	};
};
