/** tests/vectors/sealed.json, which tests/unit/sealing reads as well. */
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/base/encoding';
import { type Fields, readAnswer, writeRequestHead } from '../../src/transport/binary-http';
import { type Bytes, concat, varint } from '../../src/transport/bytes';
import { encapsulate } from '../../src/transport/chunked-ohttp';
import { SealedError } from '../../src/transport/errors';
import { openFrames, type Message } from '../../src/transport/frames';
import { KEMS, X25519 } from '../../src/transport/hpke';
import { readKeyset, type SealKey } from '../../src/transport/keyset';
import { bucket, unpadded } from '../../src/transport/padding';
import { must } from '../support/must';
import { inPieces, whole } from '../support/pieces';
import { problemIn } from '../support/problems';
import { readVectors } from '../support/vectors';

interface Pair {
	raw: string;
	pkcs8: string;
	public: string;
}
interface Exchange {
	name: string;
	key_config: string;
	id: string;
	aead: number;
	key: Pair;
	ephemeral: Pair;
	enc: string;
	request: { texts: string[]; wire: string };
	response: { nonce: string; texts: string[]; wire: string };
}
interface Head {
	method?: string;
	scheme?: string;
	authority?: string;
	path?: string;
	status?: number;
	fields: Fields;
}
interface SaidMessage {
	type: Message['kind'];
	protocol?: string;
	text?: string;
	data?: string;
	code?: number;
	reason?: string;
}

const vectors = readVectors('sealed') as {
	keysets: {
		good: {
			name: string;
			document: unknown;
			not_after: number;
			preferred: string;
			configs: { id: string; key_id: number; kem: number; public_key: string; aeads: number[] }[];
		}[];
		bad: { name: string; document: unknown }[];
	};
	exchanges: Exchange[];
	hostile: { name: string; direction: string; exchange: string; wire: string }[];
	binary_http: {
		written: { head: Head; pieces: string[]; message: string }[];
		read: { name: string; kind: string; message: string; head: Head; content: string }[];
		bad: { name: string; kind: string; message: string }[];
	};
	padding: {
		buckets: [number, number][];
		records: { data: string; record: string }[];
		bodies: { name: string; encoded: string; data: string }[];
		bad: { name: string; encoded: string }[];
	};
	frames: {
		secret: string;
		good: {
			name: string;
			key: string;
			expects_open: boolean;
			written: boolean;
			frames: { frame: string; messages: SaidMessage[] }[];
		}[];
		bad: { name: string; expects_open: boolean; key: string; frames: string[]; ends: boolean }[];
	};
};
const { subtle } = crypto;
/** Sizes of the pieces that a message comes in. */
const SIZES = [1, 7, Infinity];

describe('keysets', () => {
	it.each(vectors.keysets.good)('$name', async ({ document, not_after, preferred, configs }) => {
		const { notAfter, keys } = await readKeyset(subtle, document);
		expect(notAfter).toBe(not_after * 1000);
		expect(keys[0]?.id).toBe(preferred);
		const shown = keys.map(({ id, keyId, kem, aead, publicKey }) => ({
			id,
			key_id: keyId,
			kem: kem.id,
			aead: aead.id,
			public_key: toHex(publicKey)
		}));
		const expected = configs.map(({ id, key_id, kem, public_key, aeads }) => ({
			id,
			key_id,
			kem,
			aead: aeads[0],
			public_key
		}));
		expect(new Set(shown)).toEqual(new Set(expected));
	});

	it.each(vectors.keysets.bad)('refuses: $name', async ({ document }) => {
		const problem = await problemIn(() => readKeyset(subtle, document));
		expect(problem?.code).toBe('key-mismatch');
	});
});

const keyOf = async ({ key_config, id, aead }: Exchange): Promise<SealKey> => {
	const config = Buffer.from(key_config, 'hex').toString('base64url');
	const keyset = {
		v: 1,
		not_after: '2027-01-15T09:00:00Z',
		seal: [{ id, key_config: config }],
		sign: []
	};
	const key = must((await readKeyset(subtle, keyset)).keys[0]);
	return { ...key, aead: { id: aead, keyLength: 16 * aead } };
};

/** Begin with the exchange's own ephemeral key. */
const beginAs = async (exchange: Exchange) => {
	const key = await keyOf(exchange);
	const { pkcs8, public: publicKey } = exchange.ephemeral;
	return encapsulate(subtle, key, async () => ({
		publicKey: await subtle.importKey('raw', fromHex(publicKey), key.kem.curve, true, []),
		privateKey: await subtle.importKey('pkcs8', fromHex(pkcs8), key.kem.curve, false, [
			'deriveBits'
		])
	}));
};

