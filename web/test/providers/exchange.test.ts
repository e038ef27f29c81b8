/** How services are asked, and what their answers are; tests/unit/test_service_answers.py has it too. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import type { ReasonCode } from '../../src/base/reasons';
import { mergedLog } from '../../src/evidence/merged';
import en from '../../src/i18n/en';
import { judge } from '../../src/providers/exchange';
import { attest } from '../../src/session/attest';
import { defaults, type Settings } from '../../src/session/settings';
import {
	answer,
	fakeFetch,
	makeEnvironment,
	nonceOf,
	type Answer,
	type Call
} from '../support/environment';
import { read } from '../support/json';
import { keptBy } from '../support/kept';
import { must } from '../support/must';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence, type TdOptions } from '../support/pretended-td';
import { problemOf } from '../support/problems';
import { readVectors } from '../support/vectors';

const { about_evidence, cases, other_form, same_form } = readVectors('service_answers') as {
	about_evidence: string[];
	cases: { status: number; body: string; code: ReasonCode | null; says: string }[];
	other_form: [number, string][];
	same_form: [number, string][];
};
const merged = readVectors('merged_logs') as {
	cases: {
		name: string;
		cc_eventlog: string | null;
		aa_eventlog: string | null;
		merged: string | null;
		code: string | null;
	}[];
};
const file = (path: string) => new URL(path, import.meta.url);
const ES256 = makeSigner('ES256');
const INIT = `INIT sha384/${'00'.repeat(48)}`;
const PIN = JSON.stringify(ES256.jwk);

let services = 0;

interface Scene {
	td?: TdOptions;
	/** What the server says of its relay: the address that it goes to. */
	relay?: (address: string) => string | null;
	address?: string;
	/** The address that the server suggests. */
	suggested?: string;
	settings?: (settings: Settings) => void;
	claims?: Claims;
	header?: object;
	/** What the service itself answers, and what comes by the relay. */
	service?: (call: Call, token: string) => Answer;
	relayed?: (call: Call, token: string) => Answer;
	keys?: Answer;
}

const body = ({ init }: Call): unknown => JSON.parse(init.body as string);

/** One run against a service of its own: nothing is remembered of an earlier one. */
const run = async (scene: Scene = {}) => {
	services += 1;
	const address = scene.address ?? `https://as${services}.example`;
	let claims: Claims = {};
	const by = (respond?: Scene['service']) => (call: Call) => {
		const token = makeToken(ES256, claims, scene.header);
		return respond?.(call, token) ?? { text: token };
	};
	const { fetch, calls } = fakeFetch({
		'/tee/config': () => {
			const relay = scene.relay?.(address) ?? null;
			return answer({ providers: { trustee: { url: scene.suggested ?? null, relay } } });
		},
		'/tee/quote': (call) => {
			const made = makeEvidence(nonceOf(call), scene.td);
			claims = scene.claims ?? earClaims(made.fields);
			return answer(made.document);
		},
		'/tee/relay/': by(scene.relayed),
		'/jwks.json': () => scene.keys ?? answer({ keys: [ES256.jwk] }),
		'/attestation': by(scene.service)
	});
	const settings = defaults();
	settings.provider = 'trustee';
	settings.addresses.trustee = address;
	scene.settings?.(settings);
	const env = makeEnvironment(fetch, keptBy(settings));
	const verdict = await attest(env, settings, new AbortController().signal);
	const posts = calls.filter(({ init }) => init.method === 'POST');
	return {
		verdict,
		code: headline(verdict.checks)?.code,
		check: headline(verdict.checks)?.id,
		detail: headline(verdict.checks)?.detail,
		posts,
		/** Who was sent evidence. */
		asked: posts.map(({ url }) => url.replace(address, '')),
		/** What stood in it, of the last one. */
		evidence: () => {
			const sent = body(must(posts.at(-1)));
			const text = read(sent, '/verification_requests/0/evidence') as string;
			return JSON.parse(Buffer.from(text, 'base64url').toString()) as Record<string, string>;
		}
	};
};

const pinned = (settings: Settings) => void (settings.keys.trustee = PIN);
const sendLogs = (settings: Settings) => void (settings.logs.trustee = true);

