import type { Environment } from '../base/environment';
import { parseObject } from '../base/json';
import { READING, STORES, type Sections } from '../evidence/statement';
import { doubtOf } from '../policy/notes';
import { isSecret } from '../policy/workload';
import { WORKLOAD_KEY } from './settings';

/**
 * What this browser remembers of what a server stated and measured: trust on first use, each thing
 * with its day. What comes new is remembered as well; what differs is told until somebody accepts it.
 */

/** Characters of the stored memory. */
const TEXT_LIMIT = 1 << 20;

/** What differs from what is remembered: what it is about, in anybody's words, and since when. */
export interface Difference {
	code:
		| 'other-files'
		| 'other-settings'
		| 'other-weights'
		| 'other-place'
		| 'other-code'
		| 'not-measured'
		| 'new'
		| 'less-secret'
		| 'may-read'
		| 'not-remembered';
	what: string;
	name: string;
	/** A day (RFC 3339); empty where nothing was remembered of it. */
	since: string;
}

/**
 * A thing: its kind, its name, what was so, where that is, and since which day. Values of kinds:
 * a fact's digest; a model's digest (empty: none was known) and place; a function's digest; nothing
 * else for a way, for a store that was kept from others, and for what administrators may not do.
 */
export type Thing = readonly [
	what: string,
	name: string,
	value: string,
	place: string,
	day: string
];

/** By what and name. */
export type Remembered = ReadonlyMap<string, Thing>;

type Memory = Environment['memory'];

const keyOf = (what: string, name: string): string => JSON.stringify([what, name]);

const FILES = ['kit', 'open-webui', 'front-end', 'page', 'environment'];
/** What a log proves by itself, to anybody. */
const LOGGED = ['log', 'settings', ...FILES];
const MODEL_SERVERS = ['openai', 'ollama'];
/** Digests of the environment beside its own. */
const PARTS = ['python', 'unlisted', 'bytecode'];

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** What a statement says, as it is remembered; of models with one name the most doubtful one. */
export const thingsOf = (sections: Sections, now: number): Remembered => {
	const day = new Date(now).toISOString().slice(0, 10);
	const things = new Map<string, Thing>();
	const add = (what: string, name: string, value = '', place = ''): void => {
		things.set(keyOf(what, name), [what, name, value, place, day]);
	};
	const { measured, models, connections, functions, storage, people } = sections;
	if (measured?.log === 'written') add('log', '');
	for (const { kind, content } of measured?.facts ?? []) {
		if (!FILES.includes(kind) && kind !== 'settings') continue;
		add(kind, '', text(content.digest));
		for (const part of kind === 'environment' ? PARTS : []) {
			if (text(content[part])) add(kind, part, text(content[part]));
		}
	}
	for (const model of models?.offered ?? []) {
		const doubt = doubtOf(model);
		const where = doubt === 'being-measured' ? 'inside' : doubt;
		const known = things.get(keyOf('model', model.id));
		if (known && known[3] !== 'inside') continue;
		// A server inside may be on another port at each start.
		const place = where === 'inside' ? where : `${where} ${model.address ?? ''}`;
		add('model', model.id, text(model.digest), place);
	}
	// After a start a model server is not known until its models are listed.
	const isOpen = !models?.listed || models.left_out !== 0;
	for (const { kind, where, address } of connections?.ways ?? []) {
		if (where === 'inside' || where === 'off') continue;
		if (isOpen && where === 'not-known' && MODEL_SERVERS.includes(kind)) continue;
		add('connection', address ? `${kind} ${address}` : kind);
	}
	for (const { id, type, active, digest } of functions?.present ?? []) {
		if (active) add(type === 'tool' ? type : 'function', id, text(digest));
	}
	for (const name of STORES) {
		const store = storage?.[name];
		if (store && isSecret(store)) add('storage', name);
	}
	for (const name of READING) if (people?.[name] === false) add('people', name);
	return things;
};

/** What is new of these is told; where a model is that is new is on show anyway. */
const TOLD_WHEN_NEW = ['function', 'tool', 'connection'];
/** What is missed where it is not so any more, and how that is called. */
const MISSED: Readonly<Record<string, Difference['code']>> = {
	log: 'not-measured',
	storage: 'less-secret',
	people: 'may-read'
};
/** In which order differences are told. */
const ORDER = [
	'log',
	...FILES,
	'settings',
	'model',
	'function',
	'tool',
	'connection',
	'storage',
	'people'
];

