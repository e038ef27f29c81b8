import type { Environment } from './environment';
import type { JsonObject } from './json';
import { Passing, Problem } from './problem';
import type { PassingCode } from './reasons';

export interface Reply {
	status: number;
	text: string;
	/** Milliseconds after which it may be asked again, by the answer's own word; 0 where it says none. */
	wait: number;
	/** Milliseconds since 1970, by the clock of whoever answered; NaN where it does not say. */
	date: number;
}

/** Milliseconds that any answer may take, and bytes that it may have. */
const TIME_LIMIT = 30_000;
const SIZE_LIMIT = 4 << 20;

/** Details of a request that got no connection at all; that leads elsewhere; that got no text. */
export const NO_CONNECTION = 'no connection';
export const REDIRECT = 'redirect';
export const NO_TEXT = 'no text';

/** Milliseconds that an answer's Retry-After asks for (RFC 9110 section 10.2.3). */
const askedWait = (response: Response, now: number): number => {
	const text = response.headers.get('Retry-After') ?? '';
	const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
	return wait > 0 ? wait : 0;
};

/** Read a body while counting: a stream without end is cut off, not collected. */
export const readBody = async (response: Response): Promise<string> => {
	const reader = response.body?.getReader();
	if (!reader) return '';
	const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
	/** Decode what came, or what is left at the end. */
	const decode = (bytes?: Uint8Array<ArrayBuffer>): string => {
		try {
			return decoder.decode(bytes, { stream: bytes !== undefined });
		} catch {
			reader.cancel().catch(() => {});
			throw new Problem('internal', NO_TEXT);
		}
	};
	let text = '';
	let total = 0;
	for (;;) {
		const { done, value } = await reader.read().catch(() => {
			// There was a connection: who takes this for none would send evidence a second time.
			throw new Problem('internal', 'broken off');
		});
		if (done) return text + decode();
		total += value.length;
		if (total > SIZE_LIMIT) {
			reader.cancel().catch(() => {});
			throw new Problem('internal', 'too large');
		}
		text += decode(value);
	}
};

/**
 * Read what nobody needs, to its end and in the background: a browser calls "canceled" what is cut
 * off, and whoever looks for a fault looks there.
 */
export const readOut = (response: Response): void => {
	readBody(response).catch(() => {});
};

/** Was the request sent elsewhere? A browser tells that and nothing else of such an answer. */
const isRedirect = ({ type, status }: Response): boolean =>
	type === 'opaqueredirect' || (status >= 300 && status < 400);

/** A server that wants to know who asks, or has more room for those whom it knows. */
const WHO_ARE_YOU = [401, 403, 429];

/** One request; only where it bears the user's token, it brings cookies along. */
const send = (
	{ fetch }: Environment,
	signal: AbortSignal,
	url: string,
	body: JsonObject | undefined,
	token = ''
): Promise<Response> =>
	fetch(url, {
		method: body ? 'POST' : 'GET',
		headers: {
			...(body && { 'Content-Type': 'application/json' }),
			...(token && { Authorization: `Bearer ${token}` })
		},
		body: body && JSON.stringify(body),
		credentials: token ? 'same-origin' : 'omit',
		// Not followed; as an error it would look like no connection.
		redirect: 'manual',
		cache: 'no-store',
		referrerPolicy: 'no-referrer',
		signal
	});

const exchange = async (
	env: Environment,
	signal: AbortSignal,
	url: string,
	body?: JsonObject
): Promise<Reply> => {
	let response = await send(env, signal, url, body);
	const asks = WHO_ARE_YOU.includes(response.status) && url.startsWith(`${env.api}/`);
	const token = asks && env.token();
	if (token) {
		readOut(response);
		response = await send(env, signal, url, body, token);
	}
	if (isRedirect(response)) throw new Problem('internal', REDIRECT);
	const wait = askedWait(response, env.now());
	const date = Date.parse(response.headers.get('Date') ?? '');
	return { status: response.status, text: await readBody(response), wait, date };
};

/**
 * What takes its time, and as much of it as an answer may take, or `limit`: it ends then, or with the signal, even
 * where whoever works for it ignores that; throws `code` then, which may pass by itself.
 */
export const inTime = <T>(
	env: Pick<Environment, 'later'>,
	signal: AbortSignal,
	code: PassingCode,
	run: (signal: AbortSignal) => Promise<T>,
	limit = TIME_LIMIT
): Promise<T> =>
	new Promise((resolve, reject) => {
		const controller = new AbortController();
		const stop = () => {
			reject(new Passing(code, 'no answer in time'));
			controller.abort();
		};
		const cancel = env.later(limit, stop);
		signal.addEventListener('abort', stop);
		if (signal.aborted) stop();
		run(controller.signal)
			.then(resolve, reject)
			.finally(() => {
				cancel();
				signal.removeEventListener('abort', stop);
			});
	});

/**
 * One bounded HTTP exchange: no redirects, no cookies, no cache, limited time and size. A GET, or
 * with a body the POST of that as JSON. Only this open-webui's own API gets this user's token and
 * cookies, and only where it asks for them: whoever stands between should not have them, and a server
 * that seals requests does not ask.
 *
 * Whatever goes wrong throws `code`, with how in the detail, and may pass by itself; without a network
 * that is `offline`.
 */
export const request = (
	env: Environment,
	signal: AbortSignal,
	url: string,
	code: PassingCode,
	body?: JsonObject
): Promise<Reply> =>
	inTime(env, signal, code, (inner) =>
		exchange(env, inner, url, body).catch((error: unknown) => {
			if (error instanceof Problem) throw new Passing(code, error.detail);
			throw new Passing(env.online() ? code : 'offline', NO_CONNECTION);
		})
	);
