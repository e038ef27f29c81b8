import { resultOf, transact } from '../base/database';
import type { Environment, Marks } from '../base/environment';
import { isObject, own } from '../base/json';

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

/** A change of a mark: where that was `before`, or, where this is not said, whatever it was. */
interface Change {
	name: string;
	before?: string | null;
	text: string | null;
}

/** The name under which a tab keeps the changes that were begun. */
const BEGUN = 'tee.marks';

const isTextOrNull = (value: unknown): boolean => value === null || typeof value === 'string';

const isChange = (value: unknown): value is Change =>
	isObject(value) &&
	typeof own(value, 'name') === 'string' &&
	isTextOrNull(own(value, 'text')) &&
	(!Object.hasOwn(value, 'before') || isTextOrNull(value.before));

/**
 * What a tab began to mark, oldest first. A page may end when its text is stored and the mark is not:
 * the next page of the tab goes on with this, and does not take the text for somebody else's.
 */
const begunIn = (tab: () => Pick<Storage, 'getItem' | 'setItem'>) => {
	const read = (): Change[] => {
		try {
			const kept: unknown = JSON.parse(tab().getItem(BEGUN) ?? '[]');
			return Array.isArray(kept) ? kept.filter(isChange) : [];
		} catch {
			return []; // nothing that we wrote
		}
	};
	const write = (changes: Change[]): void => {
		try {
			tab().setItem(BEGUN, JSON.stringify(changes));
		} catch {
			// Then a page that ends just now leaves a text to confirm.
		}
	};
	return {
		add(change: Change) {
			write([...read(), change]);
		},
		dropFirst() {
			write(read().slice(1));
		},
		takeAll(): Change[] {
			const changes = read();
			if (changes.length > 0) write([]);
			return changes;
		}
	};
};

const apply = async (store: IDBObjectStore, { name, before, text }: Change): Promise<void> => {
	if (before !== undefined && (await read(store, name)) !== before) return;
	await write(store, name, text);
};

/**
 * The marks in IndexedDB, each a copy of the text that it vouches for.
 *
 * A copy, and not a signature: an older text cannot come back with the mark that it had, a text
 * that is gone leaves a trace, and the person can have back what was lost. One thing is done after
 * the other, so that a mark which is asked for is as new as what was written before.
 *
 * @param factory Asked for late: where it is forbidden, even its name throws.
 * @param tab What this tab keeps, asked for late as well.
 * @param changed Called when a mark was changed.
 */
export const openMarks = (
	factory: () => IDBFactory,
	tab: () => Pick<Storage, 'getItem' | 'setItem'>,
	changed: () => void
): Marks => {
	const table = { factory, database: DATABASE, store: STORE };
	const begun = begunIn(tab);
	let last: Promise<unknown> = Promise.resolve();

	const afterwards = <T>(act: () => Promise<T>): Promise<T> => {
		const next = last.then(act, act);
		last = next;
		return next;
	};

	/** What fails here is seen by whoever asks for the mark. */
	const change = (wanted: Change): void => {
		begun.add(wanted);
		afterwards(() => transact(table, 'readwrite', (store) => apply(store, wanted)))
			.finally(() => {
				begun.dropFirst();
			})
			.then(changed, () => undefined);
	};

	begun.takeAll().forEach(change);
	return {
		get: (name) => afterwards(() => transact(table, 'readonly', (store) => read(store, name))),
		set(name, text) {
			change({ name, text });
		},
		follow(name, before, text) {
			change({ name, before, text });
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