describe('an answer that is no token', () => {
	it('is read by one table, here and by cczoo-verify', () => {
		const ours = readFileSync(file('../../src/providers/answers.json'));
		const theirs = readFileSync(file('../../../verifier/services/answers.json'));
		expect(ours.equals(theirs)).toBe(true);
	});

	it.each(cases)('$status, $body: $code', ({ status, body: text, code, says }) => {
		const word = judge({ status, text });
		expect(word?.code ?? null).toBe(code);
		expect(word?.meaning ?? '').toContain(says);
		if (code) expect(Object.keys(en)).toContain(`reason.${code}`);
	});

	it('is read in one pass, however long a row of blanks is in it', () => {
		const text = `a${' '.repeat(1 << 22)}b`;
		expect(judge({ status: 500, text })?.code).toBe('service-broken');
		expect(judge({ status: 200, text })).toBeUndefined();
	});

	/** What the page tells apart besides, by the status and by what answers. */
	const finer = ({ status, body: text, code }: (typeof cases)[number]): string | null => {
		const isPage = status === 200 && text.trim().startsWith('<');
		if (isPage || status === 405 || text.startsWith('Json deserialize error'))
			return 'service-kind';
		if ([401, 403, 407].includes(status)) return 'service-keeps-out';
		if (status === 429) return 'service-too-many';
		return [502, 503, 504].includes(status) ? 'service-down' : code;
	};

	// A status without a body cannot be pretended with one, and a redirect is told before its status.
	const whole = cases.filter(({ status, code }) => code && status !== 204);
	it.each(whole)('$status, $body: passes unless it is a refusal', async (given) => {
		const { status, body: text, code, says } = given;
		const service = () => new Response(text, { status, headers: { 'Retry-After': '7' } }) as Answer;
		const { verdict, check, ...found } = await run({ service, settings: pinned });
		expect([verdict.status, found.code]).toEqual(['red', finer(given)]);
		expect(check).toBe(code === 'appraisal' ? 'appraisal' : 'token-signature');
		const redirect = status >= 300 && status < 400;
		expect(found.detail).toContain(redirect ? 'redirect' : `HTTP ${status}`);
		expect(found.detail).toContain(says);
		const wait = redirect ? 0 : 7000;
		expect(verdict.wait).toBe(about_evidence.includes(String(code)) ? undefined : wait);
		expect(found.asked).toHaveLength(1);
	});

	it('is broken where it is no text', async () => {
		const service = () => new Response(Uint8Array.of(0xff, 0x41));
		expect((await run({ service })).code).toBe('service-broken');
	});

	it('is no word of a service that hung up', async () => {
		const { code, verdict } = await run({ service: () => 'no connection', settings: pinned });
		expect([code, verdict.wait]).toEqual(['service-silent', 0]);
	});

	const recordings = file('../../../../shared/data/trustee/');
	it.skipIf(!existsSync(recordings))(
		'of a real Trustee is what it is (recordings in ../shared/data)',
		() => {
			const found: Record<string, string[]> = {};
			for (const name of readdirSync(recordings).filter((one) => one.endsWith('.json'))) {
				const said = JSON.parse(readFileSync(new URL(name, recordings), 'utf8')) as {
					answer: { status: number | null; body?: unknown };
				};
				const { status, body: text } = said.answer;
				if (status === null || typeof text !== 'string') continue;
				const word = judge({ status, text });
				if (word) (found[word.code] ??= []).push(name.replace('.json', ''));
			}
			expect(found['service-rejected']).toHaveLength(10);
			expect(found['service-broken']?.filter((name) => !/body|flat/.test(name)).sort()).toEqual([
				'v0.13.0-bad-json',
				'v0.13.0-no-collateral',
				'v0.21.0-bad-json',
				'v0.21.0-config-collateral-service-down'
			]);
		}
	);
});

