/** Cookies need a place where the browser keeps nothing, as in some private windows. */
import { LATE, type Store } from './shared';

/** A store that ends with its page, and that nobody else sees. */
const inMemory = (): Store => {
	const kept = new Map<string, unknown>();
	return {
		read: (name) => Promise.resolve(kept.get(name)),
		change(name, of) {
			kept.set(name, of(kept.get(name)));
			return Promise.resolve();
		}
	};
};

/** A store, or one in memory where that cannot be had from the beginning: late is not never. */
export const orInMemory = (store: Store): Store => {
	let chosen: Promise<Store> | undefined;
	const choose = () =>
		(chosen ??= store.read('').then(
			() => store,
			(error: unknown) => (error instanceof Error && error.message === LATE ? store : inMemory())
		));
	return {
		read: async (name) => (await choose()).read(name),
		change: async (name, of) => (await choose()).change(name, of)
	};
};
