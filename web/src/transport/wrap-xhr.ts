import type { Carrier, Line } from './carrier';
import { exchange, isOwn, isWithin, read, resolve } from './exchange';
import { newRequest } from './multipart';
import { around, divert, type Page } from './stand-in';

const [OPENED, HEADERS_RECEIVED, LOADING, DONE] = [1, 2, 3, 4];
/** Milliseconds between two tellings of progress. */
const PROGRESS = 50;

type Ending = 'load' | 'error' | 'abort' | 'timeout';

/** What was said before sending. */
interface Opened {
	method: string;
	url: URL;
	isAsync: boolean;
	headers: Headers;
	/** Of `overrideMimeType`. */
	type: string | null;
}

/** Names in the order of their bytes, as a browser has them. */
const headerText = (headers: Headers): string =>
	[...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');

/** A document is sent as its text; everything else as it is. */
const bodyOf = ({ XMLSerializer }: Page, body: unknown): BodyInit | null => {
	if (typeof body === 'object' && body !== null && 'nodeType' in body) {
		return new XMLSerializer().serializeToString(body as Node);
	}
	return (body ?? null) as BodyInit | null;
};

/** One exchange, as XMLHttpRequest shows it (XHR standard, 3.5 and 3.6). */
class Exchange {
	readyState = OPENED;
	status = 0;
	statusText = '';
	responseURL = '';
	readonly #life = new AbortController();
	#headers: Headers | null = null;
	#pieces: Uint8Array<ArrayBuffer>[] = [];
	#loaded = 0;
	#text = '';
	#decoder: TextDecoder | undefined;
	#result: unknown;
	#cancel: () => void = () => undefined;
	#isUploaded = true;
	#told = -Infinity;
	#stop: () => void = () => undefined;

	constructor(
		private readonly page: Page,
		private readonly carrier: Carrier,
		private readonly xhr: XMLHttpRequest,
		private readonly opened: Opened,
		private readonly plain: (body: unknown) => void
	) {}

	get responseText(): string {
		if (!/^(text)?$/.test(this.xhr.responseType)) throw this.#error('InvalidStateError');
		return this.#text;
	}

	get responseXML(): Document | null {
		if (!/^(document)?$/.test(this.xhr.responseType)) throw this.#error('InvalidStateError');
		return this.readyState === DONE ? this.#document() : null;
	}

	get response(): unknown {
		const { responseType } = this.xhr;
		if (/^(text)?$/.test(responseType)) return this.#text;
		if (this.readyState !== DONE || !this.#headers) return null;
		return (this.#result ??= this.#make(responseType));
	}

	getResponseHeader(name: string): string | null {
		return this.#headers?.get(name) ?? null;
	}

	getAllResponseHeaders(): string {
		return this.#headers ? headerText(this.#headers) : '';
	}

	setRequestHeader(): never {
		throw this.#error('InvalidStateError');
	}

	overrideMimeType(type: string): void {
		if (this.readyState >= LOADING) throw this.#error('InvalidStateError');
		this.opened.type = type;
	}

	/** Asked a second time. */
	send(): never {
		throw this.#error('InvalidStateError');
	}

	abort(): void {
		if (this.readyState !== DONE) this.#end('abort');
		this.readyState = 0;
	}

	/** Another request takes this one's place: nothing more is heard of it. */
	leave(): void {
		this.#cancel();
		this.#life.abort();
	}

	async start(given: unknown): Promise<void> {
		const { page, carrier, xhr, opened } = this;
		const { method, url } = opened;
		const { signal } = this.#life;
		try {
			const body = bodyOf(page, given);
			const init = { method, headers: opened.headers, signal };
			const hasBody = body !== null && !/^(GET|HEAD)$/.test(method);
			const request = newRequest(page, url, hasBody ? { ...init, body } : init);
			this.#limit();
			const line = isWithin(page, method, url) ? await carrier.open(signal) : this.#outside();
			if (!line) {
				this.#cancel();
				if (!signal.aborted) this.plain(given);
				return;
			}
			this.#tell(xhr, 'loadstart', 0, 0);
			const asked = await read(page, request);
			this.#isUploaded = !asked.body;
			if (asked.body) this.#tell(xhr.upload, 'loadstart', 0, sizeOf(asked.body));
			const answer = await exchange(page, carrier, line, asked, {
				onUpload: (loaded, total) => {
					if (!signal.aborted && !this.#isUploaded) {
						this.#tell(xhr.upload, 'progress', loaded, total);
					}
				}
			});
			if (signal.aborted) return;
			if (asked.body) this.#uploaded(sizeOf(asked.body));
			await this.#receive(answer);
		} catch {
			if (!signal.aborted) this.#end('error');
		}
	}

	async #receive(answer: Response): Promise<void> {
		const { signal } = this.#life;
		this.#headers = answer.headers;
		this.status = answer.status;
		this.statusText = answer.statusText;
		this.responseURL = answer.url;
		this.#turn(HEADERS_RECEIVED);
		const reader = answer.body?.getReader();
		this.#stop = () => void reader?.cancel().catch(() => undefined);
		for (;;) {
			const { done, value } = (await reader?.read()) ?? { done: true as const, value: undefined };
			if (signal.aborted) return;
			if (done) break;
			this.#take(value);
		}
		this.#take();
		this.#end('load');
	}

	/** A piece of the answer, or its end. */
	#take(piece?: Uint8Array<ArrayBuffer>): void {
		const isText = /^(text)?$/.test(this.xhr.responseType);
		if (isText) {
			this.#decoder ??= new TextDecoder(this.#charset());
			this.#text += this.#decoder.decode(piece, { stream: piece !== undefined });
		}
		if (!piece) return;
		this.#loaded += piece.length;
		if (this.xhr.responseType !== 'text') this.#pieces.push(piece);
		this.#turn(LOADING);
		const now = this.page.performance.now();
		if (now - this.#told < PROGRESS) return;
		this.#told = now;
		this.#progress('progress');
	}

	#progress(type: string): void {
		const total = this.#headers?.has('content-encoding')
			? 0
			: Number(this.#headers?.get('content-length') ?? 0);
		this.#tell(this.xhr, type, this.#loaded, total);
	}

	#uploaded(total: number): void {
		this.#isUploaded = true;
		for (const type of ['progress', 'load', 'loadend']) {
			this.#tell(this.xhr.upload, type, total, total);
		}
	}

	#end(how: Ending): void {
		this.#cancel();
		if (how === 'load') {
			this.#progress('progress');
			this.#turn(DONE);
			this.#progress('load');
			this.#progress('loadend');
			return;
		}
		this.#life.abort();
		this.#stop();
		this.#forget();
		this.#turn(DONE);
		if (!this.#isUploaded) {
			this.#isUploaded = true;
			for (const type of [how, 'loadend']) this.#tell(this.xhr.upload, type, 0, 0);
		}
		for (const type of [how, 'loadend']) this.#tell(this.xhr, type, 0, 0);
	}

	/** An answer that is not whole is none. */
	#forget(): void {
		this.#headers = null;
		this.#pieces = [];
		this.#text = '';
		this.status = 0;
		this.statusText = '';
		this.responseURL = '';
	}

	#limit(): void {
		const { timeout } = this.xhr;
		if (timeout > 0) {
			this.#cancel = this.carrier.later(timeout, () => {
				this.#end('timeout');
			});
		}
	}

	#turn(state: number): void {
		this.readyState = state;
		const { Event } = this.page;
		this.xhr.dispatchEvent(new Event('readystatechange'));
	}

	#tell(target: EventTarget, type: string, loaded: number, total: number): void {
		const { ProgressEvent } = this.page;
		const lengthComputable = total > 0;
		target.dispatchEvent(new ProgressEvent(type, { loaded, total, lengthComputable }));
	}

	/** What may go plain goes without cookies. */
	#outside(): Line {
		const { fetch } = this.carrier;
		return {
			send: ({ method, url, fields = [], signal }) =>
				fetch(url, { method, headers: [...fields] as [string, string][], signal }),
			socket: () => {
				throw this.#error('NotSupportedError'); // nothing of this asks for one
			}
		};
	}

	#error(name: string): DOMException {
		return new this.page.DOMException('', name);
	}

	#type(): string {
		return this.opened.type ?? this.#headers?.get('content-type') ?? '';
	}

	#charset(): string {
		const [, named = 'utf-8'] = /;\s*charset="?([^\s;"]+)/i.exec(this.#type()) ?? [];
		try {
			return new TextDecoder(named).encoding;
		} catch {
			return 'utf-8';
		}
	}

	#make(responseType: XMLHttpRequestResponseType): unknown {
		if (responseType === 'document') return this.#document();
		const { Blob } = this.page;
		const type = this.#type() || 'text/xml';
		if (responseType === 'blob') return new Blob(this.#pieces, { type });
		const bytes = new Uint8Array(this.#loaded);
		let at = 0;
		for (const piece of this.#pieces) {
			bytes.set(piece, at);
			at += piece.length;
		}
		if (responseType === 'arraybuffer') return bytes.buffer;
		try {
			return JSON.parse(new TextDecoder().decode(bytes));
		} catch {
			return null;
		}
	}

	#document(): Document | null {
		const [type = ''] = this.#type().toLowerCase().split(/[\s;]/, 1);
		const isHtml = type === 'text/html';
		if (isHtml ? this.xhr.responseType !== 'document' : !/^$|[/+]xml$/.test(type)) return null;
		if (this.#result === undefined) {
			const decoder = new TextDecoder(this.#charset());
			const text = this.#pieces.map((piece) => decoder.decode(piece, { stream: true })).join('');
			const { DOMParser } = this.page;
			const parsed = new DOMParser().parseFromString(
				text + decoder.decode(),
				isHtml ? 'text/html' : 'text/xml'
			);
			this.#result = parsed.querySelector('parsererror') ? null : parsed;
		}
		return this.#result as Document | null;
	}
}

