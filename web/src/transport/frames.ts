/**
 * The frames of a sealed socket. Layout and bounds are quote_generator/sealing/frames.py's:
 *
 *     frame = flag (0 data, 1 final), ciphertext; nonce = 0^4, counter; AAD = counter, flag
 *     text  = records of type (1), length (4), data; then zeros up to a bucket
 */
import { fromUtf8, toUtf8 } from '../base/encoding';
import { type Bytes, bigEndian, concat, fromBigEndian } from './bytes';
import { broken } from './errors';
import { importAesKey } from './hpke';
import { bucket, expectZeros } from './padding';

export type Message =
	| { kind: 'open'; protocol: string }
	| { kind: 'text'; text: string }
	| { kind: 'binary'; data: Bytes }
	| { kind: 'close'; code: number; reason: string };

export interface Frames {
	/** What says these messages, in as few frames as they fit into; after a close comes nothing. */
	seal: (messages: Message[]) => Promise<Bytes[]>;
	/** The messages that are whole with the next frame. Once it rejects, the socket is dead. */
	open: (frame: Bytes) => Promise<Message[]>;
}

const PADDING = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 3;
const OPEN = 4;
const TEXT_PART = 5;
const BINARY_PART = 6;
/** From a message's type to that of a part after which more follows. */
const TO_PART = TEXT_PART - TEXT;

const SECRET_LENGTH = 64;
const FRAME_LIMIT = 1 << 20;
const MESSAGE_LIMIT = 64 << 20;
const REASON_LIMIT = 123;
const PROTOCOL_LIMIT = 256;
/** Bytes of a frame that are not text: its flag and the tag of AES-GCM. */
const OVERHEAD = 1 + 16;
const RECORD_HEAD = 5;
/** Bytes of records in a frame that is written here. */
const RECORDS_LIMIT = 65_536 - OVERHEAD;

/** The cipher's parameters for one direction's next frame. */
const parameters = () => {
	let number = 0;
	return (flag: number) => {
		const counter = bigEndian(number, 8);
		number += 1;
		return {
			name: 'AES-GCM',
			iv: concat(new Uint8Array(4), counter),
			additionalData: concat(counter, Uint8Array.of(flag))
		};
	};
};

const record = (type: number, data: Bytes): Bytes =>
	concat(Uint8Array.of(type), bigEndian(data.length, 4), data);

/** A message in records, none longer than a frame takes. */
const contentRecords = (type: number, data: Bytes): Bytes[] => {
	if (data.length > MESSAGE_LIMIT) throw broken('message too long');
	const most = RECORDS_LIMIT - RECORD_HEAD;
	const records: Bytes[] = [];
	let at = 0;
	for (; data.length - at > most; at += most) {
		records.push(record(type + TO_PART, data.subarray(at, at + most)));
	}
	return [...records, record(type, data.subarray(at))];
};

const recordsOf = (message: Message): Bytes[] => {
	switch (message.kind) {
		case 'open':
			return [record(OPEN, toUtf8(message.protocol))];
		case 'close':
			return [record(CLOSE, concat(bigEndian(message.code, 2), toUtf8(message.reason)))];
		case 'text':
			return contentRecords(TEXT, toUtf8(message.text));
		case 'binary':
			return contentRecords(BINARY, message.data);
	}
};

/** Records in as few texts as they fit into; one of nothing for none. */
const packed = (records: Bytes[]): Bytes[] => {
	const texts: Bytes[][] = [[]];
	let size = 0;
	for (const next of records) {
		if (size + next.length > RECORDS_LIMIT) {
			texts.push([]);
			size = 0;
		}
		texts.at(-1)?.push(next);
		size += next.length;
	}
	return texts.map((text) => concat(...text));
};

/** Types and data of a frame's records. */
const split = (text: Bytes): [type: number, data: Bytes][] => {
	const records: [number, Bytes][] = [];
	let at = 0;
	while (at < text.length) {
		const type = text[at] ?? PADDING;
		if (type === PADDING) {
			expectZeros(text.subarray(at));
			break;
		}
		const begin = at + RECORD_HEAD;
		const end = begin + fromBigEndian(text.subarray(at + 1, begin));
		if (begin > text.length || end > text.length) throw broken('record');
		records.push([type, text.subarray(begin, end)]);
		at = end;
	}
	return records;
};

