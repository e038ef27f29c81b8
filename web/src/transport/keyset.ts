/** The keys that a quote vouches for (docs/evidence.md). */
import { fromBase64url, toBase64url, toUtf8 } from '../base/encoding';
import { isObject, type JsonObject, own } from '../base/json';
import { Problem } from '../base/problem';
import { reader } from '../base/reader';
import { type Bytes, fromBigEndian } from './bytes';
import { type Aead, AEADS, KDF, type Kem, KEMS, P256 } from './hpke';

/** A key that requests can be sealed to. */
export interface SealKey {
	/** What names it outside: base64url of the first 8 bytes of SHA-256 of the public key. */
	id: string;
	/** What names it inside (RFC 9458 section 3.1). */
	keyId: number;
	kem: Kem;
	aead: Aead;
	publicKey: Bytes;
}

export interface Keyset {
	/** Milliseconds since 1970. */
	notAfter: number;
	/** Those of known kinds, at least one; X25519 first, since P-256 costs some browsers milliseconds. */
	keys: SealKey[];
}

const ENTRY_LIMIT = 16;
/** Bytes of the whole as JSON without white space. */
const SIZE_LIMIT = 8192;
const ID_LENGTH = 8;

/** Where an uncompressed point begins (SEC 1 section 2.3.3). */
const UNCOMPRESSED = 4;

const malformed = (detail: string) => new Problem('key-mismatch', detail);

/** The first moment that every reader's calendar has. */
const YEAR_ONE = Date.parse('0001-01-01T00:00:00Z');

/** RFC 3339 in UTC and whole seconds. */
const readTime = (text: unknown): number => {
	const time = typeof text === 'string' ? Date.parse(text) : NaN;
	// A day that its month does not have would be read as one of the next.
	const usual = time >= YEAR_ONE ? `${new Date(time).toISOString().slice(0, 19)}Z` : '';
	if (usual !== text) throw malformed('not_after');
	return time;
};

/** One key configuration (RFC 9458 section 3.1), or null where all in it is unknown to us. */
const readConfig = (config: Bytes): Omit<SealKey, 'id'> | null => {
	const { take, end } = reader(config, 'key-mismatch');
	const keyId = fromBigEndian(take(1));
	const kemId = fromBigEndian(take(2));
	const kem = KEMS.find(({ id }) => id === kemId);
	if (!kem) return null;
	const publicKey = take(kem.length);
	if (kem === P256 && publicKey[0] !== UNCOMPRESSED) throw malformed('point');
	const suites = take(fromBigEndian(take(2)));
	end();
	if (suites.length % 4 || !suites.length) throw malformed('suites');
	for (let at = 0; at < suites.length; at += 4) {
		const [kdf, aeadId] = [0, 2].map((skip) =>
			fromBigEndian(suites.subarray(at + skip, at + skip + 2))
		);
		const aead = AEADS.find(({ id }) => id === aeadId);
		if (kdf === KDF && aead) return { keyId, kem, aead, publicKey };
	}
	return null;
};

const readKey = async (subtle: SubtleCrypto, entry: unknown): Promise<SealKey | null> => {
	const id = own(entry, 'id');
	let config: Bytes;
	try {
		config = fromBase64url(own(entry, 'key_config'));
	} catch {
		throw malformed('key_config');
	}
	const key = readConfig(config);
	if (typeof id !== 'string') throw malformed('id');
	if (!key) return null;
	const digest = new Uint8Array(await subtle.digest('SHA-256', key.publicKey));
	if (id !== toBase64url(digest.subarray(0, ID_LENGTH))) throw malformed('id');
	return { id, ...key };
};

const entriesOf = (keyset: JsonObject, name: string): unknown[] => {
	const entries = keyset[name];
	if (!Array.isArray(entries) || entries.length > ENTRY_LIMIT) throw malformed(name);
	return entries;
};

/**
 * Read a keyset; rejects with `key-mismatch` where it is malformed or has no key for us. Whether the
 * quote vouches for it, and whether it is in date, is not asked here.
 */
export const readKeyset = async (subtle: SubtleCrypto, value: unknown): Promise<Keyset> => {
	if (!isObject(value) || value.v !== 1) throw malformed('v');
	// Its canonical JSON has other order, not other length.
	if (toUtf8(JSON.stringify(value)).length > SIZE_LIMIT) throw malformed('size');
	entriesOf(value, 'sign');
	const notAfter = readTime(value.not_after);
	const read = entriesOf(value, 'seal').map((entry) => readKey(subtle, entry));
	const keys = (await Promise.all(read)).filter((key) => key !== null);
	if (!keys.length) throw malformed('no usable key');
	for (const name of ['id', 'keyId'] as const) {
		if (new Set(keys.map((key) => key[name])).size < keys.length) throw malformed(`two ${name}`);
	}
	return { notAfter, keys: keys.sort((a, b) => KEMS.indexOf(a.kem) - KEMS.indexOf(b.kem)) };
};