describe('exchanges', () => {
	it.each(vectors.exchanges)('$name', async (exchange) => {
		const { request, response } = exchange;
		const { header, seal, open } = await beginAs(exchange);
		const chunks: Bytes[] = [];
		for (const [at, text] of request.texts.entries()) {
			const isFinal = at === request.texts.length - 1;
			chunks.push(await seal(fromHex(text), isFinal));
		}
		expect(toHex(concat(header, ...chunks))).toBe(request.wire);
		for (const size of SIZES) {
			const text = await whole(open(inPieces(fromHex(response.wire), size)));
			expect(toHex(text)).toBe(response.texts.join(''));
		}
	});

	const answers = vectors.hostile.filter(({ direction }) => direction === 'response');
	it.each(answers)('refuses: $name', async ({ exchange, wire }) => {
		const { open } = await beginAs(must(vectors.exchanges.find(({ name }) => name === exchange)));
		for (const size of SIZES) {
			await expect(whole(open(inPieces(fromHex(wire), size)))).rejects.toMatchObject({
				code: 'sealed-broken'
			});
		}
	});
});

const decodeFields = (fields: Fields): Fields =>
	fields.map(([name, value]) => [name, Buffer.from(value, 'hex').toString('latin1')]);

/** The bytes of a message's framing and first line, where all of that is there and is well formed. */
const firstLine = (message: Bytes): number => {
	let at = 1;
	for (let part = 0; part < 4; part += 1) {
		const first = message[at] ?? 0;
		const size = 1 << (first >> 6);
		const rest = Array.from(message.subarray(at, at + size)).reduce(
			(sum, byte) => sum * 256 + byte,
			0
		);
		at += size + (rest % 2 ** (8 * size - 2));
	}
	return at;
};

/** A request's message as an answer with the same fields and content. */
const asAnswer = (request: Bytes): Bytes =>
	concat(varint((request[0] ?? 0) + 1), varint(200), request.subarray(firstLine(request)));

describe('binary HTTP', () => {
	it.each(vectors.binary_http.written)(
		'writes and reads $message',
		async ({ head, pieces, message }) => {
			const fields = decodeFields(head.fields);
			const { method, scheme, authority, path } = head;
			if (method !== undefined) {
				const written = writeRequestHead({
					method,
					scheme: must(scheme),
					authority: must(authority),
					path: must(path),
					fields
				});
				const content = pieces
					.filter(Boolean)
					.map(fromHex)
					.flatMap((piece) => [varint(piece.length), piece]);
				expect(toHex(concat(written, ...content, new Uint8Array(2)))).toBe(message);
			} else {
				const answer = await readAnswer(inPieces(fromHex(message)));
				expect(answer).toMatchObject({ status: head.status, fields });
				expect(toHex(await whole(answer.content))).toBe(pieces.join(''));
			}
		}
	);

	it.each(vectors.binary_http.read)('reads: $name', async ({ kind, message, head, content }) => {
		const bytes = fromHex(message);
		for (const size of SIZES) {
			const given = kind === 'response' ? bytes : asAnswer(bytes);
			const answer = await readAnswer(inPieces(given, size));
			expect(answer).toMatchObject({
				status: head.status ?? 200,
				fields: decodeFields(head.fields)
			});
			expect(toHex(await whole(answer.content))).toBe(content);
		}
	});

	it.each([
		[65_535, 'taken'],
		[65_536, 'refused']
	])('bounds fields together: two of a byte and %i are %s', async (length, outcome) => {
		const field = concat(Uint8Array.of(1, 0x61), varint(length), new Uint8Array(length).fill(0x62));
		const message = concat(Uint8Array.of(3), varint(200), field, field, new Uint8Array(3));
		const read = await readAnswer(inPieces(message)).then(
			() => 'taken',
			(error: unknown) => (error instanceof SealedError ? 'refused' : error)
		);
		expect(read).toBe(outcome);
	});

	/** What is wrong with a first line only concerns who reads requests. */
	const bad = vectors.binary_http.bad.filter(
		({ name, kind }) =>
			kind === 'response' ||
			!/^(nothing|an |a framing|the first|a? ?(method|scheme|authority|path) )/.test(name)
	);
	it('takes most of the bad ones', () => {
		expect(bad.length).toBeGreaterThan(30);
	});
	it.each(bad)('refuses: $name', async ({ kind, message }) => {
		const bytes = fromHex(message);
		for (const size of SIZES) {
			const read = async () => {
				const given = kind === 'response' ? bytes : asAnswer(bytes);
				return whole((await readAnswer(inPieces(given, size))).content);
			};
			await expect(read()).rejects.toMatchObject({ code: 'sealed-broken' });
		}
	});
});

