/** The page's way to the holder of a key: sealed requests (docs/sealed.md). */
import type { Environment } from '../base/environment';
import { CODING, type Decoded, decoded, makeResponse } from './answer-body';
import { type Fields, readAnswer, writeRequestHead } from './binary-http';
import { type Bytes, type Pull, once } from './bytes';
import { encapsulate } from './chunked-ohttp';
import { broken, SealedError } from './errors';
import type { Keyset } from './keyset';
import type { Begun, Pool } from './pool';
import { type Body, isReading, sealMessage, sizeOf, writeMessage } from './request-body';

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
	/** Readable again, for a repeat. */
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
}

/** What the channel says where it is to be said, besides what it always says. */
const NOT_FROM_THE_APP = ['host', 'content-length'];
const DATE_PROBLEM = 'https://iana.org/assignments/http-problem-types#date';
const REQUEST_TYPE = 'message/ohttp-chunked-req';
const ANSWER_TYPE = 'message/ohttp-chunked-res';
/** Nobody here has this key; or this route, as where the kit is gone, or seals nothing any more. */
const NOBODY = [404, 405, 422];

/** The pieces of an outer answer. */
const pieces = (response: Response): Pull => {
	const reader = response.body?.getReader();
	return async () => {
		const read = await reader?.read().catch(() => {
			throw broken('truncated');
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

/** What the server's clock says where a problem is our date, or NaN for the app's own words. */
const readComplaint = (headers: Headers, problem: Bytes | null): number => {
	if (!headers.get('content-type')?.startsWith('application/problem+json')) return NaN;
	try {
		const { type } = JSON.parse(new TextDecoder().decode(problem ?? undefined)) as {
			type?: unknown;
		};
		return type === DATE_PROBLEM ? Date.parse(headers.get('date') ?? '') : NaN;
	} catch {
		return NaN;
	}
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

/**
 * Open a channel to the holder of this keyset's keys, which somebody has checked.
 *
 * @param makePool Where requests are begun ahead.
 */
export const createChannel = (
	env: ChannelEnvironment,
	{ keys }: Keyset,
	makePool?: (begin: () => Promise<Begun>) => Pool
): Channel => {
	/** What the server's clock is ahead of ours, in milliseconds, once it has told us. */
	let ahead = 0;

	/** Begin with the first key whose curve this browser has. */
	const begin = async (): Promise<Begun> => {
		for (const key of keys) {
			try {
				return { key, encapsulation: await encapsulate(env.subtle, key) };
			} catch {
				// the next one
			}
		}
		throw new SealedError('no-key');
	};
	const pool = makePool?.(begin);

	const writeHead = ({
		method,
		url,
		fields = [],
		body
	}: SealedRequest): Uint8Array<ArrayBuffer> => {
		const { protocol, host, pathname, search, origin } = new URL(url, env.origin);
		if (origin !== env.origin) throw new TypeError('another origin');
		const headers = new Headers(fields);
		for (const name of NOT_FROM_THE_APP) headers.delete(name);
		for (const [name, value] of env.fields ?? []) {
			if (!headers.has(name)) headers.set(name, value);
		}
		headers.set('accept-encoding', CODING);
		headers.set('date', new Date(env.now() + ahead).toUTCString());
		if (body || !isReading(method)) {
			headers.set('content-length', String(body ? sizeOf(body) : 0));
		}
		return writeRequestHead({
			method,
			scheme: protocol.slice(0, -1),
			authority: host,
			path: pathname + search,
			fields: [...headers]
		});
	};

	/** One exchange under one encapsulation. */
	const exchange = async (request: SealedRequest, signal: AbortSignal): Promise<Decoded> => {
		const message = writeMessage(writeHead(request), request.body ?? new Uint8Array());
		const { key, encapsulation } = await (pool ? pool.take() : begin());
		const total = sizeOf(message);
		const sealed = await sealMessage(encapsulation, message, (done) => {
			signal.throwIfAborted();
			request.onUpload?.(done, total);
		});
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
		pool?.fill();
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
	const ask = async (request: SealedRequest, signal: AbortSignal): Promise<Decoded> => {
		for (let asked = 0; asked < 2; asked += 1) {
			const answer = await exchange(request, signal);
			if (answer.status !== 400) return answer;
			const first = await answer.content();
			const date = readComplaint(answer.headers, first);
			if (isNaN(date)) return { ...answer, content: once(first, answer.content) };
			ahead = date - env.now();
		}
		throw new SealedError('date-refused');
	};

	const request = async (asked: SealedRequest): Promise<Response> => {
		const life = follow(asked.signal);
		try {
			const answer = await ask(asked, life.signal);
			await asked.onCookies?.(answer.headers.getSetCookie());
			return await makeResponse(answer, asked.method, life, asked.onDownload);
		} catch (error) {
			const reason: unknown = life.signal.aborted ? life.signal.reason : error;
			life.abort(); // whatever is still under way
			throw reason;
		}
	};

	return { request };
};