/** How it is called that something is there with another value. */
const otherCode = (what: string): Difference['code'] => {
	if (what === 'model') return 'other-weights';
	if (what === 'settings') return 'other-settings';
	return FILES.includes(what) ? 'other-files' : 'other-code';
};

/** How it is called that something is not there any more; undefined where that takes nothing away. */
const goneCode = (now: Remembered, what: string, name: string): Difference['code'] | undefined => {
	if (!FILES.includes(what)) return Object.hasOwn(MISSED, what) ? MISSED[what] : undefined;
	if (name === '') return 'not-measured';
	return now.has(keyOf(what, '')) ? 'other-files' : undefined;
};

/** What of these things is not as it is remembered. */
export const differencesOf = (before: Remembered, now: Remembered): Difference[] => {
	const all: Difference[] = [];
	for (const [key, [what, name, value, place]] of now) {
		const known = before.get(key);
		if (!known) {
			if (TOLD_WHEN_NEW.includes(what)) all.push({ code: 'new', what, name, since: '' });
			continue;
		}
		const [, , oldValue, oldPlace, since] = known;
		// A model that is being measured is known again in a while.
		const isKnown = what !== 'model' || (value !== '' && oldValue !== '');
		if (isKnown && value !== oldValue) all.push({ code: otherCode(what), what, name, since });
		if (place !== oldPlace) all.push({ code: 'other-place', what, name, since });
	}
	for (const [key, [what, name, , , since]] of before) {
		const code = now.has(key) ? undefined : goneCode(now, what, name);
		if (code) all.push({ code, what, name, since });
	}
	return all.sort((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what));
};

/**
 * What is remembered of two looks between which nothing differs: what is so now, with its older day,
 * and what was known of models, which outlasts that they are gone, or measured anew.
 */
export const together = (before: Remembered, now: Remembered): Remembered => {
	const all = new Map([...before].filter(([, [what]]) => what === 'model'));
	for (const [key, thing] of now) {
		const [what, name, value, place] = thing;
		const known = before.get(key);
		all.set(
			key,
			known ? [what, name, what === 'model' ? value || known[2] : value, place, known[4]] : thing
		);
	}
	return all;
};

const isThing = (value: unknown): value is Thing =>
	Array.isArray(value) && value.length === 5 && value.every((one) => typeof one === 'string');

/** What is remembered of this origin, or null where nothing is; throws for what is not whole. */
export const recallWorkload = (memory: Memory): Remembered | null => {
	const stored = memory.getItem(WORKLOAD_KEY);
	if (stored === null) return null;
	if (stored.length > TEXT_LIMIT) throw new Error('size');
	const { v, things } = parseObject(stored);
	if (v !== 1 || !Array.isArray(things) || !things.every(isThing)) throw new Error('shape');
	return new Map(things.map((thing) => [keyOf(thing[0], thing[1]), thing]));
};

/**
 * Throws where storage does, and where it is too much: what is not remembered must not pass for what
 * is. Left as it is where nothing is new: to other tabs a text that changes is news.
 */
export const rememberWorkload = (memory: Memory, things: Remembered): void => {
	const stored = JSON.stringify({ v: 1, things: [...things.values()] });
	if (stored.length > TEXT_LIMIT) throw new Error('size');
	if (stored !== memory.getItem(WORKLOAD_KEY)) memory.setItem(WORKLOAD_KEY, stored);
};

/** Not remembered must not pass for not changed. */
const LOST: Difference = { code: 'not-remembered', what: 'memory', name: '', since: '' };

const isLogged = ([, [what]]: [string, Thing]): boolean => LOGGED.includes(what);

/**
 * Trust on first use: what differs from what is remembered of this origin.
 *
 * @param logged Are these things of the log alone, where nobody may see the rest?
 */
export const compareWorkload = (memory: Memory, now: Remembered, logged = false): Difference[] => {
	try {
		const before = recallWorkload(memory);
		if (!before) return [];
		return differencesOf(logged ? new Map([...before].filter(isLogged)) : before, now);
	} catch {
		return [LOST];
	}
};

/** Remember what is new, where nothing differs; returns what keeps it from that. */
export const keepWorkload = (memory: Memory, now: Remembered): Difference[] => {
	try {
		const before = recallWorkload(memory);
		rememberWorkload(memory, before ? together(before, now) : now);
		return [];
	} catch {
		return [LOST];
	}
};
