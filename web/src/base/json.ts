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

/**
 * Refuse an object that names a key twice: two readers could each see another value.
 * Runs after JSON.parse, so the text is known to be well formed.
 */
const refuseDuplicates = (text: string): void => {
	/** The keys of each object that is open here, and null for each list. */
	const open: (Set<string> | null)[] = [];
	let last = '';
	for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,]/g)) {
		if (token === '{') open.push(new Set());
		else if (token === '[') open.push(null);
		else if (token === '}' || token === ']') open.pop();
		else if (token === ':') {
			const keys = open.at(-1);
			const key = JSON.parse(last) as string;
			if (keys?.has(key)) throw new Problem('internal', `two ${key}`);
			keys?.add(key);
		}
		if (open.length > DEPTH_LIMIT) throw new Problem('internal', 'depth');
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
export const parseObject = (text: string): JsonObject => {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Problem('internal', 'JSON');
	}
	if (!isObject(value)) throw new Problem('internal', 'JSON');
	refuseDuplicates(text);
	return value;
};
