/** The page's way to the holder of a key: sealed requests (docs/sealed.md). */
import type { Environment } from '../base/environment';
import { CODING, decoded, fieldOf, makeResponse } from './answer-body';
import { type Answer, type Fields, readAnswer, writeRequestHead } from './binary-http';
import { type Pull, once } from './bytes';
import { encapsulate, type Encapsulation } from './chunked-ohttp';
import { broken, SealedError } from './errors';
import type { Keyset, SealKey } from './keyset';
import { type Body, sealMessage, sizeOf, writeMessage } from './request-body';

/** What a channel takes from outside. */
export interface ChannelEnvironment extends Pick<Environment, 'fetch' | 'now' | 'api' | 'origin'> {
	subtle: SubtleCrypto;
	/** What each request says besides its own fields: user-agent and accept-language. */
	fields?: Fields;
}

export interface SealedRequest {
	method: string;
	/** Of the channel's origin. */
	url: string;
	/** The app's, `cookie` and `content-type` included; names in any case. */
	fields?: Fields;
	/** What `readBody` gives: readable again, for a repeat. */
	body?: Body | null;
	signal?: AbortSignal | null;
	/** The request outlives the page, as `fetch` has it. */
	keepalive?: boolean;
	/** Hears how many bytes of how many are sealed: no browser tells what of them is sent. */
	onUpload?: (loaded: number, total: number) => void;
	/** Hears how many bytes have come, of how many where that is known. */
	onDownload?: (loaded: number, total: number | null) => void;
	/** Gets the answer's Set-Cookie lines, which a `Response` does not show; [] where it has none. */
	onCookies?: (lines: string[]) => Promise<void> | void;
}

export interface Channel {
	/**
	 * Ask, and get what `fetch` would give: redirects are not followed. Rejects with a SealedError,
	 * or with the signal's reason; so does the body of an answer that is cut off.
	 */
	request: (request: SealedRequest) => Promise<Response>;
	/** Begin so many requests ahead, now and after each one. */
	prepare: (count?: number) => void;
}

/** What the channel itself says, or the server drops. */
const OWN_FIELDS = ['host', 'date', 'content-length', 'accept-encoding'];
const DATE_PROBLEM = 'https://iana.org/assignments/http-problem-types#date';
const REQUEST_TYPE = 'message/ohttp-chunked-req';
const ANSWER_TYPE = 'message/ohttp-chunked-res';
/** Nobody here has this key; or this route, as where the kit is gone, or seals nothing any more. */
const NOBODY = [404, 405, 422];

interface Begun {
	key: SealKey;
	encapsulation: Encapsulation;
}

/** Begun requests, so that one that comes need not wait for its key agreement. */
const makePool = (begin: () => Promise<Begun>) => {
	const ready: Promise<Begun>[] = [];
	let count = 0;
	const fill = (wanted = count) => {
		count = wanted;
		while (ready.length < count) {
			const begun = begin();
			begun.catch(() => undefined); // told to whoever takes it
			ready.push(begun);
		}
	};
	return { take: () => ready.shift() ?? begin(), fill };
};

/** The pieces of an outer answer. */
const pieces = (response: Response): Pull => {
	const reader = response.body?.getReader();
	return async () => {
		const read = await reader?.read().catch(() => {
			throw broken('broken off');
		});
		return read?.value ?? null;
	};
};

/** An outer answer that has no inner one. */
const refusal = ({ status, headers }: Response): SealedError => {
	const wait = Number(headers.get('retry-after')) * 1000 || 0;
	if (NOBODY.includes(status)) return new SealedError('key-unknown', '', status);
	return new SealedError(status === 503 ? 'sealed-busy' : 'sealed-refused', '', status, wait);
};

/** What the server's clock says where an answer complains about our date, or NaN; and the answer. */
const readComplaint = async (answer: Answer): Promise<{ date: number; answer: Answer }> => {
	const { status, fields } = answer;
	const isProblem = fieldOf(fields, 'content-type')?.startsWith('application/problem+json');
	if (status !== 400 || !isProblem) return { date: NaN, answer };
	const first = await answer.content();
	const begin = once(first);
	const content: Pull = async () => (await begin()) ?? answer.content();
	let date = NaN;
	try {
		const text = new TextDecoder().decode(first ?? undefined);
		const { type } = JSON.parse(text) as { type?: unknown };
		if (type === DATE_PROBLEM) date = Date.parse(fieldOf(fields, 'date') ?? '');
	} catch {
		// the app's own problem, whatever it says
	}
	return { date, answer: { ...answer, content } };
};

