import { sha384 as digest } from '@noble/hashes/sha2.js';

/**
 * SHA-384, at once. WebCrypto's comes from another thread: for one digest that is no matter, but a
 * register's value needs one after the other, and a log has thousands.
 */
export const sha384 = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
	Uint8Array.from(digest(bytes));
