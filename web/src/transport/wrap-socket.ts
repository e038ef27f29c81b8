import type { Carrier, SocketLike } from './carrier';
import { isOwn, resolve } from './exchange';
import { construct, divert, handlers, type Page } from './stand-in';

const [CONNECTING, CLOSING, CLOSED] = [0, 2, 3];
/** A token (RFC 9110 section 5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** A socket of this origin, which waits at the gate and then is what it is let be. */
class Socket {
	readonly extensions = '';
	#binaryType: BinaryType = 'blob';
	#readyState = CONNECTING;
	#inner: SocketLike | undefined;
	readonly #life = new AbortController();

	constructor(
		private readonly page: Page,
		private readonly target: EventTarget,
		readonly url: string
	) {
		handlers(this, target, ['open', 'message', 'error', 'close']);
	}

	get readyState(): number {
		return this.#inner?.readyState ?? this.#readyState;
	}

	get protocol(): string {
		return this.#inner?.protocol ?? '';
	}

	get bufferedAmount(): number {
		return this.#inner?.bufferedAmount ?? 0;
	}

	get binaryType(): BinaryType {
		return this.#binaryType;
	}

	set binaryType(type: BinaryType) {
		if (!/^(blob|arraybuffer)$/.test(type)) return;
		this.#binaryType = type;
		if (this.#inner) this.#inner.binaryType = type;
	}

	/** @param make Makes the inner one: sealed, or the browser's own. */
	async connect(carrier: Carrier, make: (line: Line) => SocketLike): Promise<void> {
		const { signal } = this.#life;
		try {
			const line = await carrier.open(signal);
			signal.throwIfAborted();
			this.#attach(make(line));
		} catch {
			this.#readyState = CLOSED;
			this.#tell(new this.page.Event('error'));
			this.#tell(new this.page.CloseEvent('close', { code: 1006 }));
		}
	}

	send(data: string | Blob | BufferSource): void {
		if (!this.#inner && this.#readyState === CONNECTING) throw this.#error('InvalidStateError');
		this.#inner?.send(data);
	}

	close(code?: number, reason?: string): void {
		if (this.#inner) {
			this.#inner.close(code, reason);
			return;
		}
		if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
			throw this.#error('InvalidAccessError');
		}
		if (this.#readyState !== CONNECTING) return;
		this.#readyState = CLOSING;
		this.#life.abort();
	}

	#attach(inner: SocketLike): void {
		this.#inner = inner;
		inner.binaryType = this.#binaryType;
		const { Event, MessageEvent, CloseEvent } = this.page;
		for (const type of ['open', 'error']) {
			inner.addEventListener(type, () => {
				this.#tell(new Event(type));
			});
		}
		inner.addEventListener('message', (event) => {
			const { data, origin } = event as MessageEvent<unknown>;
			this.#tell(new MessageEvent('message', { data, origin }));
		});
		inner.addEventListener('close', (event) => {
			const { code, reason, wasClean } = event as CloseEvent;
			this.#tell(new CloseEvent('close', { code, reason, wasClean }));
		});
	}

	#tell(event: Event): void {
		this.target.dispatchEvent(event);
	}

	#error(name: string): DOMException {
		return new this.page.DOMException('', name);
	}
}

type Line = Awaited<ReturnType<Carrier['open']>>;

/** An address as HTTP has it, which sockets begin with. */
const httpAddress = (page: Page, address: string): URL | undefined => {
	const url = resolve(page, address);
	return url && new URL(url.href.replace(/^ws/, 'http'));
};

/** Sockets to this origin go sealed; to others they are as before. */
export const wrapSocket = (page: Page, carrier: Carrier): void => {
	const { WebSocket: Native } = page;
	const sockets = new WeakMap<object, Socket>();
	construct(page, 'WebSocket', ([address, wanted = []], blank) => {
		const text = String(address);
		const url = httpAddress(page, text);
		if (!isOwn(page, url)) return undefined;
		const protocols = (Array.isArray(wanted) ? wanted : [wanted]).map(String);
		const isDouble = new Set(protocols.map((name) => name.toLowerCase())).size < protocols.length;
		if (text.includes('#') || isDouble || !protocols.every((name) => TOKEN.test(name))) {
			throw new page.DOMException('', 'SyntaxError');
		}
		const target = blank();
		const shown = url.href.replace(/^http/, 'ws');
		const socket = new Socket(page, target, shown);
		sockets.set(target, socket);
		void socket.connect(carrier, (line) =>
			line ? line.socket(url.pathname + url.search, protocols) : new Native(shown, protocols)
		);
		return target;
	});
	divert(Native.prototype, (self) => sockets.get(self));
};