const readClose = (data: Bytes): Message => {
	const code = fromBigEndian(data.subarray(0, 2));
	if (code < 1000 || code > 4999 || data.length > 2 + REASON_LIMIT) throw broken('close');
	return { kind: 'close', code, reason: fromUtf8(data.subarray(2)) };
};

/** Puts the parts of messages together. */
const assembler = () => {
	let parts: Bytes[] = [];
	let size = 0;
	let begun = 0;
	return {
		isWhole: () => !parts.length,
		/** The message that is whole with this record, or null. */
		add: (type: number, data: Bytes): Message | null => {
			const isPart = type >= TEXT_PART;
			const whole = isPart ? type - TO_PART : type;
			if (parts.length && whole !== begun) throw broken('parts');
			begun = whole;
			size += data.length;
			if (size > MESSAGE_LIMIT || (isPart && !data.length)) throw broken('parts');
			parts.push(data);
			if (isPart) return null;
			const all = parts.length === 1 ? data : concat(...parts);
			parts = [];
			size = 0;
			return whole === TEXT ? { kind: 'text', text: fromUtf8(all) } : { kind: 'binary', data: all };
		}
	};
};

/** Reads the records of one direction: the server's opens first, and once. */
const reader = () => {
	const content = assembler();
	let isOpen = false;
	let isClosed = false;

	const readRecord = ([type, data]: [number, Bytes]): Message | null => {
		if (isClosed || isOpen === (type === OPEN)) throw broken('order');
		isOpen = true;
		if (type === TEXT || type === BINARY || type === TEXT_PART || type === BINARY_PART) {
			return content.add(type, data);
		}
		if (!content.isWhole() || (type !== OPEN && type !== CLOSE)) throw broken('record');
		if (type === OPEN) {
			if (data.length > PROTOCOL_LIMIT) throw broken('protocol');
			return { kind: 'open', protocol: fromUtf8(data) };
		}
		isClosed = true;
		return readClose(data);
	};

	return (text: Bytes, isFinal: boolean): Message[] => {
		if (isClosed) throw broken('frame after the final one');
		const messages = split(text).map(readRecord);
		if (isFinal !== isClosed) throw broken('final');
		return messages.filter((message) => message !== null);
	};
};

/** The client's end of a socket with this secret; seal and open one call after the other. */
export const openFrames = async (subtle: SubtleCrypto, secret: Bytes): Promise<Frames> => {
	if (secret.length !== SECRET_LENGTH) throw broken('secret');
	const half = SECRET_LENGTH / 2;
	const [sending, receiving] = await Promise.all([
		importAesKey(subtle, secret.subarray(0, half), 'encrypt'),
		importAesKey(subtle, secret.subarray(half), 'decrypt')
	]);
	const nextSent = parameters();
	const nextReceived = parameters();
	const read = reader();

	const sealFrame = async (text: Bytes, isFinal: boolean): Promise<Bytes> => {
		const flag = isFinal ? 1 : 0;
		const padded = concat(
			text,
			new Uint8Array(bucket(text.length + OVERHEAD) - OVERHEAD - text.length)
		);
		const sealed = await subtle.encrypt(nextSent(flag), sending, padded);
		return concat(Uint8Array.of(flag), new Uint8Array(sealed));
	};

	return {
		seal: (messages) => {
			const texts = packed(messages.flatMap(recordsOf));
			const closes = messages.at(-1)?.kind === 'close';
			return Promise.all(
				texts.map((text, at) => sealFrame(text, closes && at === texts.length - 1))
			);
		},
		open: async (frame) => {
			const [flag = -1] = frame;
			if (frame.length > FRAME_LIMIT || (flag !== 0 && flag !== 1)) throw broken('frame');
			const text = await subtle
				.decrypt(nextReceived(flag), receiving, frame.subarray(1))
				.catch(() => {
					throw broken('does not open');
				});
			return read(new Uint8Array(text), flag === 1);
		}
	};
};
