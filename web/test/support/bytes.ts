import { createHash } from 'node:crypto';

export type Bytes = Buffer<ArrayBuffer>;

export const fill = (length: number, byte: number): Bytes => Buffer.alloc(length, byte);
export const hex = (text: string): Bytes => Buffer.from(text.replace(/\s/g, ''), 'hex');
export const base64url = (bytes: Uint8Array | string): string =>
	Buffer.from(bytes).toString('base64url');

/** Little-endian numbers, and one of 64 bits with these bits set. */
export const u16 = (value: number): Bytes => Buffer.from(Uint16Array.of(value).buffer);
export const u32 = (value: number): Bytes => Buffer.from(Uint32Array.of(value).buffer);
export const bits = (...set: number[]): Bytes => {
	const value = set.reduce((sum, at) => sum | (1n << BigInt(at)), 0n);
	return Buffer.from(BigUint64Array.of(value).buffer);
};

const hashOf = (algorithm: string, parts: Uint8Array[]): Bytes => {
	const hash = createHash(algorithm);
	for (const part of parts) hash.update(part);
	return Buffer.from(hash.digest());
};
export const sha256 = (...parts: Uint8Array[]): Bytes => hashOf('sha256', parts);
export const sha384 = (...parts: Uint8Array[]): Bytes => hashOf('sha384', parts);

/** A copy with these bits of one byte the other way round. */
export const flipped = (bytes: Uint8Array, at: number, mask = 1): Bytes => {
	const copy = Buffer.from(bytes);
	copy.writeUInt8(copy.readUInt8(at) ^ mask, at);
	return copy;
};
