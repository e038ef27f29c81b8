/** Lengths that say little: bytes are filled up to one of few sizes. */
import { type Pull, byteSource, fromBigEndian } from './bytes';
import { broken } from './errors';

const SMALLEST = 256;
const STEP = 16_384;
/** Bytes before a record's data: how long that is, and the padding after it, 3 bytes each. */
const RECORD_HEAD = 6;

/** The size that a length is filled up to: a power of two, above 16 KiB a multiple of that. */
export const bucket = (length: number): number =>
	length > STEP
		? Math.ceil(length / STEP) * STEP
		: Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(length)));

/** Throw unless all bytes are zero. */
export const expectZeros = (bytes: Uint8Array): void => {
	if (bytes.some((byte) => byte !== 0)) throw broken();
};

/** The data of a body in the coding `tee-padded`. */
export const unpadded = (padded: Pull): Pull => {
	const source = byteSource(padded);
	return async () => {
		for (;;) {
			if (await source.isAtEnd()) return null;
			const head = await source.take(RECORD_HEAD);
			const data = await source.take(fromBigEndian(head.subarray(0, 3)));
			expectZeros(await source.take(fromBigEndian(head.subarray(3))));
			if (data.length) return data;
		}
	};
};
