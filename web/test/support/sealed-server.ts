/** A server that answers sealed requests, by npm `hpke` and a reader of its own: the oracle. */
import * as hpke from 'hpke';
import { base64url, type Bytes, sha256 } from './bytes';
import type { Call } from './call';
import { must } from './must';

export type InnerFields = [name: string, value: string][];

export interface InnerRequest {
	method: string;
	scheme: string;
	authority: string;
	path: string;
	fields: InnerFields;
	body: Bytes;
}

export interface InnerAnswer {
	status?: number;
	fields?: InnerFields;
	/** Pieces of the body; each goes into a record, and that into a chunk, of its own. */
	body?: (string | Uint8Array)[];
}

type Handle = (request: InnerRequest) => InnerAnswer | Promise<InnerAnswer>;

const KEMS = {
	0x20: hpke.KEM_DHKEM_X25519_HKDF_SHA256,
	0x10: hpke.KEM_DHKEM_P256_HKDF_SHA256
};
const AEADS = { 1: hpke.AEAD_AES_128_GCM, 2: hpke.AEAD_AES_256_GCM };
export type KemId = keyof typeof KEMS;
export type AeadId = keyof typeof AEADS;

const NONCE_LENGTH = 12;
const FINAL = Buffer.from('final');
const TYPE = 'message/ohttp-chunked-res';

const number = (value: number, length: number): Bytes => {
	const bytes = Buffer.alloc(length);
	bytes.writeUIntBE(value, 0, length);
	return bytes;
};

/** A variable-length integer of up to 30 bits. */
export const varint = (value: number): Bytes => {
	if (value < 64) return number(value, 1);
	return value < 16_384 ? number(value + 0x4000, 2) : number(value + 0x8000_0000, 4);
};

export const counted = (bytes: Uint8Array | string): Bytes => {
	const data = Buffer.from(bytes);
	return Buffer.concat([varint(data.length), data]);
};

/** Read on in bytes that are all there. */
const cursor = (bytes: Bytes) => {
	let at = 0;
	const take = (length: number): Bytes => {
		if (at + length > bytes.length) throw new Error('truncated');
		at += length;
		return bytes.subarray(at - length, at);
	};
	const readVarint = (): number => {
		const size = 1 << (must(bytes[at]) >> 6);
		const read = BigInt(`0x${take(size).toString('hex')}`);
		return Number(read & ((1n << BigInt(8 * size - 2)) - 1n));
	};
	return {
		take,
		varint: readVarint,
		counted: () => take(readVarint()),
		rest: () => take(bytes.length - at),
		left: () => bytes.length - at
	};
};

/** A request of indeterminate length, and how much padding follows it. */
export const readRequest = (message: Bytes): InnerRequest => {
	const { varint: readVarint, counted: readCounted, take, rest } = cursor(message);
	if (readVarint() !== 2) throw new Error('framing');
	const control = [0, 1, 2, 3].map(() => readCounted().toString('latin1'));
	const [method, scheme, authority, path] = control.map(must) as [string, string, string, string];
	const fields: InnerFields = [];
	for (let size = readVarint(); size; size = readVarint()) {
		const name = take(size).toString('latin1');
		fields.push([name, readCounted().toString('latin1')]);
	}
	const parts: Bytes[] = [];
	for (let size = readVarint(); size; size = readVarint()) parts.push(take(size));
	if (rest().some((byte) => byte !== 0)) throw new Error('padding');
	return { method, scheme, authority, path, fields, body: Buffer.concat(parts) };
};

export const answerHead = (status: number, fields: InnerFields): Bytes =>
	Buffer.concat([
		varint(3),
		varint(status),
		...fields.flatMap(([name, value]) => [counted(name), counted(Buffer.from(value, 'latin1'))]),
		varint(0)
	]);

/** Data with as much padding as the caller likes. */
export const paddedRecord = (data: Uint8Array, padding: number): Bytes =>
	Buffer.concat([number(data.length, 3), number(padding, 3), data, Buffer.alloc(padding)]);

const bucket = (length: number): number => {
	let size = 256;
	while (size < length && size < 16_384) size *= 2;
	return length <= size ? size : Math.ceil(length / 16_384) * 16_384;
};

/** An answer in plain, one piece for each chunk, the last of which is the final one. */
export const writeAnswer = ({ status = 200, fields = [], body = [] }: InnerAnswer): Bytes[] => {
	const data = body.map((piece) => Buffer.from(piece));
	const length = data.reduce((sum, piece) => sum + piece.length, 0);
	const head = answerHead(status, [
		...fields,
		['content-encoding', 'tee-padded'],
		['tee-content-length', String(length)]
	]);
	const records = (data.length ? data : [Buffer.alloc(0)]).map((piece) =>
		counted(paddedRecord(piece, bucket(piece.length + 6) - piece.length - 6))
	);
	return [head, ...records, Buffer.alloc(2)];
};

const hmac = async (key: Uint8Array, data: Uint8Array): Promise<Bytes> => {
	const imported = await crypto.subtle.importKey(
		'raw',
		Buffer.from(key),
		{ name: 'HMAC', hash: 'SHA-256' },
		false,
		['sign']
	);
	return Buffer.from(await crypto.subtle.sign('HMAC', imported, Buffer.from(data)));
};

