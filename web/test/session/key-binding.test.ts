/** The check `key-binding` in whole runs: who holds the keys that a quote binds, and what follows. */
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import type { Environment } from '../../src/base/environment';
import { attest, type Verdict } from '../../src/session/attest';
import { markedStorage } from '../../src/session/marks';
import { defaults, SEALED_KEY, type Settings } from '../../src/session/settings';
import {
	answer,
	fakeClock,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	nonceOf,
	NOW,
	settle,
	type Answer,
	type Call
} from '../support/environment';
import { flipped } from '../support/bytes';
import { HOLDER } from '../support/holder';
import { fakeMarks } from '../support/kept';
import { must } from '../support/must';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence, type TdOptions } from '../support/pretended-td';
import { makeSealedServer } from '../support/sealed-server';

const TRUSTEE = 'https://trustee.example';
const signer = makeSigner('ES256');
/** Somebody else, with keys of the same kinds and names. */
const STRANGER = await makeSealedServer((NOW + 3600) * 1000);

const sealedType = { 'content-type': 'message/ohttp-chunked-res' };

interface Scene {
	td?: TdOptions;
	/** Whoever answers sealed requests here. */
	holder?: (call: Call) => Answer | Promise<Answer>;
	service?: Answer;
	/** What this server answers to a question without a token. */
	unknown?: Answer;
	policy?: object;
	env?: Partial<Environment>;
}

/** A browser, and one run after the other in it. */
const makeBrowser = () => {
	const { items, ...storage } = fakeStorage();
	const marks = fakeMarks();
	const memory = markedStorage(storage, marks);
	const run = async (scene: Scene = {}) => {
		let claims: Claims = {};
		const { fetch, calls, sealed } = fakeFetch({
			...(scene.holder && { '/tee/ohttp': scene.holder }),
			'/tee/config': () => answer({}),
			'/tee/quote': (call) => {
				const token = new Headers(call.init.headers).get('Authorization');
				if (scene.unknown && !token) return scene.unknown;
				const { document, fields } = makeEvidence(nonceOf(call), scene.td);
				claims = earClaims(fields);
				return answer(document);
			},
			'/jwks.json': () => answer({ keys: [signer.jwk] }),
			'/attestation': () => scene.service ?? { text: makeToken(signer, claims) }
		});
		const settings: Settings = { ...defaults(), provider: 'trustee' };
		settings.addresses.trustee = TRUSTEE;
		if (scene.policy) settings.policy = JSON.stringify({ v: 1, ...scene.policy });
		memory.setItem('tee.settings', JSON.stringify(settings));
		const env = makeEnvironment(fetch, { memory, marks, ...scene.env });
		const verdict = await attest(env, settings, new AbortController().signal);
		return { verdict, calls, sealed };
	};
	return { run, items, marks };
};

const finding = ({ checks }: Verdict, id = 'key-binding') =>
	must(checks.find((check) => check.id === id));
/** Status, outcome of the check and its code. */
const told = (verdict: Verdict) => {
	const { outcome, code } = finding(verdict);
	return [verdict.status, outcome, code];
};
const run = (scene?: Scene) => makeBrowser().run(scene);

describe('a key whose holder answers', () => {
	it('passes with its name and end, and hands out the keyset', async () => {
		const before = HOLDER.seen.length;
		const { verdict, sealed } = await run();
		const { keyset } = HOLDER;
		expect(told(verdict)).toEqual(['green', 'pass', undefined]);
		expect(finding(verdict).detail).toBe(`${must(keyset.seal[0]).id} ${keyset.not_after}`);
		expect(verdict.keyset).toEqual(keyset);
		expect(sealed).toHaveLength(1);
		const [asked, ...more] = HOLDER.seen.slice(before);
		expect(more).toEqual([]);
		expect(asked).toMatchObject({
			method: 'GET',
			scheme: 'https',
			authority: 'chat.example',
			path: '/api/v1/tee/sealed'
		});
		const names = must(asked).fields.map(([name]) => name);
		expect(names).not.toContain('authorization');
		expect(names).not.toContain('cookie');
	});

	it('passes whatever it answers', async () => {
		const server = await makeSealedServer((NOW + 3600) * 1000, () => ({ status: 500 }));
		const { verdict } = await run({ td: { keyset: server.keyset }, holder: server.answer });
		expect(told(verdict)).toEqual(['green', 'pass', undefined]);
	});

	it('passes with a clock that is wrong by some minutes', async () => {
		const server = await makeSealedServer((NOW + 3600) * 1000, () => ({
			status: 400,
			fields: [
				['content-type', 'application/problem+json'],
				['date', new Date(0).toUTCString()]
			],
			body: ['{"type":"https://iana.org/assignments/http-problem-types#date"}']
		}));
		const { verdict, sealed } = await run({ td: { keyset: server.keyset }, holder: server.answer });
		expect([told(verdict), sealed.length]).toEqual([['green', 'pass', undefined], 2]);
	});

	it('is remembered only where all else is in order, too', async () => {
		const browser = makeBrowser();
		const refusal: Answer = { status: 500, text: 'Verifier evaluate failed' };
		for (const service of [refusal, 'no connection'] as const) {
			const { verdict } = await browser.run({ service });
			expect(told(verdict)).toEqual(['red', 'pass', undefined]);
			expect(browser.items.has(SEALED_KEY)).toBe(false);
		}
		await browser.run();
		expect(browser.marks.items.get(SEALED_KEY)).toBe(must(browser.items.get(SEALED_KEY)));
	});

	it('ends the result with the keys', async () => {
		for (const left of [3600, 700, 60]) {
			const server = await makeSealedServer((NOW + left) * 1000);
			const { verdict } = await run({
				td: { keyset: server.keyset },
				holder: server.answer
			});
			expect(verdict.expires).toBe((NOW + Math.min(left, 300)) * 1000); // or with the token
		}
	});
});

