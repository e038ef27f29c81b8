import { toUtf8 } from './encoding';
import { isObject } from './json';
import { Problem } from './problem';

const refuse = (what: string): never => {
	throw new Problem('internal', what);
};

/** Half of a surrogate pair: no text has it alone (RFC 8785 section 3.2.2.2). */
const HALF = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

const writeText = (text: string): string =>
	HALF.test(text) ? refuse('text') : JSON.stringify(text);

const writeNumber = (number: number): string =>
	Number.isFinite(number) ? JSON.stringify(number) : refuse('number');

const write = (value: unknown): string => {
	if (typeof value === 'string') return writeText(value);
	if (typeof value === 'number') return writeNumber(value);
	if (value === null || typeof value === 'boolean') return String(value);
	if (Array.isArray(value)) return `[${value.map(write).join()}]`;
	if (!isObject(value)) return refuse('value');
	// By UTF-16 code units, which is how texts compare here.
	const members = Object.keys(value)
		.sort()
		.map((name) => `${writeText(name)}:${write(value[name])}`);
	return `{${members.join()}}`;
};

/**
 * The canonical JSON of a parsed value (RFC 8785), in bytes; throws `internal` for what has none.
 *
 * Numbers and texts are spelt there as ECMAScript spells them.
 */
export const canonicalJson = (value: unknown): Uint8Array<ArrayBuffer> => toUtf8(write(value));
