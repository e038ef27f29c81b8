/**
 * Hybrid public key encryption, the sender's half of base mode (RFC 9180). The curves, HMAC and
 * AES-GCM are the browser's.
 */
import { toUtf8 } from '../base/encoding';
import { type Bytes, bigEndian, concat } from './bytes';

/** A key encapsulation mechanism (section 7.1): its number, the bytes of a public key, its curve. */
export interface Kem {
	id: number;
	length: number;
	curve: { name: 'X25519' } | { name: 'ECDH'; namedCurve: 'P-256' };
}

/** AES-GCM (section 7.3): its number and the bytes of a key. */
export interface Aead {
	id: number;
	keyLength: number;
}

export const X25519: Kem = { id: 0x20, length: 32, curve: { name: 'X25519' } };
export const P256: Kem = { id: 0x10, length: 65, curve: { name: 'ECDH', namedCurve: 'P-256' } };
export const KEMS = [X25519, P256];
export const AEADS: Aead[] = [
	{ id: 1, keyLength: 16 },
	{ id: 2, keyLength: 32 }
];
/** HKDF-SHA256, in every suite of ours (section 7.2). */
export const KDF = 1;

export const NONCE_LENGTH = 12;
const HASH_LENGTH = 32;
const NOTHING = new Uint8Array();
/** HMAC fills a short key up with zeros, and no browser takes one of no length. */
const NO_SALT = new Uint8Array(HASH_LENGTH);

export const hmac = async (subtle: SubtleCrypto, key: Bytes, data: Bytes): Promise<Bytes> => {
	const algorithm = { name: 'HMAC', hash: 'SHA-256' };
	const imported = await subtle.importKey('raw', key, algorithm, false, ['sign']);
	return new Uint8Array(await subtle.sign('HMAC', imported, data));
};

/** HKDF-Expand (RFC 5869 section 2.3) for what one block of the hash covers, as all of ours. */
export const expand = async (
	subtle: SubtleCrypto,
	secret: Bytes,
	info: Bytes,
	length: number
): Promise<Bytes> =>
	(await hmac(subtle, secret, concat(info, Uint8Array.of(1)))).subarray(0, length);

/** What names a suite (section 5.1): its KEM, KDF and AEAD. */
export const suiteOf = (kem: Kem, aead: Aead): Bytes =>
	concat(...[kem.id, KDF, aead.id].map((id) => bigEndian(id, 2)));

/** LabeledExtract and LabeledExpand (section 4) for one suite. */
const labeled = (subtle: SubtleCrypto, suiteId: Bytes) => {
	const mark = (label: string) => concat(toUtf8('HPKE-v1'), suiteId, toUtf8(label));
	return {
		extract: (salt: Bytes, label: string, secret: Bytes) =>
			hmac(subtle, salt, concat(mark(label), secret)),
		expand: (secret: Bytes, label: string, info: Bytes, length: number) =>
			expand(subtle, secret, concat(bigEndian(length, 2), mark(label), info), length)
	};
};

/** A counter's nonce: `base` XOR the number, big-endian (section 5.2). */
const nonceAt = (base: Bytes, counter: number): Bytes => {
	const number = bigEndian(counter, base.length);
	return base.map((byte, at) => byte ^ (number[at] ?? 0));
};

export interface SenderContext {
	/** The encapsulated key. */
	enc: Bytes;
	/** Seal the next text; the order is that of the calls. */
	seal: (text: Bytes, aad: Bytes) => Promise<Bytes>;
	/** A secret for another use (section 5.3), of at most 32 bytes. */
	exportSecret: (context: string, length: number) => Promise<Bytes>;
}

/** Import a key for AES-GCM. */
export const importAesKey = (
	subtle: SubtleCrypto,
	key: Bytes,
	use: 'encrypt' | 'decrypt'
): Promise<CryptoKey> => subtle.importKey('raw', key, 'AES-GCM', false, [use]);

/** AES-GCM for messages in order, each with the next counter's nonce; the order is that of the calls. */
export const counted = async (
	subtle: SubtleCrypto,
	use: 'encrypt' | 'decrypt',
	rawKey: Bytes,
	baseNonce: Bytes
): Promise<(message: Bytes, aad: Bytes) => Promise<Bytes>> => {
	const key = await importAesKey(subtle, rawKey, use);
	let counter = 0;
	return async (message, additionalData) => {
		const iv = nonceAt(baseNonce, counter);
		counter += 1;
		return new Uint8Array(await subtle[use]({ name: 'AES-GCM', iv, additionalData }, key, message));
	};
};

/** Make a secret that only the key's holder learns too (Encap, section 4.1). */
const encapsulate = async (
	subtle: SubtleCrypto,
	kem: Kem,
	publicKey: Bytes,
	makePair: () => Promise<CryptoKeyPair>
) => {
	const there = await subtle.importKey('raw', publicKey, kem.curve, true, []);
	const own = await makePair();
	const enc = new Uint8Array(await subtle.exportKey('raw', own.publicKey));
	const agreement = { name: kem.curve.name, public: there };
	const shared = new Uint8Array(await subtle.deriveBits(agreement, own.privateKey, 256));
	const kdf = labeled(subtle, concat(toUtf8('KEM'), bigEndian(kem.id, 2)));
	const secret = await kdf.extract(NO_SALT, 'eae_prk', shared);
	return {
		enc,
		secret: await kdf.expand(secret, 'shared_secret', concat(enc, publicKey), HASH_LENGTH)
	};
};

/**
 * SetupBaseS (section 5.1.1). Rejects where the browser lacks the curve or the key is no point of it.
 *
 * @param makePair Makes the ephemeral key pair; a test brings its own.
 */
export const setupSender = async (
	subtle: SubtleCrypto,
	kem: Kem,
	aead: Aead,
	publicKey: Bytes,
	info: Bytes,
	makePair = () => subtle.generateKey(kem.curve, false, ['deriveBits']) as Promise<CryptoKeyPair>
): Promise<SenderContext> => {
	const { enc, secret: shared } = await encapsulate(subtle, kem, publicKey, makePair);
	const kdf = labeled(subtle, concat(toUtf8('HPKE'), suiteOf(kem, aead)));
	const [pskIdHash, infoHash, secret] = await Promise.all([
		kdf.extract(NO_SALT, 'psk_id_hash', NOTHING),
		kdf.extract(NO_SALT, 'info_hash', info),
		kdf.extract(shared, 'secret', NOTHING)
	]);
	const context = concat(Uint8Array.of(0), pskIdHash, infoHash);
	const [key, baseNonce, exporter] = await Promise.all([
		kdf.expand(secret, 'key', context, aead.keyLength),
		kdf.expand(secret, 'base_nonce', context, NONCE_LENGTH),
		kdf.expand(secret, 'exp', context, HASH_LENGTH)
	]);
	return {
		enc,
		seal: await counted(subtle, 'encrypt', key, baseNonce),
		exportSecret: (name, length) => kdf.expand(exporter, 'sec', toUtf8(name), length)
	};
};
