/** Bytes as they come over a network: in pieces. */
import type { Pull } from '../../src/transport/bytes';

/** These bytes in pieces of a size, or at once. */
export const inPieces = (bytes: Uint8Array, size = Infinity): Pull => {
	let at = 0;
	return () => {
		if (at >= bytes.length) return Promise.resolve(null);
		const end = Math.min(at + size, bytes.length);
		const piece = Uint8Array.from(bytes.subarray(at, end));
		at = end;
		return Promise.resolve(piece);
	};
};

/** All pieces, until there are no more. */
export const drain = async (pull: Pull): Promise<Buffer[]> => {
	const pieces: Buffer[] = [];
	for (let piece = await pull(); piece; piece = await pull()) pieces.push(Buffer.from(piece));
	return pieces;
};

export const whole = async (pull: Pull): Promise<Buffer> => Buffer.concat(await drain(pull));
