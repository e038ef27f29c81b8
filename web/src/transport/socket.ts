/** The page's WebSocket, sealed: it behaves as the browser's own does (WebSockets standard). */
import { toUtf8 } from '../base/encoding';
import type { Environment } from '../base/environment';
import type { Bytes } from './bytes';
import { broken } from './errors';
import type { Frames, Message } from './frames';

/** An outer socket and the frames that travel in it. */
export interface Connection {
	outer: WebSocket;
	frames: Frames;
	/** Aborted where it may not be used any longer. */
	life: AbortSignal;
}

type Sent = Message | Blob;

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** A close without a code, and a socket that broke (RFC 6455 section 7.4.1). */
const NO_CODE = 1005;
const BROKEN = 1006;
/** What the outer socket is closed with then; 1008, which is meant, a page may not say. */
const OUTER_BROKEN = 4008;
/** Bytes that the reason of a close may have (RFC 6455 section 5.5). */
const REASON_LIMIT = 123;

/** Milliseconds in which the server opens, and answers a close. */
const OPEN_PATIENCE = 60_000;
const CLOSE_PATIENCE = 10_000;

/** What a message counts as while it waits. */
const sizeOf = (sent: Sent): number => {
	if (sent instanceof Blob) return sent.size;
	if (sent.kind === 'text') return toUtf8(sent.text).length;
	return sent.kind === 'binary' ? sent.data.length : 0;
};

const asMessage = async (sent: Sent): Promise<Message> =>
	sent instanceof Blob ? { kind: 'binary', data: new Uint8Array(await sent.arrayBuffer()) } : sent;

/** What is sent, as it is now: who sent it may use its bytes again. */
const copyOf = (data: string | BufferSource | Blob): Sent => {
	if (data instanceof Blob) return data;
	if (ArrayBuffer.isView(data)) {
		const { buffer, byteOffset, byteLength } = data;
		return { kind: 'binary', data: new Uint8Array(buffer, byteOffset, byteLength).slice() };
	}
	if (typeof data === 'object') return { kind: 'binary', data: new Uint8Array(data).slice() };
	return { kind: 'text', text: data };
};

export class SealedSocket extends EventTarget {
	binaryType: BinaryType = 'blob';
	readonly extensions = '';

	#readyState = CONNECTING;
	#protocol = '';
	#connection: Connection | undefined;
	/** What is not sealed yet, and how many bytes that is with what is being sealed. */
	#queue: Sent[] = [];
	#queued = 0;
	// Sealing and opening take their time: one comes after the other.
	#sending = Promise.resolve();
	#receiving = Promise.resolve();
	#saidClose = false;
	#stopWaiting = (): void => undefined;