describe('a quote that binds no key', () => {
	const td: TdOptions = { keyset: null };

	it('warns, and is asked for no more', async () => {
		const { verdict, sealed } = await run({ td });
		expect(told(verdict)).toEqual(['amber', 'warn', 'key-none']);
		expect(headline(verdict.checks)?.id).toBe('key-binding');
		expect([verdict.keyset, verdict.forget, sealed]).toEqual([undefined, undefined, []]);
	});

	it('warns whatever it shows beside', async () => {
		const { verdict } = await run({ td: { ...td, shown: { keyset: HOLDER.keyset } } });
		expect([told(verdict), verdict.keyset]).toEqual([['amber', 'warn', 'key-none'], undefined]);
	});

	it('fails where the policy requires one', async () => {
		const { verdict, calls } = await run({ td, policy: { require_sealed: true } });
		expect(told(verdict)).toEqual(['red', 'fail', 'key-none']);
		expect(verdict.forget).toBeUndefined();
		expect(calls.filter(({ url }) => url.startsWith(TRUSTEE))).toEqual([]);
		expect((await run({ policy: { require_sealed: true } })).verdict.status).toBe('green');
	});

	it('fails where this browser had a sealed connection, until the person forgets that', async () => {
		const browser = makeBrowser();
		expect((await browser.run()).verdict.status).toBe('green');
		for (const lost of [() => undefined, () => browser.items.delete(SEALED_KEY)]) {
			lost();
			const { verdict } = await browser.run({ td });
			expect(told(verdict)).toEqual(['red', 'fail', 'key-none']);
		}
		const { verdict } = await browser.run({ td });
		expect(finding(verdict, 'settings')).toMatchObject({
			code: 'settings-foreign', // it was the page that lost it, and not the person
			detail: SEALED_KEY
		});
		must(verdict.forget)();
		expect(told((await browser.run({ td })).verdict)).toEqual(['amber', 'warn', 'key-none']);
		expect((await browser.run()).verdict.status).toBe('green');
		expect(told((await browser.run({ td })).verdict)).toEqual(['red', 'fail', 'key-none']);
	});
});

describe('keys that are not the quote’s, or not in date,', () => {
	const end = (seconds: number) => ({
		...HOLDER.keyset,
		not_after: `${new Date((NOW + seconds) * 1000).toISOString().slice(0, 19)}Z`
	});

	it.each<[string, TdOptions, string]>([
		['of another quote', { shown: { keyset: STRANGER.keyset } }, 'key-mismatch'],
		['with a statement of another', { shown: { statement: { v: 1, x: 1 } } }, 'key-mismatch'],
		['that are not shown', { shown: { keyset: undefined } }, 'key-mismatch'],
		['that are malformed', { keyset: { v: 1 } }, 'key-mismatch'],
		['that have ended', { keyset: end(-121) }, 'keyset-expired'],
		['that live too long', { keyset: end(3721) }, 'keyset-life']
	])('%s fail, and nobody is asked', async (_name, td, code) => {
		const browser = makeBrowser();
		const { verdict, calls, sealed } = await browser.run({ td: { ...td, aael: 'no log' } });
		expect(told(verdict)).toEqual(['red', 'fail', code]);
		expect(headline(verdict.checks)?.code).toBe(code);
		expect(finding(verdict, 'event-log').code).toBe('not-run');
		expect([sealed, calls.filter(({ url }) => url.startsWith(TRUSTEE))]).toEqual([[], []]);
		expect([verdict.keyset, verdict.wait]).toEqual([undefined, undefined]);
		expect(browser.items.has(SEALED_KEY)).toBe(false);
	});
});

