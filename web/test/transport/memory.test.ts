import { describe, expect, it } from 'vitest';
import { orInMemory } from '../../src/transport/memory';
import { LATE, type Store } from '../../src/transport/shared';

/** A browser's store, which fails in this way. */
const failing = (message: string): Store => ({
	read: () => Promise.reject(new Error(message)),
	change: () => Promise.reject(new Error(message))
});

describe('a store that may be one in memory', () => {
	it('is the browser’s where that answers', async () => {
		const values = new Map<string, unknown>([['jar', 'kept']]);
		const store = orInMemory({
			read: (name) => Promise.resolve(values.get(name)),
			change(name, of) {
				values.set(name, of(values.get(name)));
				return Promise.resolve();
			}
		});
		expect(await store.read('jar')).toBe('kept');
		await store.change('jar', (value) => `${String(value)} anew`);
		expect(values.get('jar')).toBe('kept anew');
	});

	it('keeps what it is told where the browser keeps nothing', async () => {
		const store = orInMemory(failing('SecurityError'));
		expect(await store.read('jar')).toBeUndefined();
		await store.change('jar', () => 'kept');
		expect(await store.read('jar')).toBe('kept');
		await store.change('jar', () => undefined);
		expect(await store.read('jar')).toBeUndefined();
	});

	it('stays the browser’s where that is only late', async () => {
		await expect(orInMemory(failing(LATE)).read('jar')).rejects.toThrow(LATE);
	});
});
