/**
 * The page's readers of what comes sealed, for page_readers.py: JSON lines on stdin and stdout.
 *
 *     {"format": "keyset", "data": "<base64>"}   what it makes of an input
 *     {"format": "keyset", "number": 17}         of the mutant of this number, given back as `data`
 *
 * Answer: {"data", "read"}, what was read, or null where it is refused. What throws another error
 * than the page's own ends this program.
 */
import { createInterface } from 'node:readline';
import { load } from '../conformance/page_module.mjs';

const ENTRY = `
export { sample } from 'fast-check';
export { mutantsOf, seedsOf } from './test/fuzz/mutants';
export { READERS, verdictOf } from './test/fuzz/readers';
export { inPieces } from './test/support/pieces';
`;
const CORPUS = new URL('corpus/', import.meta.url);

const page = await load('readers', ENTRY, ['src', 'test/fuzz', 'test/support']);

const mutants = Object.fromEntries(
	Object.keys(page.READERS).map((format) => [
		format,
		page.mutantsOf(format, page.seedsOf(CORPUS, format))
	])
);

const bytesOf = ({ format, data, number }) =>
	data === undefined
		? page.sample(mutants[format], { seed: number, numRuns: 1 })[0]
		: Uint8Array.from(Buffer.from(data, 'base64'));

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
	const asked = JSON.parse(line);
	const data = bytesOf(asked);
	const read = await page.verdictOf(asked.format, data, (bytes) => page.inPieces(bytes));
	const answer = { data: Buffer.from(data).toString('base64'), read };
	process.stdout.write(`${JSON.stringify(answer)}\n`);
}
