import { describe, expect, it, vi } from 'vitest';
import type { Environment } from '../../src/base/environment';
import { attest } from '../../src/session/attest';
import { DEADLINE, type Verify } from '../../src/session/session';
import { SEALED_KEY } from '../../src/session/settings';
import { tryProvider } from '../../src/session/trial';
import {
	answer,
	fakeClock,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	nonceOf
} from '../support/environment';
import { fakeMarks } from '../support/kept';
import { problemIn } from '../support/problems';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence } from '../support/pretended-td';

const signer = makeSigner('ES256');
const TRUSTEE = 'https://trustee.example';
const TRIED = {
	provider: 'trustee',
	address: TRUSTEE,
	keys: JSON.stringify(signer.jwk),
	policy: ''
} as const;

/** A server with its service, and a browser that remembers what its person stored. */
const makeSite = (more: Partial<Environment> = {}) => {
	let claims: Claims = {};
	const outside = fakeFetch({
		'/tee/config': () => answer({ v: 1, enforcement: 'block' }),
		'/tee/quote': (call) => {
			const { fields, document } = makeEvidence(nonceOf(call));
			claims = earClaims(fields);
			return answer(document);
		},
		'/attestation': () => ({ text: makeToken(signer, claims) })
	});
	const memory = fakeStorage(
		new Map([
			['tee.settings', 'damaged'],
			['tee.memory', 'mine']
		])
	);
	const marks = fakeMarks();
	const env = makeEnvironment(outside.fetch, { memory, marks, confirmed: () => true, ...more });
	return { ...outside, env, memory, marks };
};

const signal = () => new AbortController().signal;

describe('a provider that is tried', () => {
	it('comes to what a user would get, and leaves no trace', async () => {
		const { env, memory, marks, calls } = makeSite();
		const before = [...memory.items];
		const verdict = await tryProvider(env, attest, TRIED, signal());
		const outcomes = Object.fromEntries(verdict.checks.map(({ id, outcome }) => [id, outcome]));
		expect(outcomes).toMatchObject({ 'token-signature': 'pass', settings: 'pass' });
		expect(verdict.choice).toMatchObject({ address: TRUSTEE, serverChosen: false });
		expect([...memory.items]).toEqual(before);
		expect(marks.items.size).toBe(0);
		expect(calls.some(({ url }) => url.startsWith(TRUSTEE))).toBe(true);
	});

	it('is judged by the policy that stands in the form', async () => {
		const { env } = makeSite();
		const policy = JSON.stringify({ v: 1, reference_values: { mr_td: ['00'.repeat(48)] } });
		const { checks, status } = await tryProvider(env, attest, { ...TRIED, policy }, signal());
		expect(status).toBe('red');
		expect(checks.find(({ id }) => id === 'reference-values')?.code).toBe('reference-values');
	});

	it('sees a browser that was never here, but for what keeps the token sealed', async () => {
		const seen: Environment[] = [];
		const verify: Verify = (env) => {
			seen.push(env);
			return Promise.reject(new Error('enough'));
		};
		const { env, memory } = makeSite();
		await tryProvider(env, verify, TRIED, signal()).catch(() => undefined);
		memory.items.set(SEALED_KEY, '{"v":1,"sealed":true}');
		await tryProvider(env, verify, TRIED, signal()).catch(() => undefined);
		const kept = (name: string) => seen.map((one) => one.memory.getItem(name));
		expect(kept('tee.memory')).toEqual([null, null]);
		expect(kept(SEALED_KEY)).toEqual([null, '{"v":1,"sealed":true}']);
		expect(seen.map((one) => one.confirmed([]))).toEqual([false, false]);
		seen[0]?.marks.set('tee.memory', 'x');
		expect(await env.marks.get('tee.memory')).toBeNull();
	});

	it.each([
		['bad-address', { address: '' }],
		['bad-address', { address: 'ftp://x' }],
		['http-unpinned', { address: 'http://trustee.example', keys: '' }],
		['keys-malformed', { keys: '{}' }]
	])('is not asked where no user could have such settings: %s', async (code, wrong) => {
		const { env, calls } = makeSite();
		const tried = { ...TRIED, ...wrong };
		const problem = await problemIn(() => tryProvider(env, attest, tried, signal()));
		expect([problem?.code, calls]).toEqual([code, []]);
	});

	it('is given up at the deadline', async () => {
		const clock = fakeClock();
		let asked: AbortSignal | undefined;
		const verify: Verify = (_env, _settings, inner) => {
			asked = inner;
			return new Promise(() => undefined);
		};
		const { env } = makeSite({ later: clock.later });
		const trying = problemIn(() => tryProvider(env, verify, TRIED, signal()));
		await vi.waitFor(() => {
			expect(asked).toBeDefined();
		});
		clock.advance(DEADLINE);
		expect((await trying)?.code).toBe('internal');
		expect(asked?.aborted).toBe(true);
	});

	it('ends with whoever asked for it', async () => {
		const controller = new AbortController();
		let asked: AbortSignal | undefined;
		const verify: Verify = (_env, _settings, inner) => {
			asked = inner;
			return new Promise(() => undefined);
		};
		const trying = problemIn(() => tryProvider(makeSite().env, verify, TRIED, controller.signal));
		await vi.waitFor(() => {
			expect(asked).toBeDefined();
		});
		controller.abort();
		expect((await trying)?.code).toBe('internal');
		expect(asked?.aborted).toBe(true);
	});
});
