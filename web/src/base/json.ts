import { Problem } from './problem';

export type JsonObject = Record<string, unknown>;

export const isObject = (value: unknown): value is JsonObject =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** An own property, or undefined: outside data must not reach Object.prototype. */
export const own = (value: unknown, key: string): unknown =>
	isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;

/** Any value as text, to compare it or to show it; throws TypeError where it has none. */
export const asText = (value: unknown): string => String(value);

/** Objects and lists in one another: whoever writes or reads more of them out runs out of stack. */
const DEPTH_LIMIT = 1000;
/** The same of a signed document; Intel's have 5. */
const DOCUMENT_DEPTH = 32;

/** The strings in a JSON text. */
const STRINGS = '"[^"\\\\]*(?:\\\\[^][^"\\\\]*)*"';

/**
 * Refuse an object that names a key twice: two readers could each see another value.
 * Runs after JSON.parse, so the text is known to be well formed.
 */
const refuseDuplicates = (text: string, depth: number): void => {
	/** The keys of each object that is open here, and null for each list. */
	const open: (Set<string> | null)[] = [];
	let last = '';
	for (const [token] of text.matchAll(new RegExp(`${STRINGS}|[{}[\\]:,]`, 'g'))) {
		if (token === '{') open.push(new Set());
		else if (token === '[') open.push(null);
		else if (token === '}' || token === ']') open.pop();
		else if (token === ':') {
			const keys = open.at(-1);
			const key = JSON.parse(last) as string;
			if (keys?.has(key)) throw new Problem('internal', `two ${key}`);
			keys?.add(key);
		}
		if (open.length > depth) throw new Problem('internal', 'depth');
		last = token;
	}
};

/** Is it JSON at all, whatever it says? A page for people, or an answer cut off, is not. */
export const isJson = (text: string): boolean => {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
};

/** Parse text to a JSON object without duplicate keys; throws `internal`. */
export const parseObject = (text: string, depth = DEPTH_LIMIT): JsonObject => {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Problem('internal', 'JSON');
	}
	if (!isObject(value)) throw new Problem('internal', 'JSON');
	refuseDuplicates(text, depth);
	return value;
};

/** A JSON text without the white space outside of its strings, as programs write it out. */
export const withoutBlanks = (text: string): string =>
	text.replace(new RegExp(`(${STRINGS}?)|[ \\t\\r\\n]+`, 'g'), '$1');

/**
 * Parse a signed document: as `parseObject`, but less deep, and every number is whole, written so,
 * without a sign, and exact for every reader. 1.0 and 1, or -0 and 0, are the same to some only. Throws `internal`.
 */
export const parseDocument = (text: string): JsonObject => {
	const value = parseObject(text, DOCUMENT_DEPTH);
	const outside = text.replace(new RegExp(STRINGS, 'g'), '""');
	for (const [number] of outside.matchAll(/-?\d[\d.eE+-]*/g)) {
		const whole = /^\d+$/.test(number) && Number.isSafeInteger(Number(number));
		if (!whole) throw new Problem('internal', 'number');
	}
	return value;
};
