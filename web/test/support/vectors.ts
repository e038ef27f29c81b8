/** What lies outside of web/: the vectors of tests/vectors, which the Python code reads as well. */
import { existsSync, readFileSync } from 'node:fs';
import type { Bytes } from './bytes';

/** The JSON of tests/vectors/<name>.json. */
export const readVectors = (name: string): unknown =>
	JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), 'utf8'));

/** A sample of real hardware, or null where those do not lie beside the project. */
export const readSample = (name: string): Bytes | null => {
	const file = new URL(`../../../../shared/data/${name}`, import.meta.url);
	return existsSync(file) ? Buffer.from(readFileSync(file)) : null;
};
