/** What lies outside of web/: the vectors of tests/vectors, which the Python code reads as well. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bytes } from './bytes';

/** A path of the repository. No URL: where tests have a document, that would be its server's. */
const outside = (path: string): string => join(import.meta.dirname, '../../..', path);

/** The JSON of tests/vectors/<name>.json. */
export const readVectors = (name: string): unknown =>
	JSON.parse(readFileSync(outside(`tests/vectors/${name}.json`), 'utf8'));

/** A sample of real hardware, or null where those do not lie beside the project. */
export const readSample = (name: string): Bytes | null => {
	const file = outside(`../shared/data/${name}`);
	return existsSync(file) ? Buffer.from(readFileSync(file)) : null;
};
