import { canonicalJson } from '../base/canonical';
import { toBase64url } from '../base/encoding';
import { isObject, own, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import { isKind, makeFact, placeOf, type Fact } from './facts';

/**
 * What this server's software states of itself: the quote binds a digest of each section, and callers
 * with an account get the sections. What has the wrong form is refused; members that are not known
 * here are let be, as they are told and not trusted.
 */

const MODEL = {
	id: isText,
	name: isText,
	where: isText,
	why: isText,
	address: isTextOrNull,
	digest: isTextOrNull
};
const WAY = { kind: isText, where: isText, why: isText, address: isTextOrNull };
const CODE = { id: isText, type: isText, digest: isTextOrNull, active: isFlag };
const STORE = {
	kind: isText,
	secrecy: isText,
	integrity: isText,
	service: isText,
	addresses: listOf(isText),
	told: listOf(isText)
};

/** Where a model that is offered answers. */
export type Model = Shaped<typeof MODEL, 'id' | 'where'>;
/** A way by which words may leave. */
export type Way = Shaped<typeof WAY, 'kind' | 'where'>;
/** A function or a tool. */
export type Code = Shaped<typeof CODE, 'id' | 'type' | 'active'>;
/** Where something lies. */
export type Store = Shaped<typeof STORE, 'kind'>;

/** The places of which a policy asks, and those that are told besides. */
export const STORES_ASKED = [
	'chats',
	'uploads',
	'vectors',
	'cache',
	'temporary',
	'secret_key'
] as const;
export const STORES_TOLD = ['audit_log', 'logs', 'objects', 'redis', 'swap'] as const;
export const STORES = [...STORES_ASKED, ...STORES_TOLD];
export type StoreName = (typeof STORES)[number];

/** What administrators may do with others' chats. */
export const READING = ['administrators_read_chats', 'administrators_export'] as const;

/** The sections, each with whatever members it has. */
export interface Sections {
	models?: { listed?: boolean; left_out?: number; offered?: Model[] };
	connections?: { left_out?: number; ways?: Way[] };
	functions?: { listed?: boolean; active?: number; left_out?: number; present?: Code[] };
	people?: Partial<Record<(typeof READING)[number] | 'channels', boolean | string>>;
	storage?: Partial<Record<StoreName, Store>>;
	sealing?: { mode?: string; receipts?: boolean };
	measured?: { log?: string; why?: string; facts?: Fact[] };
}

/** The digests of a statement's sections, by their names. */
export type Digests = ReadonlyMap<string, string>;

type Check<Value> = (value: unknown) => value is Value;
type Checked<C> = C extends Check<infer Value> ? Value : never;
/** An object by the checks of its members, of which some must be there. */
type Shaped<Members, Needed extends keyof Members> = {
	[name in Needed]: Checked<Members[name]>;
} & { [name in Exclude<keyof Members, Needed>]?: Checked<Members[name]> };

function isText(value: unknown): value is string {
	return typeof value === 'string';
}
function isTextOrNull(value: unknown): value is string | null {
	return value === null || isText(value);
}
function isFlag(value: unknown): value is boolean {
	return typeof value === 'boolean';
}
function isFlagOrText(value: unknown): value is boolean | string {
	return isFlag(value) || isText(value);
}
function isCount(value: unknown): value is number {
	return Number.isSafeInteger(value) && Number(value) >= 0;
}
function listOf<Value>(check: Check<Value>): Check<Value[]> {
	return (value): value is Value[] => Array.isArray(value) && value.every(check);
}

/** An object whose members, as far as they are there, are as they must be. */
const shapedBy =
	(members: Readonly<Record<string, Check<unknown>>>, needed: readonly string[] = []) =>
	(value: unknown): value is JsonObject =>
		isObject(value) &&
		needed.every((name) => Object.hasOwn(value, name)) &&
		Object.entries(members).every(
			([name, check]) => !Object.hasOwn(value, name) || check(value[name])
		);

const isStore = shapedBy(STORE, ['kind']);

/** A kind and its content: of a kind that is known, and then as it must be, or of a later one. */
const isStated = (value: unknown): value is [string, JsonObject] => {
	if (!Array.isArray(value) || value.length !== 2) return false;
	const [kind, content] = value as unknown[];
	if (!isText(kind) || !isObject(content)) return false;
	return !isKind(kind) || (content.digest !== null && makeFact(kind, content) !== undefined);
};

const FORMS: Readonly<Record<keyof Sections, Check<unknown>>> = {
	models: shapedBy({
		listed: isFlag,
		left_out: isCount,
		offered: listOf(shapedBy(MODEL, ['id', 'where']))
	}),
	connections: shapedBy({ left_out: isCount, ways: listOf(shapedBy(WAY, ['kind', 'where'])) }),
	functions: shapedBy({
		listed: isFlag,
		active: isCount,
		left_out: isCount,
		present: listOf(shapedBy(CODE, ['id', 'type', 'active']))
	}),
	people: shapedBy(
		Object.fromEntries([...READING, 'channels'].map((name) => [name, isFlagOrText]))
	),
	storage: shapedBy(Object.fromEntries(STORES.map((name) => [name, isStore]))),
	sealing: shapedBy({ mode: isText, receipts: isFlag }),
	measured: shapedBy({ log: isText, why: isText, facts: listOf(isStated) })
};

const SECTIONS_MAX = 64;

const NAME = /^[a-z][\w-]{0,63}$/;

/** Refuse it, by a section's name where that is one, or by what is wrong. */
const mismatch = (detail: string): never => {
	throw new Problem('statement-mismatch', NAME.test(detail) ? detail : 'sections');
};

/** The digests of a statement, or undefined where it has none; throws `statement-mismatch`. */
export const parseStatement = (statement: unknown): Digests | undefined => {
	if (!isObject(statement)) return mismatch('statement');
	if (!Object.hasOwn(statement, 'sections')) return undefined;
	if (statement.v !== 1) mismatch('v');
	const { sections } = statement;
	if (!isObject(sections)) return mismatch('sections');
	const entries = Object.entries(sections);
	if (entries.length > SECTIONS_MAX) mismatch('sections');
	return new Map(
		entries.map(([name, digest]) => {
			const isGood = NAME.test(name) && isText(digest) && /^[\w-]{43}$/.test(digest);
			return isGood ? [name, digest] : mismatch(name);
		})
	);
};

/** SHA-256 of a value's canonical JSON in base64url; throws for what has none. */
const digestOf = async (subtle: SubtleCrypto, value: unknown): Promise<string> =>
	toBase64url(new Uint8Array(await subtle.digest('SHA-256', canonicalJson(value))));

const readFacts = (stated: unknown): Fact[] | undefined => {
	if (stated === undefined) return undefined;
	const facts = (stated as [string, JsonObject][]).flatMap(
		([kind, content]) => makeFact(kind, content) ?? []
	);
	if (new Set(facts.map(placeOf)).size < facts.length) mismatch('measured');
	return facts;
};

/**
 * The sections that a caller got, each of which must hash to its entry in the statement: none is
 * missing, and none is there besides. Throws `statement-mismatch`.
 */
export const readSections = async (
	subtle: SubtleCrypto,
	digests: Digests,
	given: unknown
): Promise<Sections> => {
	if (!isObject(given)) return mismatch('statement_sections');
	const names = Object.keys(given);
	const strange = names.find((name) => !digests.has(name));
	if (strange !== undefined) mismatch(strange);
	for (const [name, digest] of digests) {
		const found = await digestOf(subtle, own(given, name)).catch(() => undefined);
		if (found !== digest) mismatch(name);
	}
	const wrong = names.find((name) => {
		const check = Object.hasOwn(FORMS, name) ? FORMS[name as keyof Sections] : isObject;
		return !check(given[name]);
	});
	if (wrong !== undefined) mismatch(wrong);
	const { measured } = given;
	const sections = { ...given } as Sections;
	if (isObject(measured)) {
		sections.measured = { ...measured, facts: readFacts(measured.facts) };
	}
	return sections;
};
