import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Keyset } from '../../src/transport/keyset';
import {
	LONGEST,
	openBell,
	openShared,
	openStore,
	STORE_PATIENCE,
	type Bell,
	type Permission,
	type Shared
} from '../../src/transport/shared';
import { fakeClock, settle } from '../support/environment';
import { pretendDatabase, type PretendedDatabase } from '../support/indexed-db';

let database: PretendedDatabase;
let clock: ReturnType<typeof fakeClock>;
let channels: Set<BroadcastChannel>;

const KEYSET: Keyset = { notAfter: 0, keys: [] };
const DEAF: Bell = { ring: () => undefined, hear: () => () => undefined };

/** The channel of this origin, without a browser: who posts does not hear it. */
const channel = (): BroadcastChannel => {
	const self = {
		onmessage: null as ((event: { data: unknown }) => void) | null,
		postMessage: (data: unknown) => {
			for (const other of channels) {
				if (other !== (self as unknown)) {
					setImmediate(() => {
						other.onmessage?.({ data } as MessageEvent);
					});
				}
			}
		}
	};
	channels.add(self as unknown as BroadcastChannel);
	return self as unknown as BroadcastChannel;
};

const store = () => openStore(() => database.factory, clock.later);
/** As another page, or the worker, has it. */
const another = (bell = openBell(channel)): Shared => openShared(store(), bell, clock);
const sealed = (more: { until?: number; policy?: string } = {}): Permission => ({
	keyset: KEYSET,
	until: clock.now() + 60_000,
	policy: 'p',
	...more
});
const plain = (): Permission => ({ ...sealed(), keyset: null });
const kept = () => database.stores.get('state');

beforeEach(() => {
	database = pretendDatabase();
	clock = fakeClock();
	channels = new Set();
});

describe('what pages and worker share', () => {
	it('is nothing at first', async () => {
		expect(await another().known()).toEqual({ sealed: false, permission: null });
	});

	it('is a permission, until it ends, and that there was one', async () => {
		const permission = sealed();
		expect(await another().allow(permission)).toBe(true);
		expect(await another().known()).toEqual({ sealed: true, permission });
		clock.advance(60_000);
		expect(await another().known()).toEqual({ sealed: true, permission: null });
	});

	it('is no permission that would hold longer than keys may live', async () => {
		await another().allow(sealed({ until: clock.now() + LONGEST + 1 }));
		expect(await another().known()).toEqual({ sealed: true, permission: null });
		await another().allow(sealed());
		clock.set(-2 * LONGEST); // it was kept while the clock was ahead
		expect((await another().known()).permission).toBeNull();
	});

	it('never goes back to plain by itself', async () => {
		const page = another();
		expect(await page.allow(plain())).toBe(true);
		expect((await page.known()).permission).toEqual(plain());
		await page.allow(sealed());
		expect(await page.allow(plain())).toBe(false);
		expect((await page.known()).permission).toEqual(sealed());
		await page.withdraw();
		expect(await page.allow(plain())).toBe(false);
		expect(await page.known()).toEqual({ sealed: true, permission: null });
		await page.forget();
		expect(await page.allow(plain())).toBe(true);
	});

	it('takes what nobody of ours wrote for the stricter thing', async () => {
		const page = another();
		await page.allow(sealed());
		for (const value of [
			null,
			'x',
			7,
			[],
			{},
			{ sealed: 0, permission: plain() },
			{ sealed: true, permission: plain() },
			{ sealed: true, permission: { ...sealed(), keyset: 'x' } },
			{ sealed: true, permission: { ...sealed(), keyset: [] } },
			{ sealed: true, permission: { ...sealed(), policy: 7 } },
			{ sealed: true, permission: { ...sealed(), until: 'x' } },
			{ sealed: true, permission: { ...sealed(), until: NaN } },
			{ sealed: true, permission: { ...plain(), keyset: undefined } }
		]) {
			kept()?.set('origin', value);
			expect(await page.known()).toEqual({ sealed: true, permission: null });
		}
	});

	it('loses a permission whose keys answer no more, and tells the pages', async () => {
		const worker = another();
		const page = another();
		const heard = vi.fn();
		page.hear(heard);
		const old = sealed();
		await page.allow(old);
		const next = sealed({ policy: 'q' });
		await worker.allow(next);
		await worker.doubt(old); // there is a newer one already
		expect((await page.known()).permission).toEqual(next);
		await worker.doubt(next);
		expect(await page.known()).toEqual({ sealed: true, permission: null });
		await settle(() => heard.mock.calls.length === 3);
		expect(heard.mock.calls).toEqual([['changed'], ['stale'], ['stale']]);
	});

	it('keeps what many write at once in one piece', async () => {
		const pages = Array.from({ length: 20 }, () => another(DEAF));
		await Promise.all(pages.map((page, at) => page.allow(at % 2 ? sealed() : plain())));
		expect(await another().known()).toMatchObject({ sealed: true, permission: { keyset: KEYSET } });
	});
});

