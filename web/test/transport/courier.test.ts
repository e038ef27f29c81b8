// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { courierFetch } from '../../src/transport/courier';

const API = 'https://chat.example/api/v1';

let ask: typeof fetch;
let own: ReturnType<typeof vi.fn<typeof fetch>>;

beforeEach(() => {
	vi.useFakeTimers();
	own = vi.fn<typeof fetch>(() => Promise.reject(new TypeError('forbidden by the policy')));
	const later = (ms: number, call: () => void) => {
		const timer = setTimeout(call, ms);
		return () => {
			clearTimeout(timer);
		};
	};
	ask = courierFetch(document, API, later, own);
});
afterEach(() => {
	vi.useRealTimers();
	document.body.replaceChildren();
});

const frames = () => [...document.querySelectorAll('iframe')];

/** Let the newest frame load; its document fetches with this. */
const arrive = (fetched: typeof fetch | undefined) => {
	const frame = frames().at(-1);
	if (!frame) throw new Error('no frame');
	const window = fetched && { fetch: fetched, location: { href: frame.src } };
	Object.defineProperty(frame, 'contentWindow', { value: window ?? null });
	frame.dispatchEvent(new Event('load'));
};
const answering = () => vi.fn<typeof fetch>(() => Promise.resolve(new Response('token')));

describe('the courier', () => {
	it('is an unseen frame that asks on behalf of the page, once for an origin', async () => {
		const fetched = answering();
		const signal = new AbortController().signal;
		const first = ask('https://as.example:8443/a?b', { method: 'POST', signal });
		const second = ask(new URL('https://as.example:8443/c'));
		expect(frames()).toHaveLength(1);
		expect(frames()[0]?.hidden).toBe(true);
		expect(frames()[0]?.src).toBe(`${API}/tee/courier?origin=https%3A%2F%2Fas.example%3A8443`);
		expect(fetched).not.toHaveBeenCalled();
		arrive(fetched);
		expect(await (await first).text()).toBe('token');
		await second;
		expect(fetched.mock.calls).toEqual([
			['https://as.example:8443/a?b', { method: 'POST', signal }],
			[new URL('https://as.example:8443/c'), undefined]
		]);
		await vi.advanceTimersByTimeAsync(60_000);
		await ask('https://as.example:8443/d');
		expect(frames()).toHaveLength(1);
	});

	it('is another one for another origin', async () => {
		const [one, other] = [answering(), answering()];
		const first = ask('https://a.example/');
		arrive(one);
		await first;
		const second = ask('https://b.example/');
		arrive(other);
		await second;
		expect(frames().map(({ src }) => src)).toEqual([
			`${API}/tee/courier?origin=https%3A%2F%2Fb.example`
		]);
		expect([one.mock.calls.length, other.mock.calls.length]).toEqual([1, 1]);
	});

	it('fails as a fetch without a connection where it does not come, and is sent again', async () => {
		const failed = expect(ask('https://a.example/')).rejects.toThrow(TypeError);
		arrive(undefined);
		await failed;
		const late = expect(ask('https://a.example/')).rejects.toThrow(TypeError);
		await vi.advanceTimersByTimeAsync(60_000);
		await late;
		expect(frames()).toHaveLength(0);
		expect(own).toHaveBeenCalledTimes(2);
		const third = ask('https://a.example/');
		arrive(answering());
		expect((await third).status).toBe(200);
	});

	it('is not needed where the page itself may ask', async () => {
		own.mockResolvedValueOnce(new Response('token'));
		const answer = ask('https://a.example/b', { method: 'POST' });
		arrive(undefined);
		expect(await (await answer).text()).toBe('token');
		expect(own.mock.calls).toEqual([['https://a.example/b', { method: 'POST' }]]);
	});

	it('is sent again where the app has removed it', async () => {
		const first = ask('https://a.example/');
		arrive(answering());
		await first;
		document.body.replaceChildren();
		const second = ask('https://a.example/');
		arrive(answering());
		await second;
		expect(frames()).toHaveLength(1);
	});

	it('fails at an address that is none', async () => {
		await expect(ask('nowhere')).rejects.toThrow(TypeError);
		expect(frames()).toHaveLength(0);
	});
});
