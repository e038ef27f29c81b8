import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CLAIM } from '../../src/transport/claim';
import { PATIENCE, WorkerControl, type Container } from '../../src/transport/control';
import { fakeClock, settle } from '../support/environment';

const ADDRESS = 'https://chat.example/api/v1/tee/worker';

let clock: ReturnType<typeof fakeClock>;
let browser: ReturnType<typeof pretendBrowser>;

/** A worker that answers a claim by taking the page, unless it is deaf. */
const pretendWorker = (scriptURL: string, claimed?: () => void, standIn = false) => ({
	scriptURL,
	postMessage: vi.fn((data: unknown, [port]: MessagePort[]) => {
		if (data !== CLAIM || !claimed) return;
		claimed();
		port?.postMessage({ standIn });
	})
});

type Worker = ReturnType<typeof pretendWorker>;

/** A browser's `navigator.serviceWorker`, with one registration at most of ours and another's. */
const pretendBrowser = () => {
	const listeners = new Set<() => void>();
	const registrations: { active: Worker | null; unregister: () => Promise<boolean> }[] = [];
	const register = vi.fn<(address: string, options?: object) => Promise<unknown>>((address) => {
		const ours = registrations.find(({ active }) => active?.scriptURL === address);
		return ours ? Promise.resolve(ours) : Promise.reject(new DOMException('', 'SecurityError'));
	});
	const container = {
		controller: null as Worker | null,
		register,
		getRegistrations: () => Promise.resolve([...registrations]),
		getRegistration: vi.fn<(url?: string) => Promise<unknown>>(() =>
			Promise.resolve(registrations[0])
		),
		addEventListener: (_name: string, call: () => void) => listeners.add(call),
		removeEventListener: (_name: string, call: () => void) => listeners.delete(call)
	};
	return {
		container,
		seen: container as unknown as Container,
		register,
		listeners,
		registrations,
		/** A worker is there, registered before. */
		has: (active: Worker) => {
			const unregister = vi.fn(() => Promise.resolve(true));
			registrations.push({ active, unregister });
			return unregister;
		},
		/** A worker takes the page. */
		takes: (worker: Worker) => {
			container.controller = worker;
			for (const call of [...listeners]) call();
		}
	};
};

const control = (container: Container | undefined = browser.seen) =>
	new WorkerControl(container, ADDRESS, clock.later);

beforeEach(() => {
	clock = fakeClock();
	browser = pretendBrowser();
});

describe('control by the worker', () => {
	it('is there at once on a later page, which asks for an update', async () => {
		const worker = pretendWorker(ADDRESS, () => undefined, true);
		browser.has(worker);
		browser.takes(worker);
		const taken = await control().take();
		expect(taken.kind).toBe('controlled');
		expect(taken.kind === 'controlled' && (await taken.standIn)).toBe(true);
		expect(browser.register.mock.calls).toEqual([
			[ADDRESS, { scope: '/', updateViaCache: 'none' }]
		]);
		await settle(() => clock.waiting() === 0);
	});

	it('stays where the update fails', async () => {
		browser.takes(pretendWorker(ADDRESS, () => undefined));
		expect((await control().take()).kind).toBe('controlled');
	});

	it('comes to a page that was reloaded past the worker', async () => {
		const worker: Worker = pretendWorker(ADDRESS, () => {
			browser.takes(worker);
		});
		browser.has(worker);
		const taken = await control().take();
		expect(taken.kind === 'controlled' && (await taken.standIn)).toBe(false);
		expect(browser.listeners.size).toBe(0);
		await settle(() => clock.waiting() === 0);
	});

	it('comes at a first visit, when the worker is ready', async () => {
		const worker = pretendWorker(ADDRESS, () => undefined);
		browser.has(pretendWorker(ADDRESS)); // not active yet: it hears nothing
		const taken = vi.fn();
		void control().take().then(taken);
		browser.takes(pretendWorker('https://chat.example/other.js'));
		await new Promise((resolve) => setImmediate(resolve));
		expect(taken).not.toHaveBeenCalled();
		browser.takes(worker);
		await settle(() => taken.mock.calls.length > 0);
		expect(taken).toHaveBeenCalledWith(expect.objectContaining({ kind: 'controlled' }));
	});

	it.each([
		['there are no workers', () => control(undefined), 'no-workers'],
		['the browser refuses it', () => control(), 'refused']
	])('does not come where %s', async (_name, made, why) => {
		// A browser without workers has no such name.
		const one = why === 'no-workers' ? new WorkerControl(undefined, ADDRESS, clock.later) : made();
		expect(await one.take()).toEqual({ kind: 'none', why });
		expect(clock.waiting()).toBe(0);
	});

	it('is not waited for without end', async () => {
		browser.has(pretendWorker(ADDRESS));
		const taken = vi.fn();
		void control().take().then(taken);
		await settle(() => clock.waiting() === 2);
		clock.advance(PATIENCE);
		await settle(() => taken.mock.calls.length > 0);
		expect(taken).toHaveBeenCalledWith({ kind: 'none', why: 'late' });
		expect(browser.listeners.size).toBe(0);
	});

	it('of a worker that does not answer says nothing of stand-ins', async () => {
		browser.takes(pretendWorker(ADDRESS));
		const taken = await control().take();
		clock.advance(PATIENCE);
		expect(taken.kind === 'controlled' && (await taken.standIn)).toBe(false);
	});
});

describe('the app', () => {
	it('does not see the worker, and sees others', async () => {
		const ours = browser.has(pretendWorker(ADDRESS, () => undefined));
		browser.has(pretendWorker('https://chat.example/other.js'));
		control();
		const { container } = browser;
		expect((await container.getRegistrations()).map(({ active }) => active?.scriptURL)).toEqual([
			'https://chat.example/other.js'
		]);
		expect(await container.getRegistration('/')).toBeUndefined();
		browser.registrations.shift();
		expect(await container.getRegistration('/')).toBe(browser.registrations[0]);
		browser.registrations.shift();
		expect(await container.getRegistration('/')).toBeUndefined();
		expect(ours).not.toHaveBeenCalled();
	});

	it('unregisters nothing by a registration that it came by otherwise', async () => {
		const worker = pretendWorker(ADDRESS, () => undefined);
		const unregister = browser.has(worker);
		browser.takes(worker);
		await control().take();
		const [ours] = browser.registrations;
		expect(await ours?.unregister()).toBe(true);
		expect(unregister).not.toHaveBeenCalled();
	});

	it('puts no worker of its own in the place of ours', async () => {
		control();
		await expect(browser.container.register('/sw.js')).rejects.toThrow(DOMException);
		expect(browser.register).not.toHaveBeenCalled();
	});
});

describe('a person who forgets the origin', () => {
	it.each([true, false])('lets the worker go (taken before: %s)', async (before) => {
		const worker = pretendWorker(ADDRESS, () => undefined);
		const other = browser.has(pretendWorker('https://chat.example/other.js'));
		const unregister = browser.has(worker);
		browser.takes(worker);
		const one = control();
		if (before) await one.take();
		await one.release();
		expect(unregister).toHaveBeenCalledTimes(1);
		expect(other).not.toHaveBeenCalled();
	});

	it('needs none to be there', async () => {
		await control().release();
		await new WorkerControl(undefined, ADDRESS, clock.later).release();
	});
});
