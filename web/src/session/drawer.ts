/**
 * What an account has for itself of what this browser keeps: its settings, what it accepted, and how
 * strict it was asked to be. All else only ever makes pages stricter, and is everybody's.
 */
import type { Whose } from '../base/account';
import type { Environment, Marks } from '../base/environment';
import { markedStorage } from './marks';
import { ENFORCEMENT_KEY, isOwnSay, MEMORY_KEY, STORAGE_KEY, WORKLOAD_KEY } from './settings';

/** By the names that all of the page knows. */
export const OWN: readonly string[] = [STORAGE_KEY, MEMORY_KEY, WORKLOAD_KEY, ENFORCEMENT_KEY];

type Memory = Environment['memory'];
/** What this browser keeps, by the names that the rest of the page knows. */
type Drawer = Pick<Environment, 'memory' | 'marks'>;

/** The name under which this browser keeps it. */
export const nameFor = (whose: Whose, name: string): string =>
	OWN.includes(name) ? name + (whose ?? '') : name;

/** An account's own things. */
const ownDrawer = (storage: Memory, marks: Marks, whose: string): Drawer => {
	const named = (name: string) => nameFor(whose, name);
	return {
		memory: {
			getItem: (name) => storage.getItem(named(name)),
			setItem: (name, value) => {
				storage.setItem(named(name), value);
			},
			removeItem: (name) => {
				storage.removeItem(named(name));
			}
		},
		marks: {
			get: (name) => marks.get(named(name)),
			set: (name, text) => {
				marks.set(named(name), text);
			},
			follow: (name, before, text) => {
				marks.follow(named(name), before, text);
			}
		}
	};
};

/**
 * Nobody's: what was there before can be read, and what is written lasts as long as the page. Whatever
 * somebody chose for themselves is without a mark here, until the person confirms it.
 */
const nobodysDrawer = (storage: Memory, marks: Marks): Drawer => {
	const texts = new Map<string, string>();
	const vouched = new Map<string, Promise<string | null>>();
	const readMark = async (name: string): Promise<string | null> => {
		const text = storage.getItem(name);
		const isOthers = name === STORAGE_KEY && text !== null && isOwnSay(text);
		return isOthers ? null : marks.get(name);
	};
	const get = (name: string): Promise<string | null> => vouched.get(name) ?? readMark(name);
	const vouch = (name: string, mark: Promise<string | null>): void => {
		mark.catch(() => undefined); // whoever asks for it hears of it
		vouched.set(name, mark);
	};
	return {
		memory: {
			getItem: (name) => texts.get(name) ?? storage.getItem(name),
			setItem: (name, value) => {
				texts.set(name, value);
			},
			removeItem: (name) => {
				texts.delete(name);
			}
		},
		marks: {
			get,
			set: (name, text) => {
				vouch(name, Promise.resolve(text));
			},
			follow: (name, before, text) => {
				vouch(
					name,
					get(name).then((mark) => (mark === before ? text : mark))
				);
			}
		}
	};
};

/** Open the one of whoever is here. */
export const openDrawer = (storage: Memory, marks: Marks, whose: Whose): Drawer => {
	const drawer = whose === null ? nobodysDrawer(storage, marks) : ownDrawer(storage, marks, whose);
	return { memory: markedStorage(drawer.memory, drawer.marks), marks: drawer.marks };
};
