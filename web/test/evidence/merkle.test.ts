import { describe, expect, it } from 'vitest';
import { inclusionRoot } from '../../src/evidence/merkle';
import { fill, hex } from '../support/bytes';
import { must } from '../support/must';
import { tree } from '../support/pretended-td';
import { readVectors } from '../support/vectors';

const { subtle } = crypto;

describe('Merkle inclusion proofs (RFC 9162)', () => {
	const { trees, invalid } = readVectors('merkle') as {
		trees: { entries: string[]; root: string; paths: string[][] }[];
		invalid: {
			fault: string;
			entry: string;
			leaf_index: number;
			tree_size: number;
			path: string[];
			root: string;
		}[];
	};
	const reach = async (leaf: Uint8Array, index: number, size: number, path: Uint8Array[]) => {
		const root = await inclusionRoot(subtle, leaf, index, size, path);
		return root && Buffer.from(root).toString('hex');
	};

	it('lead every leaf of the vectors to the root, and no other leaf', async () => {
		expect(trees.length).toBeGreaterThan(3);
		for (const { entries, root, paths } of trees) {
			const size = entries.length;
			for (const [index, path] of paths.entries()) {
				const hashes = path.map(hex);
				const leaf = hex(must(entries[index]));
				expect(await reach(leaf, index, size, hashes)).toBe(root);
				expect(await reach(fill(32, 0xee), index, size, hashes)).not.toBe(root);
				expect(await reach(leaf, index, size, [...hashes, fill(32, 1)])).not.toBe(root);
				if (hashes.length === 0) continue;
				expect(await reach(leaf, index, size, hashes.slice(1))).not.toBe(root);
			}
		}
	});

	it('agree with the recursive definition for every tree up to 70 leaves', async () => {
		for (let size = 1; size <= 70; size += 3) {
			const leaves = Array.from({ length: size }, (_, n) => Buffer.from(`leaf ${n}`));
			for (let index = 0; index < size; index += 5) {
				const { root, path } = tree(leaves, index);
				const leaf = must(leaves[index]);
				expect(await reach(leaf, index, size, path)).toBe(root.toString('hex'));
			}
		}
	});

	it.each(invalid)('with $fault do not lead to the root', async (proof) => {
		const path = proof.path.map(hex);
		const { entry, leaf_index, tree_size, root } = proof;
		expect(await reach(hex(entry), leaf_index, tree_size, path)).not.toBe(root);
	});

	it.each<[string, number, number]>([
		['a negative index', -1, 1],
		['an index outside', 1, 1],
		['no leaves', 0, 0],
		['half a leaf', 0.5, 1],
		['no number', NaN, 1],
		['a text', '0' as unknown as number, 1],
		['a size beyond what numbers hold', 0, 2 ** 53]
	])('with %s lead nowhere', async (_name, index, size) => {
		expect(await inclusionRoot(subtle, fill(32, 0), index, size, [])).toBeNull();
	});

	it('work above 32 bits', async () => {
		const path = Array.from({ length: 40 }, (_, n) => fill(32, n));
		expect(await inclusionRoot(subtle, fill(32, 0), 2 ** 39 + 1, 2 ** 40, path)).not.toBeNull();
		expect(
			await inclusionRoot(subtle, fill(32, 0), 2 ** 39 + 1, 2 ** 40, path.slice(1))
		).toBeNull();
	});
});
