/** Chunked Oblivious HTTP (draft-ietf-ohai-chunked-ohttp), the client's half. */
import { toUtf8 } from '../base/encoding';
import { type Bytes, type Pull, bigEndian, byteSource, concat, varint } from './bytes';
import { broken } from './errors';
import {
	expand,
	hmac,
	importAesKey,
	KDF,
	NONCE_LENGTH,
	nonceAt,
	type SenderContext,
	setupSender
} from './hpke';
import type { SealKey } from './keyset';

/** Bytes of text that we put into a chunk, and of a sealed chunk that we take. */
export const CHUNK_LENGTH = 65_536;
const CHUNK_LIMIT = 1 << 20;

const NOTHING = new Uint8Array();
/** Additional data of a message's last chunk. */
const FINAL = toUtf8('final');

export interface Encapsulation {
	/** What goes before the chunks. */
	header: Bytes;
	/** The next chunk as it travels. */
	seal: (text: Bytes, isFinal: boolean) => Promise<Bytes>;
	/** The texts of an answer's chunks, to be asked for one after the other. */
	open: (answer: Pull) => Pull;
}

/** The answer's key and first nonce (RFC 9458 section 4.4, with the draft's label). */
const answerKeys = async (
	subtle: SubtleCrypto,
	context: SenderContext,
	keyLength: number,
	responseNonce: Bytes
) => {
	const secret = await context.exportSecret('message/bhttp chunked response', responseNonce.length);
	const extracted = await hmac(subtle, concat(context.enc, responseNonce), secret);
	const [key, nonce] = await Promise.all([
		expand(subtle, extracted, toUtf8('key'), keyLength),
		expand(subtle, extracted, toUtf8('nonce'), NONCE_LENGTH)
	]);
	return { key: await importAesKey(subtle, key, 'decrypt'), nonce };
};

const openAnswer = (
	subtle: SubtleCrypto,
	context: SenderContext,
	keyLength: number,
	answer: Pull
): Pull => {
	const source = byteSource(answer);
	let keys: Awaited<ReturnType<typeof answerKeys>> | undefined;
	let counter = 0;
	let ended = false;
	return async () => {
		if (ended) return null;
		keys ??= await answerKeys(
			subtle,
			context,
			keyLength,
			await source.take(Math.max(NONCE_LENGTH, keyLength))
		);
		const length = await source.varint();
		if (length > CHUNK_LIMIT) throw broken();
		const sealed = length ? await source.take(length) : await source.rest(CHUNK_LIMIT);
		const iv = nonceAt(keys.nonce, counter);
		counter += 1;
		const additionalData = length ? NOTHING : FINAL;
		const text = await subtle
			.decrypt({ name: 'AES-GCM', iv, additionalData }, keys.key, sealed)
			.catch(() => {
				throw broken('does not open');
			});
		if (length && !text.byteLength) throw broken();
		ended = !length;
		return new Uint8Array(text);
	};
};

/** Begin a request to a key's holder. It needs no request yet, so it can be made ahead. */
export const encapsulate = async (
	subtle: SubtleCrypto,
	{ keyId, kem, aead, publicKey }: SealKey,
	makePair?: () => Promise<CryptoKeyPair>
): Promise<Encapsulation> => {
	const suite = [kem.id, KDF, aead.id].map((id) => bigEndian(id, 2));
	const header = concat(Uint8Array.of(keyId), ...suite);
	const info = concat(toUtf8('message/bhttp chunked request\0'), header);
	const context = await setupSender(subtle, kem, aead, publicKey, info, makePair);
	return {
		header: concat(header, context.enc),
		seal: async (text, isFinal) => {
			const sealed = await context.seal(text, isFinal ? FINAL : NOTHING);
			return concat(varint(isFinal ? 0 : sealed.length), sealed);
		},
		open: (answer) => openAnswer(subtle, context, aead.keyLength, answer)
	};
};