describe('padding', () => {
	it.each(vectors.padding.buckets)('%i in a bucket of %i', (length, size) => {
		expect(bucket(length)).toBe(size);
	});

	const bodies = [
		...vectors.padding.bodies,
		...vectors.padding.records.map(({ data, record }) => ({ name: '', encoded: record, data }))
	];
	it.each(bodies)('takes off $name', async ({ encoded, data }) => {
		for (const size of SIZES) {
			expect(toHex(await whole(unpadded(inPieces(fromHex(encoded), size))))).toBe(data);
		}
	});

	it.each(vectors.padding.bad)('refuses: $name', async ({ encoded }) => {
		for (const size of SIZES) {
			const read = whole(unpadded(inPieces(fromHex(encoded), size)));
			await expect(read).rejects.toMatchObject({ code: 'sealed-broken' });
		}
	});
});

const asMessage = ({
	type,
	protocol = '',
	text = '',
	data = '',
	code = 0,
	reason = ''
}: SaidMessage): Message => {
	if (type === 'open') return { kind: type, protocol };
	if (type === 'text') return { kind: type, text };
	return type === 'binary' ? { kind: type, data: fromHex(data) } : { kind: type, code, reason };
};

const cipher = (counter: number, flag: number) => {
	const number = Buffer.alloc(8);
	number.writeUInt32BE(counter, 4);
	return {
		name: 'AES-GCM',
		iv: Buffer.concat([Buffer.alloc(4), number]),
		additionalData: Buffer.concat([number, Buffer.of(flag)])
	};
};

describe('frames', () => {
	const secret = fromHex(vectors.frames.secret);
	const half = secret.length / 2;
	const other = (key: Bytes) => concat(key, secret.subarray(half));

	const sent = vectors.frames.good.filter(({ expects_open, written }) => !expects_open && written);
	it.each(sent)('seals: $name', async ({ frames }) => {
		const { seal } = await openFrames(subtle, secret);
		for (const { frame, messages } of frames) {
			const sealed = await seal(messages.map(asMessage));
			expect(sealed.map(toHex)).toEqual([frame]);
		}
	});

	const received = vectors.frames.good.filter(({ expects_open }) => expects_open);
	it.each(received)('opens: $name', async ({ frames }) => {
		const { open } = await openFrames(subtle, secret);
		for (const { frame, messages } of frames) {
			const opened = await open(fromHex(frame));
			expect(opened).toEqual(messages.map(asMessage));
		}
	});

	/** A client's frames as a server would have sent them, after the frame that opens. */
	const asServers = async (key: Bytes, frames: Bytes[]): Promise<Bytes[]> => {
		const [from, to] = await Promise.all(
			[key, secret.subarray(half)].map((raw) =>
				subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt'])
			)
		);
		const texts = await Promise.all(
			frames.map(async (frame, at) => {
				const flag = frame[0] ?? 0;
				const text = await subtle.decrypt(cipher(at, flag), must(from), frame.subarray(1));
				return { flag, text: new Uint8Array(text) };
			})
		);
		const opening = { flag: 0, text: Uint8Array.of(4, 0, 0, 0, 0) };
		return Promise.all(
			[opening, ...texts].map(async ({ flag, text }, at) => {
				const sealed = await subtle.encrypt(cipher(at, flag), must(to), text);
				return concat(Uint8Array.of(flag), new Uint8Array(sealed));
			})
		);
	};

	const openAll = async (frames: Bytes[]): Promise<Message[][]> => {
		const { open } = await openFrames(subtle, other(secret.subarray(0, half)));
		const all: Message[][] = [];
		for (const frame of frames) all.push(await open(frame));
		return all;
	};

	const ofClients = vectors.frames.good.filter(({ expects_open }) => !expects_open);
	it.each(ofClients)('opens, from a server: $name', async ({ key, frames }) => {
		const given = await asServers(
			fromHex(key),
			frames.map(({ frame }) => fromHex(frame))
		);
		expect((await openAll(given)).slice(1)).toEqual(
			frames.map(({ messages }) => messages.map(asMessage))
		);
	});

	// What a client would have to say again, sealed by a server, says the same there.
	const bad = vectors.frames.bad.filter(({ ends }) => !ends);
	it.each(bad)('refuses: $name', async ({ key, expects_open, frames }) => {
		const bytes = frames.map(fromHex);
		let given = bytes;
		if (!expects_open) {
			// Those that do not open at all stay as they are.
			given = await asServers(fromHex(key), bytes).catch(() => [
				concat(Uint8Array.of(0), must(bytes.at(-1)))
			]);
		}
		await expect(openAll(given)).rejects.toThrow();
	});
});

it('knows both mechanisms', () => {
	expect(KEMS[0]).toBe(X25519);
});