/** An AbortController that follows a signal for as long as it is not aborted itself. */
const follow = (signal?: AbortSignal | null): AbortController => {
	const life = new AbortController();
	const abort = () => {
		life.abort(signal?.reason);
	};
	if (signal?.aborted) abort();
	signal?.addEventListener('abort', abort, { signal: life.signal });
	return life;
};

/** Open a channel to the holder of this keyset's keys, which somebody has checked. */
export const createChannel = (env: ChannelEnvironment, { keys }: Keyset): Channel => {
	/** What the server's clock is ahead of ours, in milliseconds, once it has told us. */
	let ahead = 0;

	/** Begin with the first key whose curve this browser has. */
	const begin = async (at = 0): Promise<Begun> => {
		const key = keys[at];
		if (!key) throw new SealedError('no-key');
		try {
			return { key, encapsulation: await encapsulate(env.subtle, key) };
		} catch {
			return begin(at + 1);
		}
	};
	const pool = makePool(begin);

	const writeHead = ({
		method,
		url,
		fields = [],
		body
	}: SealedRequest): Uint8Array<ArrayBuffer> => {
		const { protocol, host, pathname, search, origin } = new URL(url, env.origin);
		if (origin !== env.origin) throw new TypeError('another origin');
		const given = fields
			.map(([name, value]): [string, string] => [name.toLowerCase(), value])
			.filter(([name]) => !OWN_FIELDS.includes(name));
		const missing = (env.fields ?? []).filter(([name]) => fieldOf(given, name) === undefined);
		const length = body ? sizeOf(body) : 0;
		return writeRequestHead({
			method,
			scheme: protocol.slice(0, -1),
			authority: host,
			path: pathname + search,
			fields: [
				...given,
				...missing,
				['accept-encoding', CODING],
				['date', new Date(env.now() + ahead).toUTCString()],
				...(body || !/^(GET|HEAD)$/.test(method)
					? [['content-length', String(length)] as [string, string]]
					: [])
			]
		});
	};

	/** One exchange under one encapsulation. */
	const exchange = async (request: SealedRequest, signal: AbortSignal): Promise<Answer> => {
		const message = writeMessage(writeHead(request), request.body ?? null);
		const { key, encapsulation } = await pool.take();
		const total = sizeOf(message);
		const sealed = await sealMessage(encapsulation, message, (done) => {
			signal.throwIfAborted();
			request.onUpload?.(done, total);
		});
		signal.throwIfAborted();
		const asked = env.fetch(`${env.api}/tee/ohttp`, {
			method: 'POST',
			headers: { 'content-type': REQUEST_TYPE, 'tee-key': key.id },
			body: sealed,
			credentials: 'omit',
			cache: 'no-store',
			redirect: 'manual',
			referrerPolicy: 'no-referrer',
			keepalive: request.keepalive,
			signal
		});
		pool.fill();
		const response = await asked.catch(() => {
			throw new SealedError('no-connection');
		});
		if (response.status !== 200 || response.headers.get('content-type') !== ANSWER_TYPE) {
			response.body?.cancel().catch(() => undefined);
			throw refusal(response);
		}
		return decoded(await readAnswer(encapsulation.open(pieces(response))));
	};

	/** The answer, after one correction of our date where the server asks for it. */
	const ask = async (request: SealedRequest, signal: AbortSignal): Promise<Answer> => {
		for (let asked = 0; asked < 2; asked += 1) {
			const { date, answer } = await readComplaint(await exchange(request, signal));
			if (isNaN(date)) return answer;
			ahead = date - env.now();
		}
		throw new SealedError('date-refused');
	};

	const request = async (asked: SealedRequest): Promise<Response> => {
		const life = follow(asked.signal);
		try {
			life.signal.throwIfAborted();
			const answer = await ask(asked, life.signal);
			const lines = answer.fields.flatMap(([name, value]) =>
				name === 'set-cookie' ? [value] : []
			);
			await asked.onCookies?.(lines);
			const onDownload = asked.onDownload ?? (() => undefined);
			return await makeResponse(answer, asked.method, life, onDownload);
		} catch (error) {
			const reason: unknown = life.signal.aborted ? life.signal.reason : error;
			life.abort(); // whatever is still under way
			throw reason;
		}
	};

	return {
		request,
		prepare: (count = 2) => {
			pool.fill(count);
		}
	};
};
