/** A page with nothing but a pretended network, and a pretended way to the holder of a key. */
import { JSDOM } from 'jsdom';
import type { Carrier, Line, LineRequest, SocketLike } from '../../src/transport/carrier';
import * as more from '../../src/transport/more';
import type { Page } from '../../src/transport/stand-in';

export const ORIGIN = 'https://chat.example';
/** What a person typed: it may stand in nothing that goes plain. */
export const CANARY = 'canary-7f3a';

export interface Sent {
	method: string;
	url: string;
	headers: Record<string, string>;
	body: string;
	cookies: boolean;
	request: LineRequest;
}

const textOf = async (body: LineRequest['body']): Promise<string> =>
	body instanceof Blob ? body.text() : new TextDecoder().decode(body ?? undefined);

/** A window of jsdom's with the fetch of Node, and what is asked of its network. */
export const makePage = (html = '') => {
	const { window }: { window: Page } = new JSDOM(html, { url: `${ORIGIN}/c/1?q=x` });
	/** Every call of something of the browser's own that would go plain. */
	const plain: unknown[][] = [];
	const requests: Request[] = [];
	const answers = { plain: () => new Response('plain') };
	const given = {
		fetch: async (input: RequestInfo | URL, init?: RequestInit) => {
			const request = new Request(input, init);
			requests.push(request);
			plain.push(['fetch', request.method, request.url, request.credentials, await request.text()]);
			return answers.plain();
		},
		Request,
		Response,
		Headers,
		FormData,
		URLSearchParams,
		Blob,
		TextDecoder,
		AbortController,
		AbortSignal
	};
	for (const [name, value] of Object.entries(given)) {
		Object.defineProperty(window, name, { value, writable: true, configurable: true });
	}
	return { page: window, plain, requests, answers };
};

/** A line that answers as it is told, behind a gate that is opened by hand. */
export const makeCarrier = (answer: (sent: Sent) => Response | Promise<Response>) => {
	const sent: Sent[] = [];
	const sockets: FakeSocket[] = [];
	const failures: unknown[] = [];
	const waiting: {
		resolve: (line: Line | null) => void;
		reject: (error: unknown) => void;
	}[] = [];
	const timers: { ms: number; call: () => void }[] = [];
	const line: Line = {
		async send(request) {
			const { method, url, cookies } = request;
			const body = await textOf(request.body);
			const headers = Object.fromEntries(request.fields ?? []);
			const said = { method, url, headers, body, cookies, request };
			sent.push(said);
			request.signal?.throwIfAborted();
			return answer(said);
		},
		socket(path, protocols): SocketLike {
			const socket = new FakeSocket(path, protocols);
			sockets.push(socket);
			return socket;
		}
	};
	let state: 'closed' | 'sealed' | 'plain' | Error = 'closed';
	const carrier: Carrier = {
		open: (signal) =>
			new Promise((resolve, reject) => {
				signal?.throwIfAborted();
				signal?.addEventListener('abort', () => {
					reject(signal.reason as Error);
				});
				if (state === 'closed') waiting.push({ resolve, reject });
				else if (state instanceof Error) reject(state);
				else resolve(state === 'sealed' ? line : null);
			}),
		isPlain: () => state === 'plain',
		fetch: (input, init) => carrier.fetch(input, init),
		more: () => Promise.resolve(more),
		failed: (error) => failures.push(error),
		later: (ms, call) => {
			const timer = { ms, call };
			timers.push(timer);
			return () => {
				timers.splice(timers.indexOf(timer), 1);
			};
		}
	};
	return {
		carrier,
		sent,
		sockets,
		failures,
		timers,
		/** Ring every timer that is set now and at most so long. */
		ring: (upTo = Infinity) => {
			for (const timer of [...timers]) {
				if (timer.ms > upTo) continue;
				timers.splice(timers.indexOf(timer), 1);
				timer.call();
			}
		},
		/** The gate opens, or refuses. */
		decide: (next: 'sealed' | 'plain' | Error) => {
			state = next;
			for (const { resolve, reject } of waiting.splice(0)) {
				if (next instanceof Error) reject(next);
				else resolve(next === 'sealed' ? line : null);
			}
		}
	};
};

/** A socket that does what it is told. */
export class FakeSocket extends EventTarget {
	readyState = 0;
	protocol = '';
	bufferedAmount = 0;
	binaryType: BinaryType = 'blob';
	readonly sent: unknown[] = [];
	readonly closes: unknown[][] = [];

	constructor(
		readonly path: string,
		readonly protocols: readonly string[] = []
	) {
		super();
	}

	send(data: unknown): void {
		this.sent.push(data);
	}

	close(...args: unknown[]): void {
		this.closes.push(args);
	}

	happen(type: string, facts: object = {}, readyState = this.readyState): void {
		this.readyState = readyState;
		this.dispatchEvent(Object.assign(new Event(type), facts));
	}
}

/** Let everything that waits for nothing go on. */
export const settle = async (rounds = 20): Promise<void> => {
	for (let round = 0; round < rounds; round += 1) {
		await new Promise((resolve) => setTimeout(resolve));
	}
};