describe('waiting for a permission', () => {
	it('ends at once where there is one', async () => {
		await another().allow(sealed());
		expect(await another().permission(1)).toEqual(sealed());
		expect(clock.waiting()).toBe(0);
	});

	it('ends when a page comes by one', async () => {
		const waits = another().permission(60_000);
		await another().allow(sealed());
		expect(await waits).toEqual(sealed());
		expect(clock.waiting()).toBe(0);
	});

	it('ends without the bell too', async () => {
		const waits = another(DEAF).permission(60_000);
		await another(DEAF).allow(sealed());
		const ended = vi.fn();
		void waits.then(ended);
		await settle(() => {
			clock.advance(1000);
			return ended.mock.calls.length > 0;
		});
		expect(ended).toHaveBeenCalledWith(sealed({ until: expect.any(Number) as number }));
	});

	it('ends in time', async () => {
		const ended = vi.fn();
		void another().permission(5_500).then(ended);
		/** Waiting for the next look, with nothing being read. */
		const atRest = async () => {
			await new Promise((resolve) => setTimeout(resolve, 2));
			await settle(() => clock.waiting() === 1);
		};
		for (let second = 1; second <= 5; second += 1) {
			await atRest();
			clock.advance(1000);
		}
		await atRest();
		expect(ended).not.toHaveBeenCalled();
		clock.advance(1000);
		await settle(() => ended.mock.calls.length > 0);
		expect(ended).toHaveBeenCalledWith(null);
		expect(clock.waiting()).toBe(0);
	});

	it('ends where the browser keeps nothing', async () => {
		const forbidden = openStore(() => {
			throw new DOMException('', 'SecurityError');
		}, clock.later);
		const page = openShared(forbidden, DEAF, clock);
		await expect(page.permission(60_000)).rejects.toThrow();
		await expect(page.allow(plain())).rejects.toThrow();
		expect(clock.waiting()).toBe(0);
	});
});

describe('the store', () => {
	it('is one connection, which makes room for whoever clears it', async () => {
		const one = store();
		await one.change('a', () => 1);
		await one.change('a', (value) => (value as number) + 1);
		expect([await one.read('a'), database.opened]).toEqual([2, 1]);
		for (const connection of database.open) connection.onversionchange?.();
		expect(database.open.size).toBe(0);
		expect([await one.read('a'), database.opened]).toEqual([2, 2]);
		for (const connection of database.open) connection.onclose?.();
		expect([await one.read('a'), database.opened]).toEqual([2, 3]);
	});

	it('tries once more by a new connection', async () => {
		const one = store();
		await one.change('a', () => 1);
		database.faults.push('lost');
		expect(await one.read('a')).toBe(1);
		database.faults.push('abort');
		await one.change('a', (value) => (value as number) + 1);
		expect(await one.read('a')).toBe(2);
		database.faults.push('lost', 'abort');
		await expect(one.change('a', () => 7)).rejects.toThrow();
		expect(await one.read('a')).toBe(2);
	});

	it('is not waited for without end', async () => {
		const one = store();
		await one.read('a');
		database.faults.push('hang');
		const failed = vi.fn();
		one.read('a').catch(failed);
		await settle(() => clock.waiting() === 1);
		clock.advance(STORE_PATIENCE);
		await settle(() => failed.mock.calls.length > 0);
		expect(await one.read('a')).toBeUndefined();
	});
});

describe('the bell', () => {
	it('is heard by the others, in its words only, until they end it', async () => {
		const [one, other] = [openBell(channel), openBell(channel)];
		const [here, there] = [vi.fn(), vi.fn()];
		one.hear(here);
		const end = other.hear(there);
		one.ring('stale');
		for (const self of channels) self.onmessage?.({ data: { word: 'stale' } } as MessageEvent);
		await settle(() => there.mock.calls.length > 0);
		expect([here.mock.calls, there.mock.calls]).toEqual([[], [['stale']]]);
		end();
		one.ring('changed');
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect(there).toHaveBeenCalledTimes(1);
	});

	it('is missed by nobody', () => {
		const bell = openBell(() => {
			throw new ReferenceError('BroadcastChannel');
		});
		bell.ring('changed');
		bell.hear(() => undefined)();
	});
});
