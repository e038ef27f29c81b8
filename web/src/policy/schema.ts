import { isObject } from '../base/json';

/** The part of JSON Schema (2020-12) that the schema uses; a test holds it to that. */
export interface Schema {
	type?: string;
	const?: unknown;
	enum?: unknown[];
	pattern?: string;
	minimum?: number;
	maximum?: number;
	items?: Schema;
	minItems?: number;
	maxItems?: number;
	uniqueItems?: boolean;
	properties?: Record<string, Schema>;
	patternProperties?: Record<string, Schema>;
	required?: string[];
	additionalProperties?: boolean;
}

const typeOf = (value: unknown): string => {
	if (Array.isArray(value)) return 'array';
	if (value === null) return 'null';
	return Number.isInteger(value) ? 'integer' : typeof value;
};

const matches = (pattern: string, text: string): boolean => new RegExp(pattern, 'u').test(text);

/** Is a number, or a length, outside of what the schema allows? A bound that is not there is none. */
const isOutside = (value: number, min = -Infinity, max = Infinity): boolean =>
	!(value >= min && value <= max);

/** Does the schema refuse the value by itself, whatever is inside it? */
const refuses = (wanted: Schema, value: unknown): boolean => {
	if (wanted.type !== undefined && typeOf(value) !== wanted.type) return true;
	if ('const' in wanted && value !== wanted.const) return true;
	if (wanted.enum && !wanted.enum.includes(value)) return true;
	if (typeof value === 'string') {
		return wanted.pattern !== undefined && !matches(wanted.pattern, value);
	}
	if (typeof value === 'number') return isOutside(value, wanted.minimum, wanted.maximum);
	if (!Array.isArray(value)) return false;
	if (wanted.uniqueItems && new Set(value).size < value.length) return true;
	return isOutside(value.length, wanted.minItems, wanted.maxItems);
};

/** The schema of a member by its name, or undefined where none is said to be there. */
const memberOf = (
	{ properties = {}, patternProperties = {} }: Schema,
	name: string
): Schema | undefined => {
	if (Object.hasOwn(properties, name)) return properties[name];
	return Object.entries(patternProperties).find(([pattern]) => matches(pattern, name))?.[1];
};

/** The path of the first member of an object that the schema refuses; null: all is well. */
const violationInObject = (value: object, wanted: Schema, path: string): string | null => {
	const missing = wanted.required?.find((name) => !Object.hasOwn(value, name));
	if (missing !== undefined) return `${path}/${missing}`;
	for (const [name, member] of Object.entries(value)) {
		const inside = memberOf(wanted, name);
		const below = `${path}/${name}`;
		if (!inside && wanted.additionalProperties === false) return below;
		const found = inside ? violation(member, inside, below) : null;
		if (found !== null) return found;
	}
	return null;
};

/** The path of the first member that the schema refuses, as a JSON pointer; null: all is well. */
export const violation = (value: unknown, wanted: Schema, path = ''): string | null => {
	if (refuses(wanted, value)) return path || '/';
	if (isObject(value)) return violationInObject(value, wanted, path);
	const items: unknown[] = Array.isArray(value) ? value : [];
	for (const [at, item] of items.entries()) {
		const found = wanted.items ? violation(item, wanted.items, `${path}/${at}`) : null;
		if (found !== null) return found;
	}
	return null;
};
