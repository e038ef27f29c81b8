/**
 * The page's readers of what comes sealed, each for the inputs of its folder in tests/fuzz/corpus.
 * tests/fuzz/page_readers.py holds what they read against Python's readers.
 */
import { canonicalJson } from '../../src/base/canonical';
import { fromUtf8, toBase64url, toHex } from '../../src/base/encoding';
import { parseDocument } from '../../src/base/json';
import { Problem } from '../../src/base/problem';
import { decoded, makeResponse } from '../../src/transport/answer-body';
import { readAnswer } from '../../src/transport/binary-http';
import { type Bytes, concat, once, type Pull } from '../../src/transport/bytes';
import { encapsulate } from '../../src/transport/chunked-ohttp';
import { SealedError } from '../../src/transport/errors';
import { openFrames } from '../../src/transport/frames';
import { KEMS, X25519 } from '../../src/transport/hpke';
import { readKeyset } from '../../src/transport/keyset';
import { unpadded } from '../../src/transport/padding';
import { drain, whole } from '../support/pieces';

/** In which pieces bytes come. */
export type Pieces = (bytes: Bytes) => Pull;

/** Gives what was read, as JSON can say it; rejects where it is refused. */
type Reader = (data: Bytes, pieces: Pieces) => Promise<unknown>;

/** A browser's cryptography that is none: `decrypt` gets texts as far as the framing lets them. */
const standIn = (decrypt: (additionalData: Bytes, sealed: Bytes) => Bytes): SubtleCrypto => {
	const nothing = () => Promise.resolve(new ArrayBuffer(32));
	return {
		importKey: nothing,
		generateKey: () => Promise.resolve({}),
		exportKey: nothing,
		deriveBits: nothing,
		sign: nothing,
		decrypt: async (parameters: AesGcmParams, _key: unknown, sealed: Bytes) =>
			Promise.resolve(decrypt(parameters.additionalData as Bytes, sealed))
	} as unknown as SubtleCrypto;
};

/** One byte before a text says whether it is the final one. */
const framingOnly = standIn((additionalData, sealed) => {
	const kind = additionalData.length ? 'F' : '-';
	if (sealed[0] !== kind.charCodeAt(0)) throw new Error('not of this kind');
	return sealed.slice(1);
});
const NONCE = new Uint8Array(16);
const exchange = encapsulate(framingOnly, {
	id: '',
	keyId: 0,
	kem: X25519,
	aead: { id: 1, keyLength: 16 },
	publicKey: new Uint8Array(32)
});

const TAG_LENGTH = 16;
const untagged = standIn((_, sealed) => sealed.slice(0, -TAG_LENGTH));
const OPENING = Uint8Array.of(4, 0, 0, 0, 0);

const frame = (flag: number, text: Bytes): Bytes =>
	concat(Uint8Array.of(flag), text, new Uint8Array(TAG_LENGTH));

/** A keyset of this key configuration alone, under the right id where its mechanism is known. */
const keysetOf = async (config: Bytes): Promise<unknown> => {
	const kem = KEMS.find(({ id }) => id === (config[1] ?? 0) * 256 + (config[2] ?? 0));
	const publicKey = config.subarray(3, 3 + (kem?.length ?? 0));
	const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', publicKey));
	const entry = { id: toBase64url(digest.subarray(0, 8)), key_config: toBase64url(config) };
	return { v: 1, not_after: '2027-01-15T09:00:00Z', seal: [entry], sign: [] };
};

const keyset: Reader = async (data) => {
	const isConfig = data[0] === 'K'.charCodeAt(0);
	const document = isConfig ? await keysetOf(data.subarray(1)) : parseDocument(fromUtf8(data));
	canonicalJson(document); // what has none is bound by no quote
	const { notAfter, keys } = await readKeyset(crypto.subtle, document);
	const shown = keys.map(({ id, keyId, kem, aead, publicKey }) => ({
		id,
		key_id: keyId,
		kem: kem.id,
		aead: aead.id,
		public_key: toHex(publicKey)
	}));
	return { not_after: notAfter / 1000, keys: shown };
};

/** A first frame's text after a byte: 1 final, 2 where the server's opening is in it. */
const frameRecords: Reader = async (data) => {
	const { open } = await openFrames(untagged, new Uint8Array(64));
	const [mark = 0] = data;
	if (!(mark & 2)) await open(frame(0, OPENING));
	const messages = await open(frame(mark & 1, data.subarray(1)));
	return messages.map((message) =>
		message.kind === 'binary' ? { kind: 'binary', data: toHex(message.data) } : message
	);
};

/** An answer as the app gets it, whole. */
const answerBody: Reader = async (data, pieces) => {
	const answer = decoded(await readAnswer(pieces(data)));
	const response = await makeResponse(answer, 'GET', new AbortController());
	const content = new Uint8Array(await response.arrayBuffer());
	const said = response.body && response.headers.get('content-length');
	if (said && content.length !== Number(said)) throw new Error('not whole');
	return { status: response.status, content: toHex(content) };
};

export const READERS = {
	binary_http: async (data, pieces) => {
		const { status, fields, content } = await readAnswer(pieces(data));
		return { status, fields, content: toHex(await whole(content)) };
	},
	ohttp_chunks: async (data, pieces) => {
		const { open } = await exchange;
		return (await drain(open(once(NONCE, pieces(data))))).map(toHex);
	},
	padded_body: async (data, pieces) => toHex(await whole(unpadded(pieces(data)))),
	frame_records: frameRecords,
	keyset,
	answer_body: answerBody
} satisfies Record<string, Reader>;

export type Format = keyof typeof READERS;

/** What a reader makes of these bytes: null where it refuses them. Rejects with what is not ours. */
export const verdictOf = async (format: Format, data: Bytes, pieces: Pieces): Promise<unknown> => {
	try {
		return await READERS[format](data, pieces);
	} catch (error) {
		if (error instanceof SealedError || error instanceof Problem) return null;
		throw error;
	}
};