const sizeOf = (body: Blob | Uint8Array): number =>
	body instanceof Uint8Array ? body.length : body.size;

/**
 * Requests of this origin go sealed. One that the page would wait for, with everything standing
 * still, cannot: it throws.
 */
export const wrapXhr = (page: Page, carrier: Carrier): void => {
	const { prototype } = page.XMLHttpRequest;
	const opened = new WeakMap<object, Opened>();
	const exchanges = new WeakMap<object, Exchange>();
	divert(prototype, (self) => exchanges.get(self));

	around(prototype, 'open', (self, args, original) => {
		const [method, address, isAsync = true] = args;
		const url = resolve(page, String(address));
		const before = exchanges.get(self);
		before?.leave();
		exchanges.delete(self);
		opened.delete(self);
		const exact = url ? [method, url.href, ...args.slice(2)] : args;
		Reflect.apply(original, self, exact); // throws where it is not to be
		// The browser's own has been there all the time.
		if (before) (self as XMLHttpRequest).dispatchEvent(new page.Event('readystatechange'));
		if (!isOwn(page, url)) return;
		const name = new page.Request(url, { method: String(method) }).method;
		const said = { method: name, url, isAsync: Boolean(isAsync), headers: new page.Headers() };
		opened.set(self, { ...said, type: null });
	});
	around(prototype, 'setRequestHeader', (self, args, original) => {
		Reflect.apply(original, self, args);
		const [name, value] = args.map(String) as [string, string];
		if (!exchanges.has(self)) opened.get(self)?.headers.append(name, value);
	});
	around(prototype, 'overrideMimeType', (self, args, original) => {
		Reflect.apply(original, self, args);
		const request = opened.get(self);
		if (request) request.type = String(args[0]);
	});
	around(prototype, 'send', (self, args, original) => {
		const request = opened.get(self);
		const isSent = exchanges.has(self);
		if (!request || isSent) return Reflect.apply(original, self, args);
		if (!request.isAsync) {
			if (isWithin(page, request.method, request.url) && !carrier.isPlain()) {
				throw new page.DOMException('sealed requests are asynchronous', 'NetworkError');
			}
			return Reflect.apply(original, self, args);
		}
		const plain = (body: unknown) => {
			exchanges.delete(self);
			opened.delete(self);
			Reflect.apply(original, self, [body]);
		};
		const started = new Exchange(page, carrier, self as XMLHttpRequest, request, plain);
		exchanges.set(self, started);
		void started.start(args[0]);
		return undefined;
	});
};
