/** The provider `dcap`: a whole run against recorded answers, under one root or another. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { headline } from '../../src/base/checks';
import type { Context } from '../../src/providers/provider';
import { attest, type Verdict } from '../../src/session/attest';
import { defaults, type Settings } from '../../src/session/settings';
import {
	answer,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	refusingStorage,
	type Answer
} from '../support/environment';
import { put } from '../support/json';
import { keptBy } from '../support/kept';
import { must } from '../support/must';
import { readVectors } from '../support/vectors';

interface Recorded {
	root_pem: string;
	evidence: { quote: string };
	collateral: Record<string, string>;
	OutOfDate: Record<string, string>;
	SWHardeningNeeded: Record<string, string>;
	'next edition, OutOfDate': Record<string, string>;
}
const {
	simulator,
	other,
	now: NOW,
	nonce_base64url
} = readVectors('dcap') as {
	simulator: Recorded;
	other: Recorded;
	/** Seconds since 1970. */
	now: number;
	nonce_base64url: string;
};

const jwkOf = ({ root_pem }: Recorded) =>
	createPublicKey(
		new X509Certificate(root_pem).publicKey.export({ type: 'spki', format: 'pem' })
	).export({
		format: 'jwk'
	});
const keyOf = (recorded: Recorded) => {
	const { x = '', y = '' } = jwkOf(recorded);
	const point = [Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')];
	return Buffer.concat(point).toString('base64url');
};

// What counts as Intel's in a test; the tests' builds do the same.
const pretended = vi.hoisted(() => ({ root: '' }));
vi.mock('../../src/dcap/root', async (original) => {
	const { INTEL_ROOT_KEY } = await original<{ INTEL_ROOT_KEY: string }>();
	return {
		get INTEL_ROOT_KEY() {
			return pretended.root || INTEL_ROOT_KEY;
		}
	};
});
beforeEach(() => {
	pretended.root = '';
});

// What is recorded binds no key: test/session/key-binding.test.ts is about those.
vi.mock('../../src/session/key-binding', () => ({
	bindKeys: ({ check }: Context) =>
		Promise.resolve(() => check('key-binding', () => ({ outcome: 'pass' })))
}));

interface Scene {
	from?: Recorded;
	/** Edit the server's evidence. */
	document?: (document: { quote: string }) => void;
	collateral?: Record<string, string>;
	/** Replace the server's answer with the collateral. */
	reply?: Answer;
	config?: unknown;
	settings?: (settings: Settings) => void;
	now?: number;
	/** What the browser keeps from one run to the next. */
	kept?: ReturnType<typeof fakeStorage>;
}

const run = async (scene: Scene = {}) => {
	const { from = other, now = NOW } = scene;
	const evidence = structuredClone(from.evidence);
	scene.document?.(evidence);
	const { fetch, calls } = fakeFetch({
		'/tee/config': () => answer(scene.config ?? {}),
		'/tee/quote': () => answer(evidence),
		'/tee/collateral': () => scene.reply ?? answer(scene.collateral ?? from.collateral)
	});
	const chosen = defaults();
	chosen.provider = 'dcap';
	scene.settings?.(chosen);
	const env = makeEnvironment(fetch, {
		...keptBy(chosen, scene.kept),
		now: () => now * 1000,
		random: () => Buffer.from(nonce_base64url, 'base64url')
	});
	return { verdict: await attest(env, chosen, new AbortController().signal), calls };
};

const outcomes = ({ checks }: Verdict) =>
	Object.fromEntries(checks.map(({ id, outcome }) => [id, outcome]));
const failsAt = async (scene: Scene, id: string, code: string, detail?: RegExp) => {
	const { verdict } = await run(scene);
	expect(verdict.status).toBe('red');
	const reason = headline(verdict.checks);
	expect([reason?.id, reason?.code]).toEqual([id, code]);
	// Nobody has vouched for the hardware.
	expect(outcomes(verdict)['not-simulated']).not.toBe('pass');
	if (detail) expect(reason?.detail).toMatch(detail);
};

describe('under the root that counts as Intel’s', () => {
	beforeEach(() => {
		pretended.root = keyOf(other);
	});

	it('good evidence is green, and nobody but this server is asked', async () => {
		const { verdict, calls } = await run();
		expect(headline(verdict.checks)).toBeUndefined();
		expect(verdict.status).toBe('green');
		const {
			'token-signature': a,
			'token-claims': b,
			appraisal: c,
			'reference-values': d,
			workload: e,
			...rest
		} = outcomes(verdict);
		expect([a, b, c, d, e]).toEqual(Array(5).fill('skipped'));
		expect(new Set(Object.values(rest))).toEqual(new Set(['pass']));
		expect(verdict.checks.find(({ id }) => id === 'appraisal')?.code).toBe('no-service');
		expect(calls.map(({ url }) => url.replace(/=.*/, ''))).toEqual([
			'/api/v1/tee/config',
			'/api/v1/tee/quote?nonce',
			'/api/v1/tee/collateral?fmspc'
		]);
		expect(must(calls[2]).url).toMatch(/\?fmspc=[\da-f]{12}&ca=platform$/);
	});

	it('shows the platform’s status, its root and the events of both logs', async () => {
		const { verdict } = await run();
		expect(verdict.fields).toMatchObject({
			tee: 'tdx',
			tcb_status: 'UpToDate',
			fmspc: '535441474544',
			tcb_evaluation: '17',
			tcb_date: must(verdict.fields.tcb_date_platform),
			root_ca_crl_num: expect.stringMatching(/^\d+$/) as unknown,
			pck_crl_num: expect.stringMatching(/^\d+$/) as unknown,
			root: 'Intel SGX Root CA'
		});
		expect(verdict.fields.mr_td).toMatch(/^[\da-f]{96}$/);
		expect(verdict.events?.map(([register]) => register)).toContain('rtmr_3');
	});

	it.each<[string, Answer]>([
		['no connection', 'no connection'],
		['no PCCS', { status: 502, text: '{"code":"collateral-unreachable"}' }],
		['too many who ask', { status: 429, text: '' }],
		['somebody’s page', { text: '<html>' }],
		['somebody’s words', { text: 'Welcome' }]
	])('collateral that cannot be had now (%s) may come later', async (_name, reply) => {
		expect((await run({ reply })).verdict.wait).toBe(0);
	});

	it('collateral that is there, whatever it is worth, is a word', async () => {
		for (const reply of [undefined, { text: '{}' }, { text: '[]' }]) {
			expect((await run({ reply })).verdict.wait).toBeUndefined();
		}
	});

	it('is green whatever the server suggests', async () => {
		const config = { default_provider: 'dcap', providers: { dcap: { root: keyOf(simulator) } } };
		const settings = (s: Settings) => void (s.provider = null);
		const { verdict } = await run({ config, settings });
		expect([verdict.status, verdict.choice?.provider]).toEqual(['green', 'dcap']);
	});

	it('ends with the collateral, and at the latest with the policy’s age', async () => {
		expect((await run()).verdict.expires).toBe((NOW + 3600) * 1000);
		const settings = (s: Settings) => void (s.policy = '{"v":1,"max_age":604800}');
		const long = (await run({ settings })).verdict;
		expect(long.expires).toBe((NOW + 604_800) * 1000);
		const end = Number(long.fields.exp);
		expect(end).toBeGreaterThan(NOW + 604_800);
		const late = (await run({ settings, now: end - 60 })).verdict;
		expect([late.status, late.expires]).toEqual(['green', end * 1000]);
	});

	it.each<[string, Scene, string, string, string]>([
		[
			'needs hardening',
			{ collateral: other.SWHardeningNeeded },
			'amber',
			'warn',
			'SWHardeningNeeded (PCE 13 < 14) INTEL-SA-00837'
		],
		['is out of date', { collateral: other.OutOfDate }, 'red', 'fail', 'OutOfDate'],
		[
			'needs hardening and may',
			{
				collateral: other.SWHardeningNeeded,
				settings: (s) => void (s.policy = '{"v":1,"tcb":{"pass":["SWHardeningNeeded"]}}')
			},
			'green',
			'pass',
			'SWHardeningNeeded (PCE 13 < 14) INTEL-SA-00837'
		],
		[
			'is out of date and may be',
			{
				collateral: other.OutOfDate,
				settings: (s) => void (s.policy = '{"v":1,"tcb":{"warn":["OutOfDate"]}}')
			},
			'amber',
			'warn',
			'OutOfDate'
		],
		[
			'has an advisory that the policy does not tolerate',
			{
				collateral: other.SWHardeningNeeded,
				settings: (s) => void (s.policy = '{"v":1,"tcb":{"advisories":[]}}')
			},
			'red',
			'fail',
			'SWHardeningNeeded (PCE 13 < 14) INTEL-SA-00837'
		],
		[
			'is older than the policy allows',
			{ settings: (s) => void (s.policy = '{"v":1,"tcb":{"min_date":"2999-01-01T00:00:00Z"}}') },
			'red',
			'fail',
			''
		]
	])('a platform that %s', async (_name, scene, status, outcome, detail) => {
		const { verdict } = await run(scene);
		expect(verdict.status).toBe(status);
		const check = verdict.checks.find(({ id }) => id === 'tcb-status');
		expect(check?.outcome).toBe(outcome);
		if (detail) expect(check?.detail).toContain(detail);
	});

	it.each<[string, Scene, string, string, RegExp?]>([
		['of another PKI', { from: simulator }, 'quote-signature', 'quote-signature', /chain/],
		[
			'with collateral of another PKI',
			{ collateral: simulator.collateral },
			'collateral',
			'collateral'
		],
		['with collateral of nobody', { reply: { text: '{}' } }, 'collateral', 'collateral'],
		[
			'with collateral that is a list',
			{ reply: { text: '[]' } },
			'collateral',
			'collateral',
			/JSON/
		],
		[
			'with a page in place of collateral',
			{ reply: { text: '<html>' } },
			'collateral',
			'collateral-unreachable',
			/HTTP 200 <html>/
		],
		[
			'with words in place of collateral',
			{ reply: { text: 'Welcome' } },
			'collateral',
			'collateral-unreachable',
			/HTTP 200 Welcome/
		],
		[
			'with collateral that names a member twice',
			{ reply: { text: `{"v":1,${JSON.stringify(other.collateral).slice(1, -1)},"v":1}` } },
			'collateral',
			'collateral',
			/malformed/
		],
		[
			'without collateral',
			{ reply: { status: 502, text: '{"code":"collateral-unreachable"}' } },
			'collateral',
			'collateral-unreachable',
			/502/
		],
		['without a connection', { reply: 'no connection' }, 'collateral', 'collateral-unreachable'],
		[
			'when the collateral has ended',
			{ now: NOW + 400 * 86_400 },
			'quote-signature',
			'quote-signature'
		]
	])('evidence %s is red', async (_name, scene, id, code, detail) => {
		await failsAt(scene, id, code, detail);
	});

	it('that is borne for a time is amber, up to the end of that', async () => {
		const at = (text: string) => Date.parse(text) / 1000;
		const { expires } = (await run()).verdict;
		const ended = Math.floor(expires / 1000);
		const settings = (s: Settings) => {
			s.policy = '{"v":1,"tcb":{"grace":31536000},"collateral":{"grace":31536000}}';
		};
		const scene = { settings, collateral: other.OutOfDate };
		const { verdict } = await run(scene);
		expect([verdict.status, headline(verdict.checks)?.code]).toEqual(['amber', 'tcb-grace']);
		const end = at(must(headline(verdict.checks)?.detail?.slice(0, 20)));
		expect(end).toBe(at(String(verdict.fields.tcb_date)) + 31_536_000);
		const last = await run({ ...scene, now: end - 12 });
		expect(last.verdict.checks.find(({ id }) => id === 'tcb-status')?.code).toBe('tcb-grace');
		expect(ended).toBeLessThan(end);
	});

	describe('an edition of Intel’s documents', () => {
		const NEWER = other['next edition, OutOfDate'];
		const collateralOf = ({ checks }: Verdict) => checks.find(({ id }) => id === 'collateral');

		it('older than one seen before warns, though the platform failed by that', async () => {
			const kept = fakeStorage();
			expect((await run({ kept })).verdict.status).toBe('green');
			const newer = (await run({ kept, collateral: NEWER })).verdict;
			expect([headline(newer.checks)?.id, newer.status]).toEqual(['tcb-status', 'red']);
			expect(collateralOf(newer)?.outcome).toBe('pass');
			for (let time = 0; time < 2; time += 1) {
				const { verdict } = await run({ kept });
				expect(verdict.status).toBe('amber');
				expect(collateralOf(verdict)).toMatchObject({
					outcome: 'warn',
					code: 'collateral-older',
					detail: '17, 17 < 18, 18'
				});
			}
			const settings = (s: Settings) => void (s.policy = '{"v":1,"tcb":{"warn":["OutOfDate"]}}');
			const again = (await run({ kept, collateral: NEWER, settings })).verdict;
			expect(collateralOf(again)?.outcome).toBe('pass');
			expect(again.fields.tcb_evaluation).toBe('18');
		});

		it('that the two documents do not share is told, both numbers of it', async () => {
			const collateral = { ...other.collateral, tcb_info_json: must(NEWER.tcb_info_json) };
			const settings = (s: Settings) => void (s.policy = '{"v":1,"tcb":{"warn":["OutOfDate"]}}');
			const { verdict } = await run({ collateral, settings });
			expect(verdict.fields.tcb_evaluation).toBe('18, 17');
			expect(collateralOf(verdict)).toMatchObject({
				outcome: 'pass',
				detail: 'tcbInfo 18, enclaveIdentity 17'
			});
		});

		it('below the policy’s floor fails', async () => {
			const floor = (number: number) => (s: Settings) =>
				void (s.policy = `{"v":1,"tcb":{"min_evaluation":${number}}}`);
			expect((await run({ settings: floor(17) })).verdict.status).toBe('green');
			await failsAt({ settings: floor(18) }, 'tcb-status', 'tcb-evaluation', /^17$/);
		});

		it('warns where the browser keeps nothing', async () => {
			const kept = { ...fakeStorage(), setItem: refusingStorage.setItem };
			const { verdict } = await run({ kept });
			expect(collateralOf(verdict)).toMatchObject({ outcome: 'warn', code: 'collateral-memory' });
		});
	});

	it('a quote with one byte of its chain changed asks for nothing', async () => {
		const document = (d: { quote: string }) => {
			const at = d.quote.indexOf(Buffer.from('-----BEGIN').toString('hex')) + 120;
			d.quote = `${d.quote.slice(0, at)}2a${d.quote.slice(at + 2)}`;
		};
		const { verdict, calls } = await run({ document });
		const reason = headline(verdict.checks);
		expect(reason?.id).toBe('quote-signature');
		expect(reason?.detail).toContain('pck-malformed');
		expect(calls.some(({ url }) => url.includes('collateral'))).toBe(false);
	});
});

describe('under another root', () => {
	const pin = (keys: string) => (s: Settings) => void (s.keys.dcap = keys);
	const suggest = (root: unknown) => ({ providers: { dcap: { url: null, relay: false, root } } });

	it.each<[string, Scene]>([
		['the server suggests it', { config: suggest(keyOf(other)) }],
		['the user pinned its certificate', { settings: pin(other.root_pem) }],
		['the user pinned its key', { settings: pin(JSON.stringify(jwkOf(other))) }],
		[
			'the user pinned it beside another',
			{ settings: pin(JSON.stringify({ keys: [jwkOf(simulator), jwkOf(other)] })) }
		]
	])('good evidence is amber: %s', async (_name, scene) => {
		const { verdict } = await run(scene);
		expect(verdict.status).toBe('amber');
		expect(headline(verdict.checks)).toMatchObject({ id: 'not-simulated', code: 'root' });
		expect(verdict.fields.root).toBe(keyOf(other));
	});

	it('is remembered by a root that the user pinned, and not by one that the server names', async () => {
		const newer = { collateral: other['next edition, OutOfDate'] };
		const collateralOf = async (scene: Scene) =>
			(await run(scene)).verdict.checks.find(({ id }) => id === 'collateral')?.outcome;
		const pinned = { kept: fakeStorage(), settings: pin(other.root_pem) };
		await run({ ...pinned, ...newer });
		expect(await collateralOf(pinned)).toBe('warn');
		const suggested = { kept: fakeStorage(), config: suggest(keyOf(other)) };
		await run({ ...suggested, ...newer });
		expect(await collateralOf(suggested)).toBe('pass');
		// Whatever another root says of this kind of platform is not Intel's word.
		pretended.root = keyOf(other);
		expect(await collateralOf({ kept: pinned.kept })).toBe('pass');
	});

	it('evidence of the simulator is amber and says so', async () => {
		const { verdict } = await run({ from: simulator, config: suggest(keyOf(simulator)) });
		expect(verdict.status).toBe('amber');
		expect(headline(verdict.checks)).toMatchObject({ id: 'not-simulated', code: 'simulated' });
	});

	it('evidence of the simulator is amber though the server denies it', async () => {
		const document = (d: object) => {
			put('/simulated', false)(d);
			put('/provider', 'tdx_guest')(d);
		};
		const { verdict } = await run({ from: simulator, document, config: suggest(keyOf(simulator)) });
		expect(verdict.status).toBe('amber');
	});

	it.each<[string, Scene]>([
		['nobody named', {}],
		[
			'the user pinned another, whatever the server suggests',
			{ settings: pin(simulator.root_pem), config: suggest(keyOf(other)) }
		],
		['the server named wrongly', { config: suggest('BAAA') }],
		['the server named in other words', { config: suggest([keyOf(other)]) }]
	])('that %s good evidence is red', async (_name, scene) => {
		await failsAt(scene, 'quote-signature', 'quote-signature', /another root/);
	});

	it('a pin that cannot be a root is said to be one', async () => {
		const pem = `-----BEGIN CERTIFICATE-----\n${Buffer.from('x').toString('base64')}\n-----END CERTIFICATE-----`;
		await failsAt({ settings: pin(pem) }, 'quote-signature', 'keys-malformed');
		// Before the quote is looked at, which leads to Intel's here.
		pretended.root = keyOf(other);
		await failsAt({ settings: pin(pem) }, 'quote-signature', 'keys-malformed');
		await failsAt(
			{ settings: pin('{"kty":"EC","crv":"P-384","x":"","y":""}') },
			'quote-signature',
			'keys-malformed'
		);
	});
});
