/** Chunked Oblivious HTTP (draft-ietf-ohai-chunked-ohttp), the client's half. */
import { toUtf8 } from '../base/encoding';
import { type Bytes, type Pull, byteSource, concat, varint } from './bytes';
import { broken } from './errors';
import {
	counted,
	expand,
	hmac,
	NONCE_LENGTH,
	type SenderContext,
	setupSender,
	suiteOf
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

/** What opens an answer's chunks, by its key and nonce (RFC 9458 section 4.4, the draft's label). */
const openerOf = async (
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
	return counted(subtle, 'decrypt', key, nonce);
};

const openAnswer = (
	subtle: SubtleCrypto,
	context: SenderContext,
	keyLength: number,
	answer: Pull
): Pull => {
	const source = byteSource(answer);
	let open: SenderContext['seal'] | undefined;
	let ended = false;
	return async () => {
		if (ended) return null;
		open ??= await openerOf(
			subtle,
			context,
			keyLength,
			await source.take(Math.max(NONCE_LENGTH, keyLength))
		);
		const length = await source.varint();
		if (length > CHUNK_LIMIT) throw broken();
		const sealed = length ? await source.take(length) : await source.rest(CHUNK_LIMIT);
		const text = await open(sealed, length ? NOTHING : FINAL).catch(() => {
			throw broken('does not open');
		});
		if (length && !text.length) throw broken();
		ended = !length;
		return text;
	};
};

/** Begin a request to a key's holder. It needs no request yet, so it can be made ahead. */
export const encapsulate = async (
	subtle: SubtleCrypto,
	{ keyId, kem, aead, publicKey }: SealKey,
	makePair?: () => Promise<CryptoKeyPair>
): Promise<Encapsulation> => {
	const header = concat(Uint8Array.of(keyId), suiteOf(kem, aead));
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
