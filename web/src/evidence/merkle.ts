const HASH_BYTES = 32;

/** What a leaf's and a node's hash begin with, so that none can pass for the other. */
const LEAF = 0;
const NODE = 1;

const sha256 = async (subtle: SubtleCrypto, ...bytes: number[]): Promise<Uint8Array<ArrayBuffer>> =>
	new Uint8Array(await subtle.digest('SHA-256', Uint8Array.from(bytes)));

/**
 * The root that an inclusion proof leads to, or null where the proof's shape is impossible.
 *
 * RFC 9162 section 2.1.3.2, SHA-256; `path` runs from the leaf to the root. Half and odd are taken
 * by arithmetic: JavaScript's bit operations would cut sizes to 32 bits.
 */
export const inclusionRoot = async (
	subtle: SubtleCrypto,
	leaf: Uint8Array,
	index: number,
	size: number,
	path: readonly Uint8Array[]
): Promise<Uint8Array<ArrayBuffer> | null> => {
	if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size)) return null;
	if (index < 0 || index >= size) return null;
	const half = (n: number) => Math.floor(n / 2);
	let fn = index;
	let sn = size - 1;
	let root = await sha256(subtle, LEAF, ...leaf);
	for (const hash of path) {
		if (sn === 0 || hash.length !== HASH_BYTES) return null;
		if (fn % 2 === 1 || fn === sn) {
			root = await sha256(subtle, NODE, ...hash, ...root);
			while (fn % 2 === 0 && fn !== 0) {
				fn = half(fn);
				sn = half(sn);
			}
		} else {
			root = await sha256(subtle, NODE, ...root, ...hash);
		}
		fn = half(fn);
		sn = half(sn);
	}
	return sn === 0 ? root : null;
};
