/** The far end of a sealed socket, by a reader and a writer of its own, and an outer socket to it. */
import { must } from './must';

type Bytes = Buffer<ArrayBuffer>;

export interface SocketRecord {
	type: number;
	data: Bytes;
}

export const TYPES = { text: 1, binary: 2, close: 3, open: 4, textPart: 5, binaryPart: 6 };

export const record = (type: number, data: string | Uint8Array): SocketRecord => ({
	type,
	data: Buffer.from(data)
});

export const closing = (code: number, reason = ''): SocketRecord =>
	record(TYPES.close, Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]));

const parameters = (counter: number, flag: number) => {
	const number = Buffer.alloc(8);
	number.writeUInt32BE(counter, 4);
	return {
		name: 'AES-GCM',
		iv: Buffer.concat([Buffer.alloc(4), number]),
		additionalData: Buffer.concat([number, Buffer.of(flag)])
	};
};

const importKey = (raw: Bytes) =>
	crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']);

/** Seals what a server says, and opens what a client says. */
export const farEnd = (secret: Bytes) => {
	let sent = 0;
	let received = 0;

	/** What the next frame says, without a step to the one after it. */
	const peek = async (frame: Bytes): Promise<{ isFinal: boolean; records: SocketRecord[] }> => {
		const flag = must(frame[0]);
		const key = await importKey(secret.subarray(0, 32));
		const opened = await crypto.subtle.decrypt(parameters(received, flag), key, frame.subarray(1));
		const text = Buffer.from(opened);
		const records: SocketRecord[] = [];
		for (let at = 0; at < text.length && text[at] !== 0;) {
			const length = text.readUInt32BE(at + 1);
			records.push({ type: must(text[at]), data: text.subarray(at + 5, at + 5 + length) });
			at += 5 + length;
		}
		return { isFinal: flag === 1, records };
	};

	return {
		seal: async (records: SocketRecord[], isFinal = false, padding = 100): Promise<Bytes> => {
			const flag = isFinal ? 1 : 0;
			const text = records.flatMap(({ type, data }) => {
				const head = Buffer.alloc(5);
				head.writeUInt8(type);
				head.writeUInt32BE(data.length, 1);
				return [head, data];
			});
			const counter = sent;
			sent += 1;
			const key = await importKey(secret.subarray(32));
			const padded = Buffer.concat([...text, Buffer.alloc(padding)]);
			const sealed = await crypto.subtle.encrypt(parameters(counter, flag), key, padded);
			return Buffer.concat([Buffer.of(flag), Buffer.from(sealed)]);
		},
		peek,
		open: async (frame: Bytes) => {
			const said = await peek(frame);
			received += 1;
			return said;
		}
	};
};

/** A browser's own socket, whose other end is the test. */
export class OuterSocket extends EventTarget {
	static made: OuterSocket[] = [];
	binaryType = 'blob';
	bufferedAmount = 0;
	readonly sent: Bytes[] = [];
	closed: number | null | undefined;

	constructor(readonly url: string | URL) {
		super();
		OuterSocket.made.push(this);
	}

	send(frame: Uint8Array): void {
		if (this.closed === undefined) this.sent.push(Buffer.from(frame));
	}

	close(code?: number): void {
		this.closed ??= code ?? null;
	}

	/** A frame comes. */
	hear(frame: Uint8Array | string): void {
		const data = typeof frame === 'string' ? frame : Uint8Array.from(frame).buffer;
		this.dispatchEvent(new MessageEvent('message', { data }));
	}

	/** The connection is gone. */
	drop(): void {
		this.dispatchEvent(new Event('close'));
	}
}

/** Node has none. */
export class CloseEventDouble extends Event {
	readonly code: number;
	readonly reason: string;
	readonly wasClean: boolean;

	constructor(type: string, { code = 0, reason = '', wasClean = false }: CloseEventInit = {}) {
		super(type);
		this.code = code;
		this.reason = reason;
		this.wasClean = wasClean;
	}
}
