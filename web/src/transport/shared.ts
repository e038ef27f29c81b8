/**
 * What the pages of this origin and their worker know together: which keys a person's words may go
 * to, until when, and whether this browser ever talked sealed to this origin. It is kept in
 * IndexedDB; a bell says when to look again, and carries no facts by itself.
 */
import { openDatabase, resultOf, within, type Table } from '../base/database';
import type { Environment } from '../base/environment';
import type { Cause, Enforcement, Key, Standing } from './gate';
import type { Keyset } from './keyset';

const DATABASE = 'tee-sealed';
const STORE = 'state';
const ORIGIN = 'origin';

/** Milliseconds after which a browser that keeps things counts as one that does not. */
export const STORE_PATIENCE = 5_000;
/** Milliseconds between two looks, where the bell was not heard. */
const LOOK_AGAIN = 1_000;
/** Longest life of a permission, in milliseconds: that of a keyset, with the tolerance for clocks. */
export const LONGEST = (3_600 + 120) * 1000;

/** The message of an error where the browser has not answered in that time. */
export const LATE = 'TimeoutError';

/** Values by name, each changed in one transaction. */
export interface Store {
	read: (name: string) => Promise<unknown>;
	/** Put what `of` makes of a value in its place; `undefined` deletes it. */
	change: (name: string, of: (value: unknown) => unknown) => Promise<void>;
}

/** How the name of a policy begins by which keys were judged while nobody was signed in. */
export const NOBODYS = '?';

/** What is rung: something is kept anew, or the keys that are kept answer no more. */
export type Word = 'changed' | 'stale';

/** Between the pages of an origin and its worker. */
export interface Bell {
	/** Whoever rings does not hear it. */
	ring: (word: Word) => void;
	/** Returns what ends it. */
	hear: (call: (word: Word) => void) => () => void;
}

/** What a page found out about keys: another one, or this one when it comes again, decides by it. */
export interface Grounds {
	standing: Standing;
	key: Key;
	causes: readonly Cause[];
	/** Missing where an older version of the kit kept it. */
	enforcement?: Enforcement;
}

/** How requests may leave this browser; the gate decides it, on the page. */
export interface Permission {
	/**
	 * As `readKeyset` gives it, whose word that it is well-formed is kept with it; null where nothing
	 * is sealed here, and never was: as without the kit.
	 */
	keyset: Keyset | null;
	/** Milliseconds since 1970. */
	until: number;
	/** Under which policy it was judged, and for whom: NOBODYS comes first where nobody is signed in. */
	policy: string;
	/** The hash of the statement that the verdict was about. */
	statement?: string;
	/** Missing where only the worker goes by it. */
	grounds?: Grounds;
}

/** What this browser keeps about this origin. */
export interface Known {
	/** Whether it was ever talked to sealed: it then gets nothing plain. */
	sealed: boolean;
	/** What holds now. */
	permission: Permission | null;
}

/** What pages and worker share, as the worker uses it. It rejects where the browser keeps nothing. */
export interface Told {
	known: () => Promise<Known>;
	/** The keys of this permission answer no more: it is withdrawn, and the pages are told. */
	doubt: (permission: Permission) => Promise<void>;
	/** The permission, as soon as there is one, or null after so many milliseconds. */
	permission: (patience: number) => Promise<Permission | null>;
}

/** The same for pages, which decide. */
export interface Shared extends Told {
	/** Keep a permission; false where a plain one comes too late, as this origin was sealed. */
	allow: (permission: Permission) => Promise<boolean>;
	/** Nothing may leave until the next permission, except by one that this leaves. */
	withdraw: (leaves?: (permission: Permission) => boolean) => Promise<void>;
	/** By the person's word, and nobody else's: as if this origin had never been sealed. */
	forget: () => Promise<void>;
	/** Be told when to look again; returns what ends it. */
	hear: Bell['hear'];
}

/** Change what is known in one go; `undefined` forgets it. */
type Change = (of: (known: Known) => Known | undefined, word?: Word) => Promise<void>;

/** Read a permission that still holds. */
const readPermission = (value: unknown, now: number): Permission | null => {
	const { keyset, until, policy } = Object(value) as Partial<Permission>;
	// One from a clock that was ahead would hold too long.
	const holds = typeof until === 'number' && until > now && until <= now + LONGEST;
	const isWhole = typeof policy === 'string' && (keyset === null || Array.isArray(keyset?.keys));
	return holds && isWhole ? (value as Permission) : null;
};

