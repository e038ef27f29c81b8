/** Bytes that come piece by piece, and the numbers in them. */
import { concat } from '../base/encoding';
import { broken } from './errors';

export { concat };

export type Bytes = Uint8Array<ArrayBuffer>;

/** The next piece, or null after the last one; rejects where there will be no last one. */
export type Pull = () => Promise<Bytes | null>;

/** A number of up to 6 bytes, big-endian. */
export const bigEndian = (value: number, length: number): Bytes =>
	Uint8Array.from({ length }, (_, at) => Math.floor(value / 256 ** (length - 1 - at)) % 256);

export const fromBigEndian = (bytes: Uint8Array): number =>
	bytes.reduce((sum, byte) => sum * 256 + byte, 0);

/** Bytes of a variable-length integer, and the bits before the number (RFC 9000 section 16). */
const varintLength = (value: number): number =>
	value < 1 << 6 ? 1 : value < 1 << 14 ? 2 : value < 2 ** 30 ? 4 : 8;

export const varint = (value: number): Bytes => {
	const length = varintLength(value);
	const bytes = bigEndian(value, length);
	bytes[0] = (bytes[0] ?? 0) | (Math.log2(length) << 6);
	return bytes;
};

/** Read what comes piece by piece in lengths of one's own choice. */
export const byteSource = (pull: Pull) => {
	let pieces: Bytes[] = [];
	let size = 0;
	let ended = false;

	/** Hold this many bytes, or all that there are. */
	const fill = async (length: number): Promise<void> => {
		while (size < length && !ended) {
			const piece = await pull();
			if (piece) {
				pieces.push(piece);
				size += piece.length;
			} else {
				ended = true;
			}
		}
	};

	const cut = (length: number): Bytes => {
		const held = pieces.length === 1 && pieces[0] ? pieces[0] : concat(...pieces);
		pieces = [held.subarray(length)];
		size -= length;
		return held.subarray(0, length);
	};

	/** Exactly so many bytes. */
	const take = async (length: number): Promise<Bytes> => {
		await fill(length);
		if (size < length) throw broken('truncated');
		return cut(length);
	};

	return {
		take,
		/** What is there, at most so many bytes and at least one; null at the end. */
		some: async (limit: number): Promise<Bytes | null> => {
			await fill(1);
			return size ? cut(Math.min(size, limit)) : null;
		},
		/** All that is left, at most so many bytes. */
		rest: async (limit: number): Promise<Bytes> => {
			await fill(limit + 1);
			if (size > limit) throw broken();
			return cut(size);
		},
		isAtEnd: async (): Promise<boolean> => {
			await fill(1);
			return size === 0;
		},
		/** A variable-length integer in its shortest spelling. */
		varint: async (): Promise<number> => {
			const first = (await take(1))[0] ?? 0;
			const length = 1 << (first >> 6);
			const value = (first & 0x3f) * 256 ** (length - 1) + fromBigEndian(await take(length - 1));
			// From 2 ** 53 on, numbers are not exact.
			if (value >= 2 ** 53 || varintLength(value) !== length) throw broken();
			return value;
		}
	};
};

export type ByteSource = ReturnType<typeof byteSource>;

/** One piece, all at once, and what comes after it. */
export const once = (bytes: Bytes | null, after?: Pull): Pull => {
	let next = bytes;
	return async () => {
		const piece = next;
		next = null;
		return piece ?? (await after?.()) ?? null;
	};
};
