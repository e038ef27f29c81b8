/** Which failures pass by themselves, and which are a word about the machine. */
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import { attest } from '../../src/session/attest';
import { defaults, type Settings } from '../../src/session/settings';
import { bits } from '../support/bytes';
import {
	answer,
	endless,
	fakeClock,
	fakeFetch,
	makeEnvironment,
	nonceOf,
	NOW,
	settle,
	type Answer
} from '../support/environment';
import { keptBy } from '../support/kept';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence, someFields, type TdOptions } from '../support/pretended-td';

const signer = makeSigner('ES256');

/** What is answered in the place of the good answer. */
interface Scene {
	config?: Answer;
	quote?: Answer;
	service?: Answer;
	keys?: Answer;
	td?: TdOptions;
	settings?: (settings: Settings) => void;
}

/** Each request gets an answer of its own. */
const anew = (given?: Answer): Answer | undefined =>
	given instanceof Response ? given.clone() : given;

const run = async (scene: Scene) => {
	let claims: Claims = {};
	const { fetch, calls } = fakeFetch({
		'/tee/config': () => anew(scene.config) ?? answer({}),
		'/tee/quote': (call) => {
			const made = makeEvidence(nonceOf(call), scene.td);
			claims = earClaims(made.fields);
			return anew(scene.quote) ?? answer(made.document);
		},
		'/jwks.json': () => anew(scene.keys) ?? answer({ keys: [signer.jwk] }),
		'/attestation': () => anew(scene.service) ?? { text: makeToken(signer, claims) }
	});
	const settings = defaults();
	settings.provider = 'trustee';
	settings.addresses.trustee = 'https://trustee.example';
	scene.settings?.(settings);
	const clock = fakeClock();
	const { now, elapsed, later } = clock;
	const env = makeEnvironment(fetch, { ...keptBy(settings), now, elapsed, later });
	const result = attest(env, settings, new AbortController().signal);
	let done = false;
	void result.then(() => (done = true));
	const hangs = Object.values(scene).some((given) => /^hang/.test(String(given)));
	await settle(() => {
		if (hangs) clock.advance(1000);
		return done;
	});
	const verdict = await result;
	return { verdict, calls, code: headline(verdict.checks)?.code };
};

const later = (status: number, retryAfter: string, text = '') =>
	new Response(text, { status, headers: { 'Retry-After': retryAfter } });
const busy: Answer = { status: 503, text: '{"status":false,"code":"busy","detail":"later"}' };
const BUG = { td_attributes: bits(0, 28) };

