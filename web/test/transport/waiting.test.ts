import { describe, expect, it, vi } from 'vitest';
import type { Carrier, Line } from '../../src/transport/carrier';
import { waitingCarrier } from '../../src/transport/waiting';

const own = { fetch, failed: () => undefined, later: () => () => undefined };

/** A carrier that has come. */
const makeCarrier = () => {
	const line = {} as Line;
	const open = vi.fn<(signal?: AbortSignal | null) => Promise<Line>>(() => Promise.resolve(line));
	const more = vi.fn(() => Promise.resolve({} as Awaited<ReturnType<Carrier['more']>>));
	const other = { fetch: vi.fn(), failed: vi.fn(), later: vi.fn() };
	return { carrier: { open, more, isPlain: () => true, ...other } as Carrier, open, more, line };
};

describe('a carrier that stands in for another', () => {
	it('has requests wait until that has come, and asks for it no more', async () => {
		let come: (carrier: Carrier) => void = () => undefined;
		const load = vi.fn(() => new Promise<Carrier>((resolve) => (come = resolve)));
		const waiting = waitingCarrier(load, own);
		const heard = vi.fn();
		const { signal } = new AbortController();
		const opened = waiting.open(signal);
		void opened.then(heard);
		await new Promise((resolve) => setTimeout(resolve, 5));
		expect(heard).not.toHaveBeenCalled();
		expect(waiting.isPlain()).toBe(false); // nothing goes plain before anything is known
		const { carrier, open, more, line } = makeCarrier();
		come(carrier);
		expect(await opened).toBe(line);
		expect(open).toHaveBeenCalledWith(signal);
		await waiting.open();
		await waiting.more();
		expect(more).toHaveBeenCalledTimes(1);
		expect(waiting.isPlain()).toBe(true);
		expect(load).toHaveBeenCalledTimes(1);
	});

	it('tells a request that it did not come, and tries again for the next', async () => {
		const { carrier, line } = makeCarrier();
		const load = vi.fn<() => Promise<Carrier>>();
		load.mockRejectedValueOnce(new TypeError('gone')).mockResolvedValue(carrier);
		const waiting = waitingCarrier(load, own);
		await expect(waiting.open()).rejects.toThrow('gone');
		expect(waiting.isPlain()).toBe(false);
		expect(await waiting.open()).toBe(line);
	});

	it('has the browser’s own at once', () => {
		const waiting = waitingCarrier(() => new Promise(() => undefined), own);
		expect([waiting.fetch, waiting.failed, waiting.later]).toEqual(Object.values(own));
	});
});
