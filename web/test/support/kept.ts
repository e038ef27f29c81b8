/** What a pretended browser keeps about trust, and whose marks it bears. */
import type { Environment, Marks } from '../../src/base/environment';
import { STORAGE_KEY, type Settings } from '../../src/session/settings';
import { fakeStorage } from './environment';

/** A browser that keeps no marks. */
export const noMarks: Marks = {
	get: () => Promise.reject(new DOMException('', 'InvalidStateError')),
	set: () => undefined,
	follow: () => undefined
};

/** Marks of a browser that keeps them, with what is in them. */
export const fakeMarks = (items = new Map<string, string>()): Marks & { items: typeof items } => ({
	items,
	get: (name) => Promise.resolve(items.get(name) ?? null),
	set: (name, text) => {
		if (text === null) items.delete(name);
		else items.set(name, text);
	},
	follow: (name, before, text) => {
		if ((items.get(name) ?? null) === before) items.set(name, text);
	}
});

/** These settings are stored, and all that is stored bears the kit's mark. */
export const keptBy = (
	settings: Settings,
	others: Environment['memory'] = fakeStorage()
): Pick<Environment, 'memory' | 'marks'> => {
	const memory: Environment['memory'] = {
		getItem: (name) => (name === STORAGE_KEY ? JSON.stringify(settings) : others.getItem(name)),
		setItem: (name, value) => {
			others.setItem(name, value);
		},
		removeItem: (name) => {
			others.removeItem(name);
		}
	};
	return { memory, marks: { ...noMarks, get: (name) => Promise.resolve(memory.getItem(name)) } };
};
