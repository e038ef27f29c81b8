/** What the fuzz gives the page's readers: the seeds in tests/fuzz/corpus, cut and spliced. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { toUtf8 } from '../../src/base/encoding';
import { bigEndian, type Bytes, concat, varint } from '../../src/transport/bytes';
import type { Format } from './readers';

type Gives = fc.Arbitrary<Bytes>;

/** At the bounds of lengths, and of what says them. */
const LENGTHS = [0, 1, 63, 64, 255, 256, 257, 16_383, 16_384, 65_535, 65_536, 131_072, 131_073];
const NUMBERS = [...LENGTHS, 1 << 20, (1 << 20) + 1, (1 << 24) - 1, 2 ** 30, 2 ** 32 - 1, 2 ** 53];

const bytes = (most: number): Gives =>
	fc.uint8Array({ maxLength: most }).map((some) => Uint8Array.from(some));

/** Mostly few of something, now and then as many as a bound has to stop. */
const content = (byte: number): Gives =>
	fc.oneof(
		{ weight: 9, arbitrary: bytes(8) },
		{ weight: 1, arbitrary: fc.constantFrom(...LENGTHS).map((n) => new Uint8Array(n).fill(byte)) }
	);

const LETTER = 0x61;
const counted = (data: Bytes): Bytes => concat(varint(data.length), data);

/** One field, or a row of them. */
const fields: Gives = fc
	.tuple(
		fc.constantFrom('a', 'content-length', 'content-encoding', 'set-cookie'),
		content(LETTER),
		fc.constantFrom(1, 1, 1, 2, 3, 256, 257)
	)
	.map(([name, value, count]) => {
		const field = concat(counted(toUtf8(name)), counted(value));
		return concat(
			...Array.from({ length: field.length > 999 ? Math.min(count, 3) : count }, () => field)
		);
	});
const chunk: Gives = content(LETTER).map(counted);
const padded: Gives = fc
	.tuple(content(LETTER), content(0))
	.map(([data, zeros]) =>
		concat(...[data, zeros].map(({ length }) => bigEndian(length, 3)), data, zeros)
	);
const record: Gives = fc
	.tuple(fc.integer({ min: 0, max: 7 }), content(LETTER))
	.map(([type, data]) => concat(Uint8Array.of(type), bigEndian(data.length, 4), data));
const MEMBERS = [
	...['null', 'true', '0', '1', '2', '1.0', '1e400', '-0', '""', '[]', '{}', '"\\ud800"', '[[]]'],
	...['"v":1,', '"not_after":', '"2028-02-30T09:00:00Z"', '"0001-01-01T00:00:00Z"'],
	...['"2027-01-15T24:00:00Z"', '"9999-12-31T23:59:59Z"', '"0000-01-01T00:00:00Z"', ',', '\u00a0']
];
const member: Gives = fc.constantFrom(...MEMBERS).map(toUtf8);

/** What a format is made of, well formed by itself. */
const UNITS: Record<Format, Gives> = {
	binary_http: fc.oneof(fields, chunk),
	ohttp_chunks: fc.oneof(
		content(LETTER).map((text) => counted(concat(toUtf8('-'), text))),
		content(LETTER).map((text) => concat(varint(0), toUtf8('F'), text))
	),
	padded_body: padded,
	frame_records: record,
	keyset: member,
	answer_body: fc.oneof(fields, chunk, padded)
};

/** Answers of which the body is padded, of the length that they say. */
const paddedAnswers = (): Bytes[] =>
	['', 'hello', 'a longer answer '.repeat(20)].map((text) => {
		const data = toUtf8(text);
		const body = concat(bigEndian(data.length, 3), bigEndian(7, 3), data, new Uint8Array(7));
		const said = ['content-encoding', 'tee-padded', 'tee-content-length', `${data.length}`];
		const head = concat(Uint8Array.of(3), varint(200), ...said.map((one) => counted(toUtf8(one))));
		return concat(head, varint(0), counted(body), new Uint8Array(2));
	});

/** A folder of seeds, those that are accepted and those that are not. */
const read = (corpus: URL, folder: string): Bytes[] => {
	const at = new URL(`${folder}/`, corpus);
	return readdirSync(at)
		.sort()
		.map((name) => Uint8Array.from(readFileSync(new URL(name, at))));
};

export const seedsOf = (corpus: URL, format: Format): Bytes[] =>
	format === 'answer_body'
		? [...paddedAnswers(), ...read(corpus, 'binary_http')]
		: read(corpus, format);

/** A place in bytes that shrinks towards their beginning. */
const place = fc.nat(0xffff);

/** Seeds with up to four splices: some bytes go, others come, be they of another seed. */
export const mutantsOf = (format: Format, seeds: Bytes[]): Gives => {
	const seed = fc.constantFrom(...seeds);
	const slice = fc
		.tuple(seed, place, place)
		.map(([from, at, length]) => from.slice(at % (from.length + 1)).slice(0, length % 64));
	const numbers = fc
		.tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(0, 2, 3, 4))
		.map(([number, width]) => (width ? bigEndian(number, width) : varint(number)));
	const coming = fc.oneof(bytes(4), numbers, slice, UNITS[format], fc.constant(new Uint8Array()));
	const going = fc.constantFrom(0, 0, 1, 1, 2, 4, 8, 64, Infinity);
	const splice = fc.record({ at: place, going, coming });
	return fc.tuple(seed, fc.array(splice, { maxLength: 4 })).map(([begin, splices]) =>
		splices.reduce((data, { at, going: gone, coming: come }) => {
			const where = at % (data.length + 1);
			return concat(
				data.subarray(0, where),
				come,
				data.subarray(Math.min(where + gone, data.length))
			);
		}, begin)
	);
};
