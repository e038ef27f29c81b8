/** A pretended outside: a network, a clock and a browser's storage. */
import { createHash } from 'node:crypto';
import type { Environment } from '../../src/base/environment';
import type { Bytes } from './bytes';
import type { Call } from './call';
import { HOLDER } from './holder';
import { NOW } from './now';

export { NOW };
export type { Call };

export type Answer =
	{ status?: number; text: string } | Response | 'no connection' | 'hang' | 'hang in the body';

/** An answer of JSON. */
export const answer = (value: unknown): Answer => ({ text: JSON.stringify(value) });

/** An answer that never ends. */
export const endless = (byte: number): Response =>
	new Response(
		new ReadableStream({
			pull(controller) {
				controller.enqueue(new Uint8Array(1 << 16).fill(byte));
			}
		})
	);

const respond = (given: Answer): Promise<Response> => {
	if (given === 'no connection') return Promise.reject(new TypeError('Failed to fetch'));
	if (given === 'hang') return new Promise(() => undefined);
	if (given === 'hang in the body') return Promise.resolve(new Response(new ReadableStream({})));
	if (given instanceof Response) return Promise.resolve(given);
	return Promise.resolve(new Response(given.text, { status: given.status ?? 200 }));
};

/** Where sealed requests go. */
const SEALED = '/tee/ohttp';

/**
 * A fetch that answers by the first route whose text the address contains. Sealed requests have a list
 * of their own, and are answered by the holder of the pretended TD's keys where no route says else.
 */
export const fakeFetch = (routes: Record<string, (call: Call) => Answer | Promise<Answer>>) => {
	const calls: Call[] = [];
	const sealed: Call[] = [];
	const run = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
		const call = { url: input instanceof Request ? input.url : String(input), init };
		const isSealed = call.url.endsWith(SEALED);
		(isSealed ? sealed : calls).push(call);
		const route = Object.entries(routes).find(([part]) => call.url.includes(part))?.[1];
		if (route) return respond(await route(call));
		return isSealed ? HOLDER.answer(call) : respond({ status: 404, text: 'no such page' });
	};
	return { fetch: run, calls, sealed };
};

/** A clock that moves only when told to, and another one that cannot be set. */
export const fakeClock = (start = NOW * 1000) => {
	let now = start;
	/** What the one that people see is ahead of this. */
	let ahead = 0;
	/** What the steady one is behind it. */
	let stood = start;
	let timers: { at: number; call: () => void }[] = [];
	return {
		now: () => now + ahead,
		elapsed: () => now - stood,
		/** Somebody sets the clock: forward, or with less than zero back. */
		set: (ms: number) => {
			ahead += ms;
		},
		later: (ms: number, call: () => void) => {
			const timer = { at: now + ms, call };
			timers.push(timer);
			return () => {
				timers = timers.filter((other) => other !== timer);
			};
		},
		waiting: () => timers.length,
		/** Time goes by and no timer notices: the machine sleeps. */
		sleep: (ms: number, steadily = true) => {
			now += ms;
			if (!steadily) stood += ms; // as on some platforms
			timers.forEach((timer) => (timer.at += ms));
		},
		/** Go forward, ringing what is due in its order. */
		advance: (ms: number) => {
			const end = now + ms;
			for (;;) {
				const [next] = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
				if (!next) break;
				timers = timers.filter((other) => other !== next);
				now = Math.max(now, next.at);
				next.call();
			}
			now = end;
		}
	};
};

/** Give everything that is under way the chance to go on (crypto runs on other threads). */
export const settle = async (done: () => boolean, turns = 10_000): Promise<void> => {
	for (let turn = 0; turn < turns && !done(); turn += 1) {
		await new Promise((resolve) => setImmediate(resolve));
		if (turn > 50) await new Promise((resolve) => setTimeout(resolve, 1));
	}
	if (!done()) throw new Error('nothing more happens');
};

/** A browser's storage, with what is in it. */
export const fakeStorage = (items = new Map<string, string>()) => ({
	items,
	getItem: (name: string) => items.get(name) ?? null,
	setItem: (name: string, value: string) => {
		items.set(name, value);
	},
	removeItem: (name: string) => {
		items.delete(name);
	}
});

/** A browser that forbids storage, or whose storage is full. */
export const refusingStorage = {
	getItem: (): string | null => {
		throw new DOMException('', 'SecurityError');
	},
	setItem: (): void => {
		throw new DOMException('', 'QuotaExceededError');
	},
	removeItem: (): void => {
		throw new DOMException('', 'SecurityError');
	}
};

let drawn = 0;

/** Bytes that never come twice. */
const draw = (length: number): Bytes => {
	drawn += 1;
	const bytes = createHash('sha512').update(String(drawn)).digest();
	return Buffer.from(bytes.subarray(0, length));
};

export const makeEnvironment = (
	fetch: typeof globalThis.fetch,
	more: Partial<Environment> = {}
): Environment => {
	const clock = fakeClock();
	return {
		fetch,
		now: clock.now,
		elapsed: clock.elapsed,
		later: clock.later,
		online: () => true,
		random: draw,
		subtle: crypto.subtle,
		memory: fakeStorage(),
		marks: { get: () => Promise.resolve(null), set: () => undefined, follow: () => undefined },
		token: () => 'session-token',
		confirmed: () => false,
		origin: 'https://chat.example',
		api: '/api/v1',
		...more
	};
};

/** The nonce that a call for a quote brings. */
export const nonceOf = ({ url }: Call): Bytes =>
	Buffer.from(new URL(url, 'http://x').searchParams.get('nonce') ?? '', 'base64url');
