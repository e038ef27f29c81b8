import { isObject, own, type JsonObject } from '../base/json';
import { EVENTS_MAX } from './eventlog';

/**
 * What was measured, as events of the application's log: the rules of
 * quote_generator/workload/{events,text}.py, to which the vectors hold both.
 */

/** One thing that was measured: its kind, and the members of that kind. */
export interface Fact {
	kind: string;
	content: JsonObject;
}

/** An event of the kit's domain that is no fact as they are known here. Its words are anybody's. */
export interface Unknown {
	kind: string;
	text: string;
	reason: 'kind' | 'text' | 'content';
}

/** What a log says of now. Without a start no fact counts. */
export interface Present {
	starts: number;
	/** In the order of their latest events. */
	facts: Fact[];
	unknown: Unknown[];
}

/** Of the kit's own events. */
export const DOMAIN = 'cczoo';
const START = 'cczoo start {"v":1}';

/** Characters of a fact's text, and how deep objects and lists may lie in one another. */
const TEXT_MAX = 16 << 10;
const NESTING_MAX = 8;

const NO_TEXT = new TypeError('no canonical text');
const HALF = /\p{Surrogate}/u;

const textOf = (text: string): string => {
	if (HALF.test(text)) throw NO_TEXT;
	const spelled = text.replace(/["\\]|[^!-~]/g, (unit) =>
		/["\\]/.test(unit) ? `\\${unit}` : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
	);
	return `"${spelled}"`;
};

const keyOf = (key: string): string => {
	if (!/^[!-~]{1,64}$/.test(key)) throw NO_TEXT;
	return textOf(key);
};

const written = (value: unknown, depth: number): string => {
	if (value === null || typeof value === 'boolean') return String(value);
	if (typeof value === 'string') return textOf(value);
	if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
	if (depth > NESTING_MAX) throw NO_TEXT;
	if (Array.isArray(value)) return `[${value.map((item) => written(item, depth + 1)).join()}]`;
	if (!isObject(value)) throw NO_TEXT;
	const members = Object.keys(value)
		.sort()
		.map((key) => `${keyOf(key)}:${written(value[key], depth + 1)}`);
	return `{${members.join()}}`;
};

/** The canonical text of a fact's content: one value has one spelling; throws where it has none. */
export const canonicalText = (content: JsonObject): string => {
	const text = written(content, 1);
	if (text.length > TEXT_MAX) throw NO_TEXT;
	return text;
};

/** The content of a canonical text, or undefined for every other text. */
const parseCanonical = (text: string): JsonObject | undefined => {
	if (text.length > TEXT_MAX) return undefined;
	try {
		const value: unknown = JSON.parse(text);
		// What is spelled otherwise (spaces, order, escapes, repeated keys, 1.0, -0) is told apart so.
		return isObject(value) && canonicalText(value) === text ? value : undefined;
	} catch {
		return undefined;
	}
};

type Check = (value: unknown) => boolean;

const matches =
	(pattern: RegExp, orNull = true): Check =>
	(value) =>
		value === null ? orNull : typeof value === 'string' && pattern.test(value);
const textUpTo =
	(length: number): Check =>
	(value) =>
		typeof value === 'string' && value.length > 0 && value.length <= length;

/** SHA-256, or null where there is nothing to have one; of models also as the kernel keeps them. */
const isDigest = matches(/^sha256:[\da-f]{64}$/);
const isModelDigest = matches(/^(?:fsverity:)?sha256:[\da-f]{64}$/);
const isWay = matches(/^(?:plugin|source)$/, false);
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isWord = textUpTo(64);
const isName = textUpTo(512);

const DIGEST = { digest: isDigest };
const CODE = { members: { ...DIGEST, id: isName, type: isWord }, names: ['id'] };

/** Which members facts of a kind have beside `v`, and which of them are its name. */
const KINDS: Readonly<
	Record<string, { members: Readonly<Record<string, Check>>; names?: readonly string[] }>
> = {
	start: { members: {} },
	kit: { members: { ...DIGEST, version: isWord } },
	'open-webui': { members: { ...DIGEST, version: isWord, way: isWay } },
	'front-end': { members: DIGEST },
	page: { members: DIGEST },
	environment: {
		members: {
			...DIGEST,
			bytecode: isDigest,
			distributions: isCount,
			python: isDigest,
			python_version: isWord,
			unlisted: isDigest,
			unlisted_files: isCount
		}
	},
	function: CODE,
	tool: CODE,
	// Two servers may each have a model of that name, and the one must not hide the other.
	model: {
		members: { digest: isModelDigest, name: isName, server: isName },
		names: ['server', 'name']
	},
	settings: { members: DIGEST }
};

/** Is there such a kind of facts? */
export const isKind = (kind: string): boolean => Object.hasOwn(KINDS, kind);

/** The fact of a kind and its content, or undefined where it is not what it must be. */
export const makeFact = (kind: string, content: JsonObject): Fact | undefined => {
	const found = isKind(kind) ? KINDS[kind] : undefined;
	if (!found) return undefined;
	const checks: Record<string, Check> = { v: (value) => value === 1, ...found.members };
	const names = Object.keys(checks);
	const isGood =
		Object.keys(content).length === names.length &&
		names.every((name) => checks[name]?.(own(content, name)));
	return isGood ? { kind, content } : undefined;
};

/** What a later fact must have in common with this one to take its place. */
export const placeOf = ({ kind, content }: Fact): string =>
	JSON.stringify([kind, ...(KINDS[kind]?.names ?? []).map((name) => content[name])]);

/** An event's line up to and after its first space. */
const parted = (text: string): [string, string] => {
	const at = text.indexOf(' ');
	return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
};

const understood = (kind: string, text: string): Fact | Unknown => {
	if (!isKind(kind)) return { kind, text, reason: 'kind' };
	const content = parseCanonical(text);
	if (!content) return { kind, text, reason: 'text' };
	return makeFact(kind, content) ?? { kind, text, reason: 'content' };
};

/**
 * What the lines of an application's log say of now, oldest line first; lines of other domains are
 * left aside. What they prove, and whether the register has them, is for the caller to know.
 */
export const presentFacts = (lines: readonly string[]): Present => {
	if (lines.length > EVENTS_MAX) throw new TypeError('too many events');
	const starts = lines.filter((line) => line === START).length;
	const facts = new Map<string, Fact>();
	const unknown: Unknown[] = [];
	for (const line of starts ? lines.slice(lines.lastIndexOf(START) + 1) : []) {
		const [domain, rest] = parted(line);
		if (domain !== DOMAIN) continue;
		const found = understood(...parted(rest));
		if ('reason' in found) {
			unknown.push(found);
			continue;
		}
		const place = placeOf(found);
		facts.delete(place); // so that it stands at the end
		if (found.content.digest !== null) facts.set(place, found);
	}
	return { starts, facts: [...facts.values()], unknown };
};