describe('evidence is sent once', () => {
	it.each(same_form.filter(([status]) => status !== 200))('after %i %s', async (status, text) => {
		const { asked } = await run({ service: () => ({ status, text }), settings: pinned });
		expect(asked).toHaveLength(1);
	});

	it.each(other_form)('but in the other form after %i %s', async (status, text) => {
		const { asked } = await run({ service: () => ({ status, text }), settings: pinned });
		expect(asked).toHaveLength(2);
	});

	it('to an old Trustee, too, once it is known', async () => {
		const address = 'https://old-and-known.example';
		const text = 'Json deserialize error: missing field `tee` at line 1 column 8413';
		const service = (call: Call, token: string): Answer =>
			read(body(call), '/verification_requests') ? { status: 400, text } : { text: token };
		const counts = [];
		for (let turn = 0; turn < 3; turn += 1) {
			const { asked, verdict } = await run({ address, service, settings: pinned });
			expect(verdict.status).toBe('green');
			counts.push(asked.length);
		}
		expect(counts).toEqual([2, 1, 1]);
	});

	it('by each of 32 at once, which all get their own answer', async () => {
		const runs = await Promise.all(Array.from({ length: 32 }, () => run({ settings: pinned })));
		expect(runs.map(({ verdict }) => verdict.status)).toEqual(runs.map(() => 'green'));
		expect(runs.map(({ asked }) => asked.length)).toEqual(runs.map(() => 1));
	});
});

describe('event logs', () => {
	it('stay home', async () => {
		const { verdict, evidence } = await run({ td: { aael: `${INIT}\na b c\n` } });
		expect(verdict.status).toBe('green');
		expect(Object.keys(evidence())).toEqual(['quote']);
	});

	it('go along as one where the user says so', async () => {
		const given = must(merged.cases.find(({ name }) => name === 'both'));
		const td = { ccel: Buffer.from(given.cc_eventlog ?? '', 'hex'), aael: given.aa_eventlog ?? '' };
		const { evidence } = await run({ td, settings: sendLogs });
		expect(Object.keys(evidence())).toEqual(['quote', 'cc_eventlog']);
		const sent = Buffer.from(evidence().cc_eventlog ?? '', 'base64').toString('hex');
		expect(sent).toBe(given.merged);
	});

	it('that are not there do not go along', async () => {
		const { verdict, evidence } = await run({ settings: sendLogs });
		expect(verdict.status).toBe('green');
		expect(Object.keys(evidence())).toEqual(['quote']);
	});

	it('that do not go into one are told, and none is sent', async () => {
		const td = { aael: `INIT sha384/${'11'.repeat(48)}\na b c\n` };
		const { verdict, evidence, check, code } = await run({ td, settings: sendLogs });
		expect(Object.keys(evidence())).toEqual(['quote']);
		expect([verdict.status, check, code]).toEqual(['amber', 'token-signature', 'logs-unmerged']);
	});

	it('that are wrong are told before the service’s word, which is asked for all the same', async () => {
		const service = () => ({ status: 500, text: 'Verifier evaluate failed' });
		const td = { ccel: Buffer.from('no log') };
		const { verdict, asked, check } = await run({ td, service, settings: pinned });
		expect(asked).toHaveLength(1);
		expect(check).toBe('event-log');
		const failed = verdict.checks.filter(
			({ outcome, code }) => outcome === 'fail' && code !== 'not-run'
		);
		expect(failed.map(({ code }) => code)).toEqual(['log-malformed', 'service-rejected']);
	});

	it.each(merged.cases)('are merged as cczoo-verify merges them: $name', (given) => {
		const { cc_eventlog, aa_eventlog, merged: whole, code } = given;
		const ccel = cc_eventlog === null ? null : Uint8Array.from(Buffer.from(cc_eventlog, 'hex'));
		if (code) {
			expect(problemOf(() => mergedLog(ccel, aa_eventlog))?.code).toBe(code);
			return;
		}
		const made = mergedLog(ccel, aa_eventlog);
		expect(made && Buffer.from(made).toString('hex')).toBe(whole);
	});
});

