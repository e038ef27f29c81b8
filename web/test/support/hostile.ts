/** Text of the kinds that break pages, for every place where text from outside can stand. */
import { readVectors } from './vectors';

const { texts, own_words } = readVectors('hostile_texts') as {
	/** Each by its name: what it repeats, and how often. */
	texts: Record<string, [unit: string, times: number]>;
	/** Where a verdict has the kit's own words, or an address in its one spelling (base/address.ts). */
	own_words: string[];
};

/** The texts by their names. */
export const HOSTILE: [name: string, text: string][] = Object.entries(texts).map(
	([name, [unit, times]]) => [name, unit.repeat(times)]
);

/** The same verdict with this text in the place of every other that is not the kit's own word. */
export const poisoned = <T>(value: T, text: string, path: string[] = []): T => {
	const inside = (part: unknown, name: string) => poisoned(part, text, [...path, name]);
	if (typeof value === 'string') return (own_words.includes(path.join('.')) ? value : text) as T;
	if (Array.isArray(value)) return value.map((part) => inside(part, '*')) as T;
	if (value === null || typeof value !== 'object') return value;
	const parts = Object.entries(value).map(([name, part]) => [name, inside(part, name)]);
	return Object.fromEntries(parts) as T;
};