describe('keys that nobody here holds', () => {
	const page = new TextEncoder().encode('<html>');

	it.each<[string, NonNullable<Scene['holder']>]>([
		['somebody else answers under keys of their own', STRANGER.answer],
		['somebody else passes on what the holder answered to others', () => replay()],
		['nobody knows the key', () => ({ status: 422, text: '{"code":"key-unknown"}' })],
		['the address is not there', () => ({ status: 404, text: '' })],
		['it is refused', () => ({ status: 403, text: '' })],
		['the server is broken', () => ({ status: 500, text: '' })],
		['the answer is plain', () => answer({ v: 1, sealed: true })],
		['the answer is a page', () => ({ text: '<html>' })],
		['the answer is nothing', () => new Response('', { headers: sealedType })],
		['the answer is no sealed one', () => new Response(page, { headers: sealedType })],
		['the answer is of too many bytes', () => huge()],
		['the answer leads elsewhere', () => new Response(null, { status: 302 })]
	])('are silent: %s', async (_name, holder) => {
		const browser = makeBrowser();
		const { verdict } = await browser.run({ holder });
		expect(told(verdict)).toEqual(['red', 'fail', 'key-silent']);
		expect(headline(verdict.checks)?.code).toBe('key-silent');
		// All else is as it was: the machine that made the quote is a genuine one.
		expect(verdict.checks.filter(({ outcome }) => outcome === 'fail')).toHaveLength(1);
		expect([verdict.keyset, verdict.wait]).toEqual([undefined, undefined]);
		expect([...browser.items.keys()]).toEqual(['tee.settings']);
	});

	const replay = async () => {
		const { sealed } = await run();
		return HOLDER.answer(must(sealed[0]));
	};
	const huge = () => {
		const pull = (controller: ReadableStreamDefaultController) => {
			controller.enqueue(new Uint8Array(1 << 16).fill(0x80));
		};
		return new Response(new ReadableStream({ pull }), { headers: sealedType });
	};

	it('are silent where any byte of what must open is changed', async () => {
		const bodyOf = ({ init }: Call) => new Uint8Array(init.body as ArrayBuffer);
		let size = 1;
		for (let at = 0; at < size; at += 1) {
			const holder = async (call: Call) => {
				const [nonce, head, ...rest] = (await HOLDER.answerPieces(bodyOf(call))).map(must);
				const opens = Buffer.concat([must(nonce), must(head)]);
				size = opens.length;
				return new Response(Buffer.concat([flipped(opens, at), ...rest]), { headers: sealedType });
			};
			expect(told((await run({ holder })).verdict)).toEqual(['red', 'fail', 'key-silent']);
		}
		expect(size).toBeGreaterThan(50);
	});
});

describe('trouble that passes', () => {
	const busy = new Response('', { status: 503, headers: { 'Retry-After': '7' } });

	it.each<[string, Answer, number]>([
		['no connection', 'no connection', 0],
		['too many requests', { status: 429, text: '' }, 0],
		['too many in flight', busy, 7000],
		['a proxy without a server behind it', { status: 502, text: '<html>' }, 0]
	])('is not the key’s silence: %s', async (_name, given, wait) => {
		const { verdict } = await run({ holder: () => given });
		expect(told(verdict)).toEqual(['red', 'fail', 'quote-unreachable']);
		expect(verdict.wait).toBe(wait);
	});

	it.each<[string, () => Answer]>([
		['at once', () => 'hang'],
		['in the body', () => new Response(new ReadableStream({}), { headers: sealedType })]
	])('ends where nothing comes (%s), and hinders nobody', async (_name, holder) => {
		const { now, elapsed, later, advance } = fakeClock();
		let asked = false;
		const service = () => (asked = true);
		const result = run({
			holder,
			env: { now, elapsed, later, subtle: watching(service) }
		});
		let verdict: Verdict | undefined;
		void result.then((done) => ({ verdict } = done));
		// Before anything ends by its time, the service has been asked, and its token verified.
		await settle(() => asked);
		expect(verdict).toBeUndefined();
		await settle(() => {
			advance(1000);
			return verdict !== undefined;
		});
		expect(told(must(verdict))).toEqual(['red', 'fail', 'quote-unreachable']);
		expect(finding(must(verdict), 'appraisal').outcome).toBe('pass');
		expect(must(verdict).wait).toBe(0);
	});
});

/** WebCrypto that tells when a token's signature is verified. */
const watching = (tell: () => void): SubtleCrypto =>
	new Proxy(crypto.subtle, {
		get: (real, name) => {
			if (name === 'verify') tell();
			const member = Reflect.get(real, name, real) as unknown;
			return typeof member === 'function' ? (member.bind(real) as unknown) : member;
		}
	});

describe('the user’s token', () => {
	const unknown: Answer = { status: 401, text: '{"detail":"Not authenticated"}' };
	const tokens = (calls: Call[]) =>
		calls.filter(({ init }) => JSON.stringify(init.headers ?? {}).includes('session-token'));

	it('goes to a server that seals nothing and asks for it', async () => {
		const { verdict, calls } = await run({ td: { keyset: null }, unknown });
		expect(told(verdict)).toEqual(['amber', 'warn', 'key-none']);
		expect(tokens(calls)).toHaveLength(1);
	});

	it('does not leave unsealed where requests were ever sealed, whoever asks', async () => {
		const browser = makeBrowser();
		await browser.run();
		const { verdict, calls } = await browser.run({ unknown });
		expect(headline(verdict.checks)?.code).toBe('quote-refused');
		expect([verdict.status, verdict.wait, tokens(calls)]).toEqual(['red', 0, []]);
	});
});
