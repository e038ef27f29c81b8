/**
 * What must hold of whatever the page's readers are given. FUZZ_SEED and FUZZ_RUNS, or FUZZ_SECONDS
 * for each reader, change what `make web` does.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, concat, once, type Pull, varint } from '../../src/transport/bytes';
import { inPieces } from '../support/pieces';
import { mutantsOf, seedsOf } from './mutants';
import { type Format, READERS, verdictOf } from './readers';

const { FUZZ_SEED = '1', FUZZ_RUNS = '2000', FUZZ_SECONDS } = process.env;
const CORPUS = new URL('../../../tests/fuzz/corpus/', import.meta.url);
const FORMATS = Object.keys(READERS) as Format[];
/** What a source says that breaks. */
const LOST = new Error('lost');

const BY_COUNT = { numRuns: Number(FUZZ_RUNS) };
const BY_TIME = { numRuns: 2 ** 31 - 1, interruptAfterTimeLimit: Number(FUZZ_SECONDS) * 1000 };
const PARAMETERS = { seed: Number(FUZZ_SEED), ...(FUZZ_SECONDS ? BY_TIME : BY_COUNT) };
const TIMEOUT = 60_000 + Number(FUZZ_SECONDS ?? 0) * 1000;

/** As it is, and an error for whoever asks on after the end, as a loop that never ends would. */
const endingOnce = (pull: Pull): Pull => {
	let left = 8;
	return async () => {
		const piece = await pull();
		if (!piece && !left--) throw new Error('asks without end');
		return piece;
	};
};

const atOnce = (data: Bytes): Pull => endingOnce(inPieces(data));
/** In some ten pieces, or two for what is short. */
const pieceByPiece = (data: Bytes): Pull =>
	endingOnce(inPieces(data, Math.ceil(data.length / 10) || 1));
const thenLost = (data: Bytes): Pull => once(data, () => Promise.reject(LOST));

/** Frames and keysets come whole. */
const comesInPieces = (format: Format): boolean => !['frame_records', 'keyset'].includes(format);

const breaks = async (format: Format, data: Bytes): Promise<void> => {
	const verdict = await verdictOf(format, data, thenLost).catch((error: unknown) => {
		if (error !== LOST) throw error;
		return null;
	});
	expect(verdict, 'read as whole without an end').toBeNull();
};

/** One mutant; whether it was read. */
const check = async (format: Format, data: Bytes): Promise<boolean> => {
	const verdict = await verdictOf(format, data, atOnce);
	if (comesInPieces(format)) {
		expect(await verdictOf(format, data, pieceByPiece)).toEqual(verdict);
		await breaks(format, data);
	}
	return verdict !== null;
};

describe.each(FORMATS)('%s', (format) => {
	const seeds = seedsOf(CORPUS, format);

	it(
		'is read alike in all pieces, whole or not at all, and refused by our own errors',
		async () => {
			let runs = 0;
			let read = 0;
			await fc.assert(
				fc.asyncProperty(mutantsOf(format, seeds), async (data) => {
					runs += 1;
					read += Number(await check(format, data));
				}),
				PARAMETERS
			);
			expect(read).toBeGreaterThan(runs / 100);
		},
		TIMEOUT
	);
});

const ANSWER = concat(Uint8Array.of(3), varint(200));
const FIELDS_LIMIT = 131_072;
const PIECE = 65_536;

describe('what would never end', () => {
	it.each<[string, Format, Bytes]>([
		['a value', 'binary_http', concat(ANSWER, Uint8Array.of(1, 0x61), varint(FIELDS_LIMIT + 1))],
		['fields', 'binary_http', concat(ANSWER, new Uint8Array(257 * 4).fill(1))],
		['a section', 'binary_http', concat(Uint8Array.of(1), varint(200), varint(2 ** 30))],
		['a chunk', 'ohttp_chunks', varint((1 << 20) + 1)],
		['the final chunk', 'ohttp_chunks', Uint8Array.of(0, 0x46)]
	])('%s is refused before much of it is read', async (_, format, begin) => {
		let taken = 0;
		const endless: Pull = () => {
			taken += PIECE;
			if (taken > 1 << 24) throw new Error('reads without bound');
			return Promise.resolve(new Uint8Array(PIECE).fill(0x61));
		};
		expect(await verdictOf(format, new Uint8Array(), () => once(begin, endless))).toBeNull();
		expect(taken).toBeLessThanOrEqual(format === 'ohttp_chunks' ? (1 << 20) + PIECE : 4 * PIECE);
	});
});
