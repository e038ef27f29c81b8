/**
 * What the pages of this origin and their worker know together: which keys a person's words may go
 * to, until when, and whether this browser ever talked sealed to this origin. It is kept in
 * IndexedDB; a bell says when to look again, and carries no facts by itself.
 */
import { openDatabase, resultOf, within, type Table } from '../base/database';
import type { Environment } from '../base/environment';
import type { Cause, Key, Standing } from './gate';
import type { Keyset } from './keyset';

const DATABASE = 'tee-sealed';
const STORE = 'state';
const ORIGIN = 'origin';

/** Milliseconds after which a browser that keeps things counts as one that does not. */
export const STORE_PATIENCE = 5_000;
/** Milliseconds between two looks, where the bell was not heard. */
export const LOOK_AGAIN = 1_000;
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
	/** Under which policy it was judged. */
	policy: string;
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
	/** Nothing may leave until the next permission. */
	withdraw: () => Promise<void>;
	/** By the person's word, and nobody else's: as if this origin had never been sealed. */
	forget: () => Promise<void>;
	/** Be told when to look again; returns what ends it. */
	hear: Bell['hear'];
}

/** Change what is known in one go; `undefined` forgets it. */
type Change = (of: (known: Known) => Known | undefined, word?: Word) => Promise<void>;

const isRecord = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** Read a permission that still holds. */
const readPermission = (value: unknown, now: number): Permission | null => {
	if (!isRecord(value)) return null;
	const { keyset, until, policy } = value;
	// One from a clock that was ahead would hold too long.
	const holds = typeof until === 'number' && until > now && until <= now + LONGEST;
	const isWhole = typeof policy === 'string' && (keyset === null || isRecord(keyset));
	return holds && isWhole ? (value as unknown as Permission) : null;
};

/** Read what is kept about an origin: what nobody of ours wrote counts as the stricter thing. */
const readKnown = (value: unknown, now: number): Known => {
	if (value === undefined) return { sealed: false, permission: null };
	const kept = isRecord(value) ? value : {};
	const sealed = kept.sealed !== false;
	const permission = readPermission(kept.permission, now);
	return { sealed, permission: sealed && !permission?.keyset ? null : permission };
};

const isSame = (one: unknown, other: unknown): boolean =>
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
		const leave = () => {
			database.close();
			opened = undefined;
		};
		database.onversionchange = leave; // the person clears this site's data
		database.onclose = leave;
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
				await (value === undefined
					? resultOf(store.delete(name))
					: resultOf(store.put(value, name)));
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

/** What pages and worker share, and what changes it. */
const open = (store: Store, bell: Bell, { now, later }: Pick<Environment, 'now' | 'later'>) => {
	/** Those who wait for something to change. */
	const waiting = new Set<() => void>();
	const wake = (): void => {
		for (const call of [...waiting]) call();
	};
	bell.hear(wake);

	const known = async (): Promise<Known> => readKnown(await store.read(ORIGIN), now());

	/** Wait until something has changed, or may have while nobody heard the bell. */
	const nextChange = (): Promise<void> =>
		new Promise((resolve) => {
			const end = () => {
				cancel();
				waiting.delete(end);
				resolve();
			};
			const cancel = later(LOOK_AGAIN, end);
			waiting.add(end);
		});

	const change: Change = async (of, word = 'changed') => {
		await store.change(ORIGIN, (value) => of(readKnown(value, now())));
		bell.ring(word);
		wake();
	};

	const told: Told = {
		known,
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
	return { told, change };
};

/** What this worker shares with the pages. */
export const openTold = (...world: Parameters<typeof open>): Told => open(...world).told;

/** What this page shares with the others, and with the worker. */
export const openShared = (...world: Parameters<typeof open>): Shared => {
	const { told, change } = open(...world);
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
		withdraw: () => change(({ sealed }) => ({ sealed, permission: null })),
		forget: () => change(() => undefined),
		hear: bell.hear
	};
};