describe('passes by itself', () => {
	it.each<[string, Scene]>([
		['a quote that gets no connection', { quote: 'no connection' }],
		['a quote that hangs', { quote: 'hang' }],
		['a quote that hangs half way', { quote: 'hang in the body' }],
		['a quote without end', { quote: endless(32) }],
		['a busy quote service', { quote: busy }],
		['too many who ask', { quote: { status: 429, text: '' } }],
		['a quote that takes too long', { quote: { status: 504, text: '{"code":"timed-out"}' } }],
		['a proxy without a server behind it', { quote: { status: 502, text: '<html>' } }],
		['somebody’s page with a good status instead of evidence', { quote: { text: '<html>' } }],
		['somebody’s words with a good status instead of evidence', { quote: { text: 'Welcome' } }],
		['nothing with a good status instead of evidence', { quote: { text: '' } }],
		['a sign-in that has ended', { quote: { status: 401, text: '{"detail":"Who?"}' } }],
		['suggestions that get no connection', { config: 'no connection' }],
		['suggestions of a server that starts', { config: { status: 503, text: '' } }],
		['a service that gets no connection', { service: 'no connection' }],
		['a service that hangs', { service: 'hang' }],
		['a service with too many who ask', { service: { status: 429, text: '' } }],
		['a proxy without a service behind it', { service: { status: 502, text: '<html>' } }],
		['a proxy with a page of its own', { service: { status: 520, text: '<html>' } }],
		['somebody’s page with a good status instead of a token', { service: { text: '<html>' } }],
		['a service that is not there now', { service: { status: 503, text: '' } }],
		['keys that get no connection', { keys: 'no connection' }],
		['keys that are not there now', { keys: { status: 503, text: '' } }],
		['keys that are somebody’s page', { keys: { text: '<html>' } }]
	])('%s', async (_name, scene) => {
		const { verdict } = await run(scene);
		expect([verdict.status, verdict.wait]).toEqual(['red', 0]);
	});

	it('evidence that is no JSON, and is red with that where nothing older holds', async () => {
		const quote = later(200, '9', '<html>');
		const { verdict } = await run({ quote });
		expect(headline(verdict.checks)).toMatchObject({
			id: 'evidence-format',
			code: 'evidence-malformed',
			detail: 'HTTP 200 <html>'
		});
		expect(verdict.wait).toBe(9_000);
	});

	it('after as long as is asked for, in seconds or by a date', async () => {
		const date = new Date((NOW + 90) * 1000).toUTCString();
		expect((await run({ quote: later(429, '5') })).verdict.wait).toBe(5_000);
		expect((await run({ config: later(503, '7') })).verdict.wait).toBe(7_000);
		expect((await run({ service: later(503, '30') })).verdict.wait).toBe(30_000);
		expect((await run({ keys: later(429, date) })).verdict.wait).toBe(90_000);
		for (const text of ['', '-5', 'soon', new Date(0).toUTCString()]) {
			expect((await run({ quote: later(429, text) })).verdict.wait).toBe(0);
		}
	});
});

describe('is a word about the machine, and does not pass', () => {
	it.each<[string, Scene]>([
		['no TDX', { quote: { status: 503, text: '{"code":"tdx-not-available"}' } }],
		['evidence that is none', { quote: answer({ status: true }) }],
		['JSON that is no object', { quote: answer([]) }],
		['evidence of another nonce', { quote: answer(makeEvidence(bits(3)).document) }],
		['a refusal', { service: { status: 500, text: 'Verifier evaluate failed' } }],
		['a token that does not verify', { keys: answer({ keys: [makeSigner('ES256').jwk] }) }],
		['debug', { td: { fields: someFields(BUG) } }],
		['debug, while something else may pass', { td: { fields: someFields(BUG) }, service: busy }],
		['the user’s pins', { settings: (s) => void (s.keys.trustee = '{"keys":[]}') }]
	])('%s', async (_name, scene) => {
		const { verdict } = await run(scene);
		expect([verdict.status, verdict.wait]).toEqual(['red', undefined]);
	});

	it('nor does a good result', async () => {
		const { verdict } = await run({});
		expect([verdict.status, verdict.wait]).toEqual(['green', undefined]);
	});
});

describe('without this server’s suggestions', () => {
	const automatic = (settings: Settings) => void (settings.provider = null);

	it('nobody gets the evidence in the place of the one that it would have named', async () => {
		for (const [config, reason] of [
			['no connection', 'quote-unreachable'],
			[{ status: 502, text: '' }, 'server-down']
		] as const) {
			const { verdict, calls, code } = await run({ config, settings: automatic });
			expect([verdict.status, code]).toEqual(['red', reason]);
			expect(calls.filter(({ url }) => url.startsWith('https:'))).toEqual([]);
		}
	});

	it('a reason about the machine comes first', async () => {
		const quote = { status: 503, text: '{"code":"tdx-not-available"}' };
		const { verdict, code } = await run({ config: 'no connection', quote });
		expect([code, verdict.wait]).toEqual(['tdx-not-available', undefined]);
	});

	it('a server that has none is asked all the same', async () => {
		for (const config of [{ status: 404, text: '' }, { text: '<html>' }]) {
			expect((await run({ config })).verdict.status).toBe('green');
		}
	});
});