describe('keys', () => {
	it.each<[string, Answer, ReasonCode]>([
		['of a Trustee that publishes none', { status: 404, text: '' }, 'keys-needed'],
		['out of reach', 'no connection', 'keys-silent'],
		['that are none', { text: '{"keys":[]}' }, 'keys-malformed'],
		['in the place of which there is a page', { text: '<!doctype html>' }, 'service-kind'],
		['in the place of which there is something else', { text: '{"models":[]}' }, 'service-kind']
	])('%s: nothing is sent', async (_name, keys, code) => {
		const { asked, ...found } = await run({ keys });
		expect([asked, found.code]).toEqual([[], code]);
	});

	it('are read before anything is sent, where they are pinned', async () => {
		const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
		const { asked, code } = await run({ settings: (s) => void (s.keys.trustee = pem) });
		expect([asked, code]).toEqual([[], 'keys-malformed']);
	});

	it('never come by the relay: where the page cannot have them, it says "pin" first', async () => {
		const { asked, code, verdict } = await run({
			relay: (address) => address,
			keys: 'no connection',
			service: () => 'no connection'
		});
		expect([asked, code, verdict.status]).toEqual([[], 'keys-needed', 'red']);
	});

	it('that the page has may judge what came by the relay', async () => {
		const { asked, verdict } = await run({
			relay: (address) => address,
			service: () => 'no connection'
		});
		expect(asked).toEqual(['/attestation', '/api/v1/tee/relay/trustee']);
		expect(verdict.status).toBe('green');
	});

	it.each<[ReasonCode, object]>([
		['key-changed', { kid: undefined, jwk: makeSigner('ES256').jwk }],
		['token-forged', { kid: undefined }],
		['token-forged', { kid: undefined, jwk: { kty: 'EC', x5c: ['AAAA'] } }]
	])('that changed are told as that where the header says so: %s', async (code, header) => {
		const other = JSON.stringify({ ...makeSigner('ES256').jwk, kid: undefined });
		const settings = (s: Settings) => void (s.keys.trustee = other);
		const { verdict, ...found } = await run({ header, settings });
		expect([verdict.status, verdict.wait, found.code]).toEqual(['red', undefined, code]);
	});
});

describe('plain HTTP to another machine', () => {
	const address = 'http://192.0.2.1:8080';

	it('is asked by the relay alone, under pinned keys', async () => {
		const { verdict, asked } = await run({ address, relay: () => address, settings: pinned });
		expect(asked).toEqual(['/api/v1/tee/relay/trustee']);
		expect(verdict.status).toBe('green');
	});

	it('counts for nothing without a pin, and gets nothing', async () => {
		const settings = (s: Settings) => void (s.addresses.trustee = '');
		const suggested = `${address}/attestation`;
		const { code, asked } = await run({ suggested, relay: () => address, settings });
		expect([code, asked]).toEqual(['http-unpinned', []]);
		// What the person would write in is not stored without the pin.
		expect((await run({ address, relay: () => address })).code).toBe('settings-unreadable');
	});

	it('is not asked where the relay goes elsewhere', async () => {
		for (const other of [null, 'http://192.0.2.2:8080', `${address}/x`]) {
			const { code, detail, asked } = await run({ address, relay: () => other, settings: pinned });
			expect([code, detail, asked]).toEqual(['no-relay', other ?? '', []]);
		}
	});

	it('gives a token that still has to be signed with the pinned key', async () => {
		const relayed = () => ({ text: makeToken(makeSigner('ES256', ES256.kid), {}) });
		const scene = { address, relay: () => address, relayed, settings: pinned };
		expect((await run(scene)).code).toBe('token-forged');
	});
});

describe('the relay', () => {
	it('is not used for a service that it does not reach', async () => {
		const { code, detail, asked, verdict } = await run({
			relay: () => 'https://elsewhere.example',
			service: () => 'no connection',
			settings: pinned
		});
		expect([code, detail]).toEqual(['no-relay', 'https://elsewhere.example']);
		expect(asked).toEqual(['/attestation']);
		expect(verdict.wait).toBe(0);
	});

	const brokenOff = () =>
		new Response(
			new ReadableStream({
				start(stream) {
					stream.error(new TypeError('network'));
				}
			})
		);
	it.each<[string, () => Answer]>([
		['redirects', () => new Response('', { status: 302 })],
		['answers no text', () => new Response(Uint8Array.of(0xff))],
		['breaks off', brokenOff]
	])('is not used where the service %s: it has the evidence', async (_name, service) => {
		const { asked } = await run({ relay: (address) => address, service, settings: pinned });
		expect(asked).toEqual(['/attestation']);
	});
});
