/** The keys that a server says it has, from servers that say anything, or nothing. */
import { describe, expect, it, vi } from 'vitest';
import type { Environment } from '../../src/base/environment';
import { Passing, Problem } from '../../src/base/problem';
import { fetchKeys } from '../../src/session/served-keys';
import { readKeyset } from '../../src/transport/keyset';
import {
	answer,
	endless,
	fakeClock,
	fakeFetch,
	makeEnvironment,
	type Answer
} from '../support/environment';
import { HOLDER } from '../support/holder';

const KEYSET = HOLDER.keyset;

const ask = (given: Answer, more: Partial<Environment> = {}) => {
	const { fetch, calls, sealed } = fakeFetch({ '/tee/keys': () => given });
	const controller = new AbortController();
	const keys = fetchKeys(makeEnvironment(fetch, { token: () => '', ...more }), controller.signal);
	keys.catch(() => undefined);
	return { keys, calls, sealed, controller };
};
/** What it ends in. */
const problem = async (...given: Parameters<typeof ask>): Promise<Problem> => {
	const error: unknown = await ask(...given).keys.catch((reason: unknown) => reason);
	if (!(error instanceof Problem)) throw new Error('no problem', { cause: error });
	return error;
};
const keyset = (more: object): Answer => answer({ v: 1, keyset: { ...KEYSET, ...more } });

describe('the keys that a server says it has', () => {
	it('are read as those in evidence are', async () => {
		const { keys } = ask(answer({ v: 1, keyset: KEYSET }));
		expect(await keys).toEqual(await readKeyset(crypto.subtle, KEYSET));
	});

	it('are asked for without a word of the person’s', async () => {
		const { keys, calls, sealed } = ask(answer({ v: 1, keyset: KEYSET }), {
			api: '/base/api/v1',
			token: () => 'session-token'
		});
		await keys;
		expect(sealed).toEqual([]);
		expect(calls).toEqual([
			{
				url: '/base/api/v1/tee/keys',
				init: {
					method: 'GET',
					headers: {},
					body: undefined,
					credentials: 'omit',
					redirect: 'manual',
					cache: 'no-store',
					referrerPolicy: 'no-referrer',
					signal: expect.any(AbortSignal) as AbortSignal
				}
			}
		]);
	});

	it('are none where it says so, or is of an older kit', async () => {
		expect(await ask(answer({ v: 1, keyset: null })).keys).toBeNull();
		expect(await ask({ status: 404, text: JSON.stringify({ keyset: KEYSET }) }).keys).toBeNull();
	});

	it('are not asked for where this browser could use none', async () => {
		const { keys, calls } = ask(answer({ v: 1, keyset: KEYSET }), { subtle: undefined });
		expect(await keys).toBeNull();
		expect(calls).toEqual([]);
	});

	it.each([201, 204, 400, 401, 403, 405, 410, 429, 500, 502, 503])(
		'may come later where it answers with %i, whatever it says',
		async (status) => {
			const text = status === 204 ? null : JSON.stringify({ v: 1, keyset: null });
			const headers = { 'retry-after': '7' };
			const error = await problem(new Response(text, { status, headers }));
			expect(error).toBeInstanceOf(Passing);
			expect(error).toMatchObject({
				code: 'quote-unreachable',
				detail: `HTTP ${status}`,
				wait: 7000
			});
		}
	);

	it.each<[string, Answer, string]>([
		['there is no connection', 'no connection', 'no connection'],
		[
			'somebody leads elsewhere',
			new Response(null, { status: 302, headers: { location: 'https://elsewhere.example/' } }),
			'redirect'
		],
		['it never ends', endless(0x20), 'too large'],
		['it is no text', new Response(Uint8Array.of(0x22, 0xff, 0x22)), 'no text']
	])('may come later where %s', async (_, given, detail) => {
		const error = await problem(given);
		expect(error).toBeInstanceOf(Passing);
		expect(error).toMatchObject({ code: 'quote-unreachable', detail });
	});

	it.each(['hang', 'hang in the body'] as const)('are waited for no longer: %s', async (given) => {
		const clock = fakeClock();
		const { keys } = ask(given, clock);
		const ended = vi.fn();
		keys.catch(ended);
		await vi.waitFor(() => {
			expect(clock.waiting()).toBe(1);
		});
		clock.advance(29_999);
		await Promise.resolve();
		expect(ended).not.toHaveBeenCalled();
		clock.advance(1);
		await expect(keys).rejects.toBeInstanceOf(Passing);
	});

	it('are not waited for where nobody wants them any more', async () => {
		const clock = fakeClock();
		const { keys, calls, controller } = ask('hang', clock);
		controller.abort();
		await expect(keys).rejects.toBeInstanceOf(Passing);
		expect(calls[0]?.init.signal?.aborted).toBe(true);
	});

	// What follows is an answer, and no keyset: it passes for none, and for none later, nowhere.
	it.each<[string, string]>([
		['nothing', ''],
		['a page', '<!doctype html><title>Sign in</title>'],
		['half an answer', JSON.stringify({ v: 1, keyset: KEYSET }).slice(0, -1)],
		['nothing at all', 'null'],
		['a list', '[]'],
		['a word', '"keyset"'],
		['two keysets', `{"keyset":null,"keyset":${JSON.stringify(KEYSET)}}`],
		['lists in lists', `{"keyset":${'['.repeat(2000)}${']'.repeat(2000)}}`]
	])('are another’s where it says %s', async (_, text) => {
		const error = await problem({ text });
		expect(error).not.toBeInstanceOf(Passing);
		expect(error.code).toBe('internal');
	});

	it.each<[string, Answer, string]>([
		['no keyset', answer({ v: 1 }), 'v'],
		['one of its prototype', { text: '{"__proto__":{"keyset":null}}' }, 'v'],
		['a keyset that is no object', answer({ v: 1, keyset: 7 }), 'v'],
		['a list of keysets', answer({ v: 1, keyset: [KEYSET] }), 'v'],
		['false', answer({ v: 1, keyset: false }), 'v'],
		['nothing as text', answer({ v: 1, keyset: '' }), 'v'],
		['another version', keyset({ v: 2 }), 'v'],
		['a time that is none', keyset({ not_after: '<img src=x onerror=alert(1)>' }), 'not_after'],
		['a time as a number', keyset({ not_after: 1 }), 'not_after'],
		['keys that are no list', keyset({ seal: {} }), 'seal'],
		['no keys', keyset({ seal: [] }), 'no usable key'],
		['more than may be', keyset({ more: 'x'.repeat(8192) }), 'size'],
		['more keys than may be', keyset({ seal: Array.from({ length: 17 }, () => 1) }), 'seal'],
		['a key by another’s name', keyset({ seal: [{ ...KEYSET.seal[0], id: '<b>' }] }), 'id'],
		['a key that is none', keyset({ seal: [null] }), 'key_config'],
		['one key twice', keyset({ seal: [KEYSET.seal[0], KEYSET.seal[0]] }), 'two id']
	])('are another’s where it names %s', async (_, given, detail) => {
		const error = await problem(given);
		expect(error).not.toBeInstanceOf(Passing);
		expect(error).toMatchObject({ code: 'key-mismatch', detail });
	});
});
