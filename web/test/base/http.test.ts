/** Whom this user's token and cookies go to. */
import { describe, expect, it } from 'vitest';
import { request } from '../../src/base/http';
import { fakeFetch, makeEnvironment, type Answer, type Call } from '../support/environment';
import { must } from '../support/must';

const OWN = '/api/v1/tee/quote';

/** The answers to one request after the other, and what each of them brought along. */
const ask = async (url: string, answers: Answer[], token = 'secret', body?: object) => {
	const { fetch, calls } = fakeFetch({ '': () => must(answers.shift()) });
	const env = makeEnvironment(fetch, { token: () => token });
	const { signal } = new AbortController();
	const reply = await request(env, signal, url, 'quote-unreachable', body && { ...body });
	const bore = calls.map(({ init }: Call) => [
		new Headers(init.headers).get('Authorization'),
		init.credentials
	]);
	return { reply, bore, calls };
};

const BARE = [null, 'omit'];
const TOLD = ['Bearer secret', 'same-origin'];

describe('token and cookies', () => {
	it('stay here where nobody asks for them', async () => {
		for (const answer of [{ text: '{}' }, { status: 404, text: '' }, { status: 503, text: '' }]) {
			expect((await ask(OWN, [answer])).bore).toEqual([BARE]);
		}
	});

	it.each([401, 403, 429])('go to this server where it asks by %s, once', async (status) => {
		const asks = { status, text: 'Who?' };
		const good = await ask(OWN, [asks, { text: 'good' }]);
		expect([good.bore, good.reply.text]).toEqual([[BARE, TOLD], 'good']);
		const bad = await ask(OWN, [asks, asks]);
		expect([bad.bore, bad.reply.status]).toEqual([[BARE, TOLD], status]);
	});

	it('stay here where there is no token, or it must not leave', async () => {
		const { bore, reply } = await ask(OWN, [{ status: 401, text: 'Who?' }], '');
		expect([bore, reply.text]).toEqual([[BARE], 'Who?']);
	});

	it.each(['https://service.example/attestation', '/api/v10/tee/quote', '/api/v1'])(
		'never go to %s',
		async (url) => {
			const { bore } = await ask(url, [{ status: 401, text: '' }, { text: '' }]);
			expect(bore).toEqual([BARE]);
		}
	);

	it('go with the same question as before', async () => {
		const { calls } = await ask(OWN, [{ status: 401, text: '' }, { text: '' }], 'secret', { a: 1 });
		expect(calls.map(({ url, init }) => [url, init.method, init.body, init.redirect])).toEqual(
			Array(2).fill([OWN, 'POST', '{"a":1}', 'manual'])
		);
	});
});
