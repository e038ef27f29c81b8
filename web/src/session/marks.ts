import { resultOf, transact } from '../base/database';
import type { Environment, Marks } from '../base/environment';

const DATABASE = 'tee';
const STORE = 'marks';

const read = async (store: IDBObjectStore, name: string): Promise<string | null> => {
	const mark: unknown = await resultOf(store.get(name));
	return typeof mark === 'string' ? mark : null;
};

const write = async (store: IDBObjectStore, name: string, text: string | null): Promise<void> => {
	if (text === null) await resultOf(store.delete(name));
	else await resultOf(store.put(text, name));
};

/**
 * The marks in IndexedDB, each a copy of the text that it vouches for.
 *
 * A copy, and not a signature: an older text cannot come back with the mark that it had, a text
 * that is gone leaves a trace, and the person can have back what was lost. One thing is done after
 * the other, so that a mark which is asked for is as new as what was written before.
 *
 * @param factory Asked for late: where it is forbidden, even its name throws.
 * @param changed Called when a mark was changed.
 */
export const openMarks = (factory: () => IDBFactory, changed: () => void): Marks => {
	const table = { factory, database: DATABASE, store: STORE };
	let last: Promise<unknown> = Promise.resolve();

	const afterwards = <T>(act: () => Promise<T>): Promise<T> => {
		const next = last.then(act, act);
		last = next;
		return next;
	};

	/** What fails here is seen by whoever asks for the mark. */
	const change = (act: (store: IDBObjectStore) => Promise<unknown>): void => {
		afterwards(() => transact(table, 'readwrite', act)).then(changed, () => undefined);
	};

	return {
		get: (name) => afterwards(() => transact(table, 'readonly', (store) => read(store, name))),
		set(name, text) {
			change((store) => write(store, name, text));
		},
		follow(name, before, text) {
			change(async (store) => {
				if ((await read(store, name)) === before) await write(store, name, text);
			});
		}
	};
};

/** A storage in which whatever is written by way of this one bears its mark. */
export const markedStorage = (
	storage: Environment['memory'],
	marks: Marks
): Environment['memory'] => ({
	getItem: (name) => storage.getItem(name),
	setItem(name, value) {
		const before = storage.getItem(name);
		if (value === before) return;
		storage.setItem(name, value);
		marks.follow(name, before, value);
	},
	removeItem(name) {
		storage.removeItem(name);
	}
});