/** Read what is kept about an origin: what nobody of ours wrote counts as the stricter thing. */
const readKnown = (value: unknown, now: number): Known => {
	if (value === undefined) return { sealed: false, permission: null };
	const kept = Object(value) as Partial<Known>;
	const sealed = kept.sealed !== false;
	const permission = readPermission(kept.permission, now);
	return { sealed, permission: sealed && !permission?.keyset ? null : permission };
};

/** Whether two values are the same as JSON. */
export const isSame = (one: unknown, other: unknown): boolean =>
	JSON.stringify(one) === JSON.stringify(other);

/** The time runs out for whatever takes longer. */
const bounded = <T>(work: Promise<T>, later: Environment['later']): Promise<T> =>
	new Promise((resolve, reject) => {
		const cancel = later(STORE_PATIENCE, () => {
			reject(new Error(LATE));
		});
		work.finally(cancel).then(resolve, reject);
	});

/**
 * The store in IndexedDB, by one connection that stays open: it is asked at each request.
 *
 * @param factory As in `Table`.
 */
export const openStore = (factory: Table['factory'], later: Environment['later']): Store => {
	let opened: Promise<IDBDatabase> | undefined;

	const connect = async (): Promise<IDBDatabase> => {
		const database = await openDatabase({ factory, database: DATABASE, store: STORE });
		// The person clears this site's data, or the browser has had to.
		database.onversionchange = database.onclose = () => {
			database.close();
			opened = undefined;
		};
		return database;
	};

	/** Try once more by a new connection: a browser that slept may have ended the old one. */
	const transact = <T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => Promise<T>) => {
		const attempt = async () => within(await (opened ??= connect()), STORE, mode, act);
		const again = () => {
			opened = undefined;
			return attempt();
		};
		return bounded(attempt().catch(again), later).catch((error: unknown) => {
			opened = undefined;
			throw error;
		});
	};

	return {
		read: (name) => transact('readonly', (store) => resultOf<unknown>(store.get(name))),
		change: (name, of) =>
			transact('readwrite', async (store) => {
				const value = of(await resultOf<unknown>(store.get(name)));
				// What goes wrong here ends the transaction, which is waited for.
				if (value === undefined) store.delete(name);
				else store.put(value, name);
			})
	};
};

/** The bell of this origin; without one, a look each second has to do. */
export const openBell = (channel: () => BroadcastChannel): Bell => {
	const calls = new Set<(word: Word) => void>();
	let opened: BroadcastChannel | undefined;
	try {
		opened = channel();
		opened.onmessage = ({ data }: MessageEvent<unknown>) => {
			if (data === 'changed' || data === 'stale') for (const call of [...calls]) call(data);
		};
	} catch {
		// not there, or forbidden
	}
	return {
		ring(word) {
			opened?.postMessage(word);
		},
		hear(call) {
			calls.add(call);
			return () => calls.delete(call);
		}
	};
};

/** What this worker shares with the pages, and what changes it. */
export const openTold = (
	store: Store,
	bell: Bell,
	{ now, later }: Pick<Environment, 'now' | 'later'>
): Told & { change: Change } => {
	const known = async (): Promise<Known> => readKnown(await store.read(ORIGIN), now());

	/** Wait until another one has changed something, or may have while nobody heard the bell. */
	const nextChange = (): Promise<void> =>
		new Promise((resolve) => {
			const end = () => {
				cancel();
				stop();
				resolve();
			};
			const cancel = later(LOOK_AGAIN, end);
			const stop = bell.hear(end);
		});

	const change: Change = async (of, word = 'changed') => {
		await store.change(ORIGIN, (value) => of(readKnown(value, now())));
		bell.ring(word);
	};

	return {
		known,
		change,
		doubt: (doubted) =>
			change(
				({ sealed, permission }) => ({
					sealed,
					permission: isSame(permission, doubted) ? null : permission
				}),
				'stale'
			),
		async permission(patience) {
			const end = now() + patience;
			for (;;) {
				const { permission } = await known();
				if (permission || now() >= end) return permission;
				await nextChange();
			}
		}
	};
};

/** What this page shares with the others, and with the worker. */
export const openShared = (...world: Parameters<typeof openTold>): Shared => {
	const { change, ...told } = openTold(...world);
	const [, bell] = world;
	return {
		...told,
		async allow(permission) {
			let allowed = false;
			await change((before) => {
				const sealed = permission.keyset !== null;
				allowed = sealed || !before.sealed;
				return allowed ? { sealed, permission } : before;
			});
			return allowed;
		},
		withdraw: (leaves = () => false) =>
			change(({ sealed, permission }) => ({
				sealed,
				permission: permission && leaves(permission) ? permission : null
			})),
		forget: () => change(() => undefined),
		hear: bell.hear
	};
};