	/**
	 * @param url What `url` says.
	 * @param protocols Those that the page offers.
	 * @param connect Makes the connection, for which it may wait as long as it likes.
	 */
	constructor(
		readonly url: string,
		private readonly protocols: readonly string[],
		connect: () => Promise<Connection>,
		private readonly later: Environment['later']
	) {
		super();
		connect()
			.then((connection) => {
				this.#attach(connection);
			})
			.catch(this.#fail);
	}

	get readyState(): number {
		return this.#readyState;
	}

	/** The one that the server has chosen, or empty. */
	get protocol(): string {
		return this.#protocol;
	}

	get bufferedAmount(): number {
		return this.#queued + (this.#connection?.outer.bufferedAmount ?? 0);
	}

	send(data: string | BufferSource | Blob): void {
		if (this.#readyState === CONNECTING) throw new DOMException('', 'InvalidStateError');
		// What is sent to a socket that ends is lost, without a word.
		if (this.#readyState === OPEN) this.#enqueue(copyOf(data));
	}

	close(code?: number, reason = ''): void {
		if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
			throw new DOMException('', 'InvalidAccessError');
		}
		if (toUtf8(reason).length > REASON_LIMIT) throw new DOMException('', 'SyntaxError');
		if (this.#readyState >= CLOSING) return;
		const wasOpen = this.#readyState === OPEN;
		this.#readyState = CLOSING;
		if (wasOpen) {
			this.#sayClose(code ?? NO_CODE, reason);
			this.#wait(CLOSE_PATIENCE);
		} else {
			// After this call: nobody expects an event while it runs.
			queueMicrotask(this.#fail);
		}
	}

	#attach(connection: Connection): void {
		const { outer, life } = connection;
		if (this.#readyState === CLOSED || life.aborted) {
			outer.close();
			this.#fail();
			return;
		}
		this.#connection = connection;
		this.#wait(OPEN_PATIENCE);
		life.addEventListener('abort', this.#fail);
		outer.binaryType = 'arraybuffer';
		outer.addEventListener('message', ({ data }) => {
			this.#receiving = this.#receiving.then(() => this.#receive(data)).catch(this.#fail);
		});
		outer.addEventListener('close', () => {
			this.#receiving = this.#receiving.then(this.#fail);
		});
	}

	/** Fail after so many milliseconds, unless something else is waited for by then. */
	#wait(ms: number): void {
		this.#stopWaiting();
		this.#stopWaiting = this.later(ms, this.#fail);
	}

	async #receive(data: unknown): Promise<void> {
		if (this.#readyState === CLOSED || !this.#connection) return;
		if (!(data instanceof ArrayBuffer)) throw broken('frame of text');
		const messages = await this.#connection.frames.open(new Uint8Array(data));
		for (const message of messages) this.#take(message);
	}

	#take(message: Message): void {
		if (this.#readyState === CLOSED) return;
		if (message.kind === 'open') this.#open(message.protocol);
		else if (message.kind === 'close') this.#end(message.code, message.reason);
		else if (this.#readyState === OPEN) {
			const { origin } = new URL(this.url);
			const data = message.kind === 'text' ? message.text : this.#binary(message.data);
			this.dispatchEvent(new MessageEvent('message', { data, origin }));
		}
	}

	#binary(data: Bytes): Blob | ArrayBuffer {
		return this.binaryType === 'blob' ? new Blob([data]) : data.slice().buffer;
	}

	#open(protocol: string): void {
		if (protocol && !this.protocols.includes(protocol)) throw broken('protocol');
		if (this.#readyState !== CONNECTING) return;
		this.#stopWaiting();
		this.#protocol = protocol;
		this.#readyState = OPEN;
		this.dispatchEvent(new Event('open'));
	}

	#enqueue(sent: Sent): void {
		this.#queued += sizeOf(sent);
		this.#queue.push(sent);
		this.#sending = this.#sending.then(() => this.#flush()).catch(this.#fail);
	}

	/** Send what has come together until now. */
	async #flush(): Promise<void> {
		const sent = this.#queue;
		this.#queue = [];
		if (!sent.length || !this.#connection) return;
		const { outer, frames } = this.#connection;
		const messages = await Promise.all(sent.map(asMessage));
		for (const frame of await frames.seal(messages)) outer.send(frame);
		this.#queued -= sent.reduce((sum, one) => sum + sizeOf(one), 0);
	}

	#sayClose(code: number, reason: string): void {
		if (this.#saidClose) return;
		this.#saidClose = true;
		this.#enqueue({ kind: 'close', code, reason });
	}

	/** The server has said that it closes. */
	#end(code: number, reason: string): void {
		this.#sayClose(code, '');
		void this.#sending.then(() => this.#connection?.outer.close());
		this.#close({ code, reason, wasClean: true });
	}

	/** Something broke, or somebody broke it. */
	#fail = (): void => {
		if (this.#readyState === CLOSED) return;
		this.#connection?.outer.close(OUTER_BROKEN);
		this.#readyState = CLOSED;
		this.dispatchEvent(new Event('error'));
		this.#close({ code: BROKEN, wasClean: false });
	};

	#close(init: CloseEventInit): void {
		this.#readyState = CLOSED;
		this.#stopWaiting();
		this.#connection?.life.removeEventListener('abort', this.#fail);
		this.dispatchEvent(new CloseEvent('close', init));
	}
}