/** Seal an answer's chunks; returns nonce and chunks, each as it travels. */
const answerSealer = async (context: hpke.RecipientContext, enc: Bytes, aead: AeadId) => {
	const keyLength = 16 * aead;
	const nonce = Buffer.from(
		crypto.getRandomValues(new Uint8Array(Math.max(keyLength, NONCE_LENGTH)))
	);
	const label = Buffer.from('message/bhttp chunked response');
	const secret = await context.Export(label, nonce.length);
	const extracted = await hmac(Buffer.concat([enc, nonce]), secret);
	const one = Buffer.of(1);
	const rawKey = await hmac(extracted, Buffer.concat([Buffer.from('key'), one]));
	const base = await hmac(extracted, Buffer.concat([Buffer.from('nonce'), one]));
	const key = await crypto.subtle.importKey(
		'raw',
		rawKey.subarray(0, keyLength),
		'AES-GCM',
		false,
		['encrypt']
	);
	let counter = 0;
	return {
		nonce,
		seal: async (text: Uint8Array, isFinal: boolean): Promise<Bytes> => {
			const iv = Buffer.from(base.subarray(0, NONCE_LENGTH));
			iv.writeUInt32BE((iv.readUInt32BE(8) ^ counter) >>> 0, 8);
			counter += 1;
			const additionalData = isFinal ? FINAL : Buffer.alloc(0);
			const sealed = await crypto.subtle.encrypt(
				{ name: 'AES-GCM', iv, additionalData },
				key,
				Buffer.from(text)
			);
			return Buffer.concat([varint(isFinal ? 0 : sealed.byteLength), Buffer.from(sealed)]);
		}
	};
};

const rfc3339 = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const sealedYes: Handle = ({ path }) =>
	path === '/api/v1/tee/sealed'
		? { fields: [['content-type', 'application/json']], body: ['{"v":1,"sealed":true}'] }
		: { status: 404, fields: [['content-type', 'application/json']], body: ['{}'] };

/**
 * Make a server with keys of its own.
 *
 * @param notAfter Until when its keys count, in milliseconds since 1970.
 * @param handle Answers what came sealed; by itself it says that `/api/v1/tee/sealed` did.
 */
export const makeSealedServer = async (
	notAfter: number,
	handle: Handle = sealedYes,
	kems: readonly KemId[] = [0x20, 0x10],
	aeads: readonly AeadId[] = [1, 2]
) => {
	const holders = await Promise.all(
		kems.map(async (kem, at) => {
			const suite = new hpke.CipherSuite(KEMS[kem], hpke.KDF_HKDF_SHA256, AEADS[1]);
			const pair = await suite.GenerateKeyPair();
			const publicKey = Buffer.from(await suite.SerializePublicKey(pair.publicKey));
			const suites = aeads.map((aead) => Buffer.concat([number(1, 2), number(aead, 2)]));
			const config = Buffer.concat([
				number(7 + at, 1),
				number(kem, 2),
				publicKey,
				number(4 * suites.length, 2),
				...suites
			]);
			const id = base64url(sha256(publicKey).subarray(0, 8));
			return { kem, keyId: 7 + at, pair, id, config };
		})
	);
	const keyset = {
		v: 1,
		not_after: rfc3339(notAfter),
		seal: holders.map(({ id, config }) => ({ id, key_config: base64url(config) })),
		sign: []
	};

	/** Open a request: its text, and how to seal the answer's chunks; rejects where it does not. */
	const open = async (bytes: Uint8Array) => {
		const read = cursor(Buffer.from(bytes));
		const header = read.take(7);
		const kem = header.readUInt16BE(1) as KemId;
		const aead = header.readUInt16BE(5) as AeadId;
		const holder = must(holders.find(({ keyId }) => keyId === header[0]));
		const enc = read.take(kem === 0x20 ? 32 : 65);
		const suite = new hpke.CipherSuite(KEMS[kem], hpke.KDF_HKDF_SHA256, AEADS[aead]);
		const info = Buffer.concat([Buffer.from('message/bhttp chunked request\0'), header]);
		const context = await suite.SetupRecipient(holder.pair, enc, { info });
		const texts: Bytes[] = [];
		for (;;) {
			const size = read.varint();
			const sealed = size ? read.take(size) : read.rest();
			const aad = size ? Buffer.alloc(0) : FINAL;
			texts.push(Buffer.from(await context.Open(sealed, aad)));
			if (!size) break;
		}
		return { texts, enc, ...(await answerSealer(context, enc, aead)) };
	};

	const seen: InnerRequest[] = [];

	/** The pieces of a whole sealed answer: nonce, then chunks. */
	const answerPieces = async (bytes: Uint8Array): Promise<Bytes[]> => {
		const { texts, nonce, seal } = await open(bytes);
		const request = readRequest(Buffer.concat(texts));
		seen.push(request);
		const plain = writeAnswer(await handle(request));
		const pieces = [nonce];
		for (const [at, text] of plain.entries()) {
			pieces.push(await seal(text, at === plain.length - 1));
		}
		return pieces;
	};

	return {
		/** As it stands in evidence. */
		keyset,
		/** What came sealed, in its order. */
		seen,
		open,
		answerPieces,
		/** Answer a `POST .../tee/ohttp`: 422 `key-unknown` for what does not open. */
		answer: async ({ init }: Pick<Call, 'init'>): Promise<Response> => {
			const bytes = new Uint8Array(await new Response(init.body).arrayBuffer());
			const pieces = await answerPieces(bytes).catch(() => null);
			if (!pieces) return Response.json({ code: 'key-unknown' }, { status: 422 });
			const body = Buffer.concat(pieces);
			return new Response(body, { headers: { 'content-type': TYPE, 'cache-control': 'no-store' } });
		}
	};
};

export type SealedServer = Awaited<ReturnType<typeof makeSealedServer>>;
