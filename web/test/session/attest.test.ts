import { describe, expect, it } from 'vitest';
import { CHECKS, headline } from '../../src/base/checks';
import type { Environment } from '../../src/base/environment';
import en from '../../src/i18n/en';
import { attest, type Verdict } from '../../src/session/attest';
import {
	defaults,
	ENFORCEMENT_KEY,
	MEMORY_KEY,
	SEALED_KEY,
	type Settings
} from '../../src/session/settings';
import { base64url, bits, fill, sha384 } from '../support/bytes';
import {
	answer,
	endless,
	fakeClock,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	nonceOf,
	NOW,
	refusingStorage,
	settle,
	type Answer,
	type Call
} from '../support/environment';
import { change, drop, put, read } from '../support/json';
import { keptBy } from '../support/kept';
import { must } from '../support/must';
import {
	alibabaClaims,
	earClaims,
	makeSigner,
	makeToken,
	simpleClaims,
	type Claims,
	type Signer
} from '../support/pretended-service';
import {
	fieldNames,
	makeEvidence,
	simulatorChain,
	someFields,
	type FieldName,
	type Fields,
	type TdOptions
} from '../support/pretended-td';

const ALIBABA = 'https://attest.cn-beijing.aliyuncs.com';
const TRUSTEE = 'https://trustee.example';
const ES256 = makeSigner('ES256');
const RS256 = makeSigner('RS256');
const RS384 = makeSigner('RS384');

interface Scene {
	td?: TdOptions;
	/** Change the server's answer. */
	document?: (document: ReturnType<typeof makeEvidence>['document']) => unknown;
	quote?: () => Answer;
	config?: unknown;
	settings?: (settings: Settings) => void;
	claims?: (fields: Fields) => Claims;
	signer?: Signer;
	header?: object;
	/** Replace the service's answer. */
	service?: (call: Call, token: string) => Answer;
	keys?: (call: Call) => Answer;
	routes?: Record<string, (call: Call) => Answer>;
	env?: Partial<Environment>;
}

const policy = (members: object) => (settings: Settings) =>
	void (settings.policy = JSON.stringify({ v: 1, ...members }));
/** The JSON that a call posts. */
const body = ({ init }: Call): unknown => JSON.parse(init.body as string);

const alibaba = (scene: Scene = {}): Scene => ({
	claims: (fields) => alibabaClaims(fields, ALIBABA),
	signer: RS256,
	...scene
});
const trustee = (scene: Scene = {}): Scene => ({
	claims: (fields) => earClaims(fields),
	signer: ES256,
	...scene,
	settings: (settings) => {
		settings.provider = 'trustee';
		settings.addresses.trustee = TRUSTEE;
		scene.settings?.(settings);
	}
});

const run = async (scene: Scene) => {
	let fields: Fields = someFields();
	const signer = scene.signer ?? ES256;
	const service = (call: Call): Answer => {
		const token = makeToken(signer, scene.claims?.(fields) ?? {}, scene.header);
		return scene.service?.(call, token) ?? { text: token };
	};
	const keys = scene.keys ?? (() => answer({ keys: [signer.jwk] }));
	const { fetch, calls, sealed } = fakeFetch({
		...scene.routes,
		'/tee/config': () => answer(scene.config ?? {}),
		'/tee/quote': (call) => {
			const made = makeEvidence(nonceOf(call), scene.td);
			fields = made.fields;
			return scene.quote?.() ?? answer(scene.document?.(made.document) ?? made.document);
		},
		'/openid-configuration': ({ url }) => {
			const issuer = new URL(url).origin;
			return answer({ issuer, jwks_uri: `${issuer}/jwks.json` });
		},
		'/jwks.json': keys,
		'/attestation': service,
		'/tee/relay/': service,
		...scene.routes
	});
	const settings = defaults();
	scene.settings?.(settings);
	const verdict = await attest(
		makeEnvironment(fetch, { ...scene.env, ...keptBy(settings, scene.env?.memory) }),
		settings,
		new AbortController().signal
	);
	return { verdict, calls, sealed, fields };
};

const outcome = (verdict: Verdict, id: string) => verdict.checks.find((c) => c.id === id)?.outcome;

/** The run ends red, and the headline names this check, with this reason and detail. */
const failsAt = async (scene: Scene, id: string, code: string, detail?: string | RegExp) => {
	const { verdict, calls } = await run(scene);
	expect(verdict.status).toBe('red');
	const reason = headline(verdict.checks);
	expect([reason?.id, reason?.code]).toEqual([id, code]);
	if (detail !== undefined) expect(reason?.detail).toMatch(detail);
	return { verdict, calls };
};

describe('a good server and a good service', () => {
	it('is green with Alibaba Cloud', async () => {
		const { verdict, calls, fields } = await run(alibaba());
		expect(headline(verdict.checks)).toBeUndefined();
		expect(verdict.status).toBe('green');
		expect(verdict.checks.map(({ id }) => id)).toEqual([...CHECKS]);
		expect(outcome(verdict, 'collateral')).toBe('skipped');
		const shown = verdict.fields;
		expect(shown).toMatchObject({ jti: 'f8a1d1a4', tee: 'tdx', exp: NOW + 21_600 });
		for (const name of ['mr_td', 'rtmr_0', 'rtmr_3', 'mr_seam', 'xfam', 'td_attributes'] as const) {
			expect(shown[name]).toBe(fields[name].toString('hex'));
		}
		const sent = must(calls.find(({ url }) => url === `${ALIBABA}/v1/attestation`));
		expect(Object.keys(body(sent) as object)).toEqual([
			'tee',
			'evidence',
			'runtime_data',
			'policy_ids'
		]);
	});

	it('is green with Trustee, and tells the service nothing of the user', async () => {
		const { verdict, calls, sealed } = await run(trustee());
		expect(verdict.status).toBe('green');
		expect(sealed).toHaveLength(1);
		for (const { url, init } of [...calls, ...sealed]) {
			expect(JSON.stringify(init.headers ?? {})).not.toContain('session-token');
			expect(init.credentials).toBe('omit');
			expect([url, init.redirect]).toEqual([url, 'manual']);
		}
		const sent = must(calls.find(({ url }) => url.endsWith('/attestation')));
		const request = read(body(sent), '/verification_requests/0');
		const encoded = read(request, '/evidence') as string;
		const evidence: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString());
		expect(Object.keys(evidence as object)).toEqual(['quote']);
		expect(Object.keys(read(request, '/runtime_data') as object)).toEqual(['raw']);
	});

	it.each([
		['Alibaba Cloud', alibaba, '/v1/attestation', '', undefined],
		['Alibaba Cloud', alibaba, '/v1/attestation', '', null],
		['Trustee', trustee, '/attestation', '/verification_requests/0', undefined],
		['Trustee', trustee, '/attestation', '/verification_requests/0', null]
	] as const)(
		'gives %s the report data of the quote and no more, whatever it binds',
		async (_name, scene, path, at, keyset) => {
			const { calls, fields } = await run(scene({ td: { keyset } }));
			const sent = body(must(calls.find(({ url }) => url.endsWith(path))));
			const { raw, ...more } = read(sent, `${at}/runtime_data`) as { raw: string };
			expect(more).toEqual({});
			expect(raw).toBe(base64url(fields.report_data));
			expect(Buffer.from(raw, 'base64url')).toHaveLength(64);
		}
	);

	it('is green with a Simple token (RS384)', async () => {
		const { verdict } = await run(trustee({ signer: RS384, claims: simpleClaims }));
		expect(verdict.status).toBe('green');
	});

	it.each<[string, TdOptions]>([
		['v5 with a TDX 1.0 body', { version: 5 }],
		['v5 with a TDX 1.5 body', { version: 5, later: true }],
		['v5 with an extended TDX 1.5 body', { version: 5, later: 'extended' }],
		[
			'a quote that answers seven others as well',
			{ others: Array.from({ length: 7 }, (_, n) => fill(32, n)) }
		]
	])('is green for %s', async (_name, td) => {
		expect((await run(trustee({ td }))).verdict.status).toBe('green');
	});

	it('shows what only an extended body has', async () => {
		const shown = async (td: TdOptions) => (await run(trustee({ td }))).verdict.fields;
		const names = ['mr_servicetd', 'td_id', 'init_tee_fmspc', 'curr_server_td_attr'];
		const extended = await shown({ version: 5, later: 'extended' });
		for (const name of names) expect(extended[name]).toMatch(/^[\da-f]{16,96}$/);
		const first = await shown({});
		for (const name of names) expect(first[name]).toBeUndefined();
	});

	it('draws a fresh nonce of 32 bytes for every run', async () => {
		const nonces = new Set<string>();
		for (let turn = 0; turn < 3; turn++) {
			const { calls } = await run(trustee());
			const nonce = nonceOf(calls.find(({ url }) => url.includes('/tee/quote')) as Call);
			expect(nonce).toHaveLength(32);
			nonces.add(nonce.toString('hex'));
		}
		expect(nonces.size).toBe(3);
	});

	it('ends with the token, but never later than in an hour', async () => {
		expect((await run(trustee())).verdict.expires).toBe((NOW + 300) * 1000);
		expect((await run(alibaba())).verdict.expires).toBe((NOW + 3600) * 1000);
	});
});

describe('what is not hardware is never green', () => {
	it.each<[string, Scene]>([
		['the server says so', { td: { simulated: true } }],
		['the server is silent about it', { document: (d) => ({ ...d, simulated: undefined }) }],
		['the certificate chain says so', { td: { chain: simulatorChain() } }],
		['the token says so', { claims: (f) => earClaims(f, {}, { cczoo: { simulated: true } }) }]
	])('because %s', async (_name, scene) => {
		const { verdict } = await run(trustee(scene));
		expect(verdict.status).toBe('amber');
		expect(headline(verdict.checks)).toMatchObject({ id: 'not-simulated', code: 'simulated' });
	});
});

describe('the evidence', () => {
	it.each<[string, Scene['document']]>([
		['no object', () => []],
		['status false', (d) => ({ ...d, status: false })],
		['another TEE', (d) => ({ ...d, tee: 'sev-snp' })],
		['a quote that is not hex', (d) => ({ ...d, quote: 'zz' })],
		['a quote that is cut off', (d) => ({ ...d, quote: d.quote.slice(0, -2) })],
		['a quote with something after it', (d) => ({ ...d, quote: `${d.quote}00` })],
		['an SGX quote', (d) => ({ ...d, quote: d.quote.replace(/^0400020081/, '0400020000') })],
		['a quote of version 3', (d) => ({ ...d, quote: d.quote.replace(/^04/, '03') })],
		['runtime data with padding', (d) => ({ ...d, runtime_data: `${d.runtime_data}=` })],
		['no proof', (d) => ({ ...d, nonce_proof: null })]
	])('with %s is malformed', async (_name, document) => {
		await failsAt(trustee({ document }), 'evidence-format', 'evidence-malformed');
	});

	it.each<[string, Scene, RegExp]>([
		['is of another nonce', { document: () => makeEvidence(fill(32, 1)).document }, /nonce_proof/],
		[
			'has a wrong index',
			{ document: (d) => ({ ...d, nonce_proof: { ...d.nonce_proof, leaf_index: 1 } }) },
			/nonce_proof/
		],
		[
			'has a proof too long',
			{
				document: (d) => ({
					...d,
					nonce_proof: { ...d.nonce_proof, path: [base64url(fill(32, 1))] }
				})
			},
			/nonce_proof/
		],
		[
			'has other runtime data',
			{
				document: (d) => ({
					...d,
					runtime_data: base64url(
						`${Buffer.from(d.runtime_data, 'base64url').toString().slice(0, -1)},"x":1}`
					)
				})
			},
			/report_data/
		],
		[
			'has runtime data of another version',
			{ document: (d) => ({ ...d, runtime_data: base64url('{"v":3}') }) },
			/runtime_data/
		],
		[
			'has runtime data with two roots',
			{
				document: (d) => ({
					...d,
					runtime_data: base64url(
						`{"nonce_root":"",${Buffer.from(d.runtime_data, 'base64url').toString().slice(1)}`
					)
				})
			},
			/runtime_data/
		]
	])('that %s is not mine', async (_name, scene, detail) => {
		const { calls, verdict } = await failsAt(trustee(scene), 'nonce-binding', 'nonce', detail);
		expect(calls.filter(({ url }) => url.includes(TRUSTEE))).toEqual([]);
		expect(outcome(verdict, 'token-signature')).toBe('fail');
	});

	it.each<[string, Answer, string, RegExp]>([
		['no connection', 'no connection', 'quote-unreachable', /no connection/],
		[
			'no TDX',
			{
				status: 503,
				text: '{"status":false,"code":"tdx-not-available","detail":"looked for /dev"}'
			},
			'tdx-not-available',
			/looked for/
		],
		[
			'too many',
			{ status: 429, text: '{"status":false,"code":"busy","detail":"later"}' },
			'too-many',
			/later/
		],
		['an HTML page', { status: 502, text: '<html>' }, 'server-down', /HTTP 502/],
		['not let in', { status: 403, text: '{"detail":"pending"}' }, 'not-allowed', /pending/],
		['busy, by its own word', { status: 503, text: '{"code":"busy"}' }, 'quote-refused', /503/],
		[
			'not signed in',
			{ status: 401, text: '{"detail":"Not authenticated"}' },
			'signed-out',
			/Not authenticated/
		]
	])('is not there: %s', async (_name, given, code, detail) => {
		await failsAt(trustee({ quote: () => given }), 'evidence-format', code, detail);
	});

	it('is refused to who is not signed in at all, whichever status says so', async () => {
		const given = { status: 403, text: '{"detail":"Not authenticated"}' };
		const scene = trustee({ quote: () => given, env: { token: () => '' } });
		await failsAt(scene, 'evidence-format', 'signed-out', /Not authenticated/);
	});

	it('is out of reach of who is offline', async () => {
		const env = { online: () => false };
		const scene = trustee({ quote: () => 'no connection', env });
		await failsAt(scene, 'evidence-format', 'offline', /no connection/);
	});

	it('is not asked for without WebCrypto', async () => {
		const { calls } = await failsAt(
			trustee({ env: { subtle: undefined } }),
			'secure-context',
			'insecure'
		);
		expect(calls.some(({ url }) => url.includes('/quote'))).toBe(false);
	});
});

describe('TD attributes', () => {
	it.each([
		['debug', 0, 'fail'],
		['a profiling bit', 4, 'fail'],
		['a reserved bit', 20, 'fail'],
		['the highest reserved bit', 61, 'fail'],
		['PERFMON', 63, 'pass'],
		['PKS', 30, 'pass']
	])('%s', async (_name, bit, expected) => {
		const td_attributes = bits(28, bit);
		const { verdict } = await run(trustee({ td: { fields: someFields({ td_attributes }) } }));
		expect(outcome(verdict, 'td-attributes')).toBe(expected);
		const word = expected === 'pass' ? undefined : bit ? 'reserved' : 'debug';
		expect(headline(verdict.checks)?.detail).toBe(word);
		expect(verdict.status).toBe(expected === 'fail' ? 'red' : 'green');
	});

	it.each([
		['icssd', 16],
		['lass', 27],
		['migratable', 29],
		['tpa', 62]
	])('fails where %s is on, unless the policy allows that', async (name, bit) => {
		const td = { fields: someFields({ td_attributes: bits(28, bit) }) };
		const refused = new RegExp(`^attributes-refused: ${name}$`);
		await failsAt(trustee({ td }), 'td-attributes', 'td-attributes', refused);
		const settings = policy({ td_attributes: { [name]: 'allow' } });
		expect((await run(trustee({ td, settings }))).verdict.status).toBe('green');
	});

	it('fails where SEPT_VE_DISABLE is off, unless the policy allows that', async () => {
		const td = { fields: someFields({ td_attributes: bits() }) };
		await failsAt(trustee({ td }), 'td-attributes', 'td-attributes', /sept-ve/);
		const settings = policy({ td_attributes: { sept_ve_disable: 'allow' } });
		expect((await run(trustee({ td, settings }))).verdict.status).toBe('green');
	});

	it.each<[string, object, number]>([
		['forbids PERFMON', { perfmon: 'forbid' }, 63],
		['forbids PKS', { pks: 'forbid' }, 30],
		['forbids Key Locker', { key_locker: 'forbid' }, 31],
		['requires PKS', { pks: 'require' }, 63]
	])('fails where the policy %s', async (_name, td_attributes, bit) => {
		const td = { fields: someFields({ td_attributes: bits(28, bit) }) };
		await failsAt(
			trustee({ td, settings: policy({ td_attributes }) }),
			'td-attributes',
			'td-attributes'
		);
		expect((await run(trustee({ td }))).verdict.status).toBe('green');
	});

	it.each<[string, number[]]>([
		['no x87 and SSE', []],
		['a bit that must not be', [0, 1, 2, 3]],
		['a bit beyond', [0, 1, 2, 19]]
	])('fails with an XFAM of %s', async (_name, set) => {
		const xfam = bits(...set);
		await failsAt(
			trustee({ td: { fields: someFields({ xfam }) } }),
			'td-attributes',
			'td-attributes',
			/xfam/
		);
	});

	it('say that a quote does not tell the service TD, unless the policy wants one that does', async () => {
		const settings = policy({ min_quote_version: 5 });
		const finding = ({ checks }: Verdict) => checks.find(({ id }) => id === 'td-attributes');
		for (const [version, later, told] of [
			[4, false, false],
			[5, false, false],
			[5, true, true]
		] as const) {
			const td = { version, later };
			const { verdict } = await run(trustee({ td }));
			expect(verdict.status).toBe('green');
			expect(finding(verdict)).toMatchObject({ outcome: 'pass' });
			expect(finding(verdict)?.code).toBe(told ? undefined : 'service-td-unknown');
			const strict = (await run(trustee({ td, settings }))).verdict;
			expect(strict.status).toBe(told ? 'green' : 'red');
			expect(finding(strict)?.detail).toBe(told ? undefined : 'service-td-unknown');
		}
	});

	it('leaves a service TD to the attestation service, unless the policy names one', async () => {
		const mr_servicetd = fill(48, 5);
		const td = { version: 5, later: true, fields: someFields({ mr_servicetd }) };
		expect((await run(trustee({ td }))).verdict.status).toBe('green');
		const named = policy({ reference_values: { mr_servicetd: [mr_servicetd.toString('hex')] } });
		expect((await run(trustee({ td, settings: named }))).verdict.status).toBe('green');
		const other = policy({ reference_values: { mr_servicetd: ['00'.repeat(48)] } });
		await failsAt(
			trustee({ td, settings: other }),
			'reference-values',
			'reference-values',
			/mr_servicetd/
		);
	});
});

describe('the policy', () => {
	const hex = (name: FieldName) => someFields()[name].toString('hex');

	it('ends a result by its age', async () => {
		expect((await run(alibaba({ settings: policy({ max_age: 60 }) }))).verdict.expires).toBe(
			(NOW + 60) * 1000
		);
		const settings = policy({ max_age: 86_400 });
		const long = await run(alibaba({ settings, td: { keyset: null } }));
		expect(long.verdict.expires).toBe((NOW + 21_600) * 1000);
		expect((await run(alibaba({ settings }))).verdict.expires).toBe((NOW + 3600) * 1000);
	});

	it.each<[string, object, string, string]>([
		['warns where it says so', { warn: ['OutOfDate'] }, 'OutOfDate', 'warn'],
		['passes where it says so', { pass: ['SWHardeningNeeded'] }, 'SWHardeningNeeded', 'pass'],
		['fails where it does not say', { warn: [] }, 'SWHardeningNeeded', 'fail'],
		['fails what is good enough for others', { pass: [], warn: [] }, 'UpToDate', 'fail'],
		[
			'fails where it wants a date and the service names none',
			{ min_date: '2020-01-01T00:00:00Z' },
			'UpToDate',
			'fail'
		],
		[
			'fails where it wants advisories and the service names none',
			{ advisories: [] },
			'UpToDate',
			'fail'
		]
	])('judges the status that a service names: %s', async (_name, tcb, tcb_status, expected) => {
		const claims = (fields: Fields) => earClaims(fields, {}, { cczoo: { tcb_status } });
		const { verdict } = await run(trustee({ claims, settings: policy({ tcb }) }));
		expect(outcome(verdict, 'tcb-status')).toBe(expected);
	});

	it('compares with its reference values, in either case', async () => {
		const reference_values = {
			mr_td: ['00'.repeat(48), hex('mr_td').toUpperCase()],
			tee_tcb_svn: [hex('tcb_svn')]
		};
		const { verdict } = await run(trustee({ settings: policy({ reference_values }) }));
		expect(verdict.status).toBe('green');
		const check = verdict.checks.find(({ id }) => id === 'reference-values');
		expect(check).toMatchObject({ outcome: 'pass', detail: 'mr_td, tee_tcb_svn' });
	});

	it.each(['mr_td', 'rtmr_2', 'mr_seam', 'mrsigner_seam', 'xfam', 'mr_config_id'] as const)(
		'fails with another %s',
		async (name) => {
			const reference_values = { [name]: ['00'.repeat(someFields()[name].length)] };
			const detail = new RegExp(`^${name} ${hex(name)}$`);
			await failsAt(
				trustee({ settings: policy({ reference_values }) }),
				'reference-values',
				'reference-values',
				detail
			);
		}
	);

	it('fails for a field that the quote does not have', async () => {
		const settings = policy({ reference_values: { tee_tcb_svn2: ['00'.repeat(16)] } });
		await failsAt(trustee({ settings }), 'reference-values', 'reference-values', /tee_tcb_svn2/);
	});

	it.each(['{', '[]', '{"v":2}', '{"v":1,"tbc":{}}', '{"v":1,"v":1}'])(
		'that is none (%s) is red, not the default one',
		async (text) => {
			const settings = (s: Settings) => void (s.policy = text);
			await failsAt(trustee({ settings }), 'reference-values', 'policy-malformed');
		}
	);
});

describe('trust on first use', () => {
	const changed = { fields: someFields({ mr_td: fill(48, 0xee) }) };
	const check = (verdict: Verdict) => verdict.checks.find(({ id }) => id === 'reference-values');
	const start = async () => {
		const memory = fakeStorage();
		const look = async (scene: Scene = {}) =>
			(await run(trustee({ ...scene, env: { memory } }))).verdict;
		return { memory, look, first: await look() };
	};

	it('remembers at the first success, and is green while nothing changes', async () => {
		const { memory, look, first } = await start();
		expect([first.status, check(first)?.outcome, check(first)?.code]).toEqual([
			'green',
			'skipped',
			'first-use'
		]);
		expect([...memory.items.keys()].sort()).toEqual([MEMORY_KEY, SEALED_KEY]);
		const second = await look();
		expect([second.status, check(second)?.outcome, check(second)?.code]).toEqual([
			'green',
			'pass',
			'unchanged'
		]);
		expect([second.changes, second.accept]).toEqual([undefined, undefined]);
	});

	it('is amber with the difference, until the user accepts it', async () => {
		const { look } = await start();
		for (let turn = 0; turn < 2; turn++) {
			const verdict = await look({ td: changed });
			expect([verdict.status, headline(verdict.checks)?.code]).toEqual(['amber', 'changed']);
			expect(verdict.changes).toEqual([
				['mr_td', someFields().mr_td.toString('hex'), 'ee'.repeat(48)]
			]);
		}
		(await look({ td: changed })).accept?.();
		expect((await look({ td: changed })).status).toBe('green');
		expect((await look()).status).toBe('amber');
	});

	it('accepts what was shown, not what has come since', async () => {
		const { look } = await start();
		const shown = await look({ td: changed });
		const since = { fields: someFields({ mr_td: fill(48, 0xdd) }) };
		await look({ td: since });
		shown.accept?.();
		expect((await look({ td: since })).status).toBe('amber');
		expect((await look({ td: changed })).status).toBe('green');
	});

	it('remembers nothing of a run in which something failed', async () => {
		const scenes: Scene[] = [
			{ claims: (fields) => earClaims(fields, { 'ear.status': 'contraindicated' }) },
			{ keys: () => ({ status: 404, text: '' }) },
			{ document: () => makeEvidence(fill(32, 1)).document }
		];
		for (const scene of scenes) {
			const memory = fakeStorage();
			const { verdict } = await run(trustee({ ...scene, env: { memory } }));
			expect([verdict.status, memory.items.size]).toEqual(['red', 0]);
		}
	});

	it('notices a quote that no longer tells the service TD', async () => {
		const { look, memory } = await start();
		const later = { version: 5, later: true };
		const before = memory.getItem('tee.memory');
		expect((await look({ td: later })).status).toBe('green');
		expect(memory.getItem('tee.memory')).not.toBe(before);
		const verdict = await look();
		expect(verdict.status).toBe('amber');
		expect(verdict.changes).toEqual([['mr_servicetd', '00'.repeat(48), 'absent']]);
		verdict.accept?.();
		expect((await look()).status).toBe('green');
	});

	it('notices a simulation where there was hardware', async () => {
		const { look } = await start();
		const verdict = await look({ td: { simulated: true } });
		expect(verdict.changes).toEqual([['simulated', 'false', 'true']]);
		expect(headline(verdict.checks)?.id).toBe('not-simulated');
	});

	it('gives way to explicit reference values', async () => {
		const { look, memory } = await start();
		const before = [...memory.items];
		const settings = policy({ reference_values: { mr_td: ['ee'.repeat(48)] } });
		expect((await look({ td: changed, settings })).status).toBe('green');
		expect((await look({ settings })).status).toBe('red');
		expect([...memory.items]).toEqual(before);
		// A policy without any does not turn it off.
		expect((await look({ td: changed, settings: policy({}) })).status).toBe('amber');
	});

	it('warns where there is no memory, and cannot be accepted away', async () => {
		const memory = { ...refusingStorage, getItem: () => null };
		const { verdict } = await run(trustee({ env: { memory } }));
		expect([verdict.status, check(verdict)?.code]).toEqual(['amber', 'memory']);
		expect(verdict.accept).toThrow(DOMException);
	});

	it('warns where the memory is damaged, until the user accepts', async () => {
		const { look, memory } = await start();
		memory.items.forEach((_, name) => memory.items.set(name, '{'));
		const verdict = await look();
		expect([verdict.status, check(verdict)?.code]).toEqual(['amber', 'memory']);
		verdict.accept?.();
		expect((await look()).status).toBe('green');
	});
});

describe('the event logs', () => {
	const line = `INIT sha384/${'00'.repeat(48)}`;
	const rtmr_3 = sha384(fill(48, 0), sha384(Buffer.from(line)));

	it('that lead to the registers pass, and are shown', async () => {
		const { verdict } = await run(trustee({ td: { aael: line, fields: someFields({ rtmr_3 }) } }));
		expect([verdict.status, outcome(verdict, 'event-log')]).toEqual(['green', 'pass']);
		expect(verdict.events).toEqual([['rtmr_3', '', '', line]]);
	});
	it('that lead elsewhere fail, and are not shown', async () => {
		const { verdict } = await failsAt(
			trustee({ td: { aael: line, fields: someFields({ rtmr_3: fill(48, 0) }) } }),
			'event-log',
			'log-differs',
			/^rtmr_3$/
		);
		expect(verdict.events).toBeUndefined();
	});
	it('that do not explain what somebody extended after boot are no better held back', async () => {
		const shown = (await run(trustee({ td: { aael: line } }))).verdict;
		const withheld = (await run(trustee())).verdict;
		expect([shown.status, withheld.status]).toEqual(['green', 'green']);
		expect(shown.checks.find(({ id }) => id === 'event-log')).toMatchObject({
			outcome: 'pass',
			code: 'log-unexplained',
			detail: 'rtmr_3'
		});
		expect(outcome(withheld, 'event-log')).toBe('skipped');
		expect(shown.events).toEqual([['rtmr_3', '', line, '']]);
	});
	it('that a policy asks for and nobody shows fail', async () => {
		const settings = policy({ explained_registers: ['rtmr_3'] });
		for (const td of [{}, { aael: line }]) {
			await failsAt(trustee({ td, settings }), 'event-log', 'log-unexplained', /^rtmr_3$/);
		}
		const good = trustee({ td: { aael: line, fields: someFields({ rtmr_3 }) }, settings });
		expect((await run(good)).verdict.status).toBe('green');
	});
	it('that cannot be read fail', async () => {
		await failsAt(trustee({ td: { ccel: fill(70, 1) } }), 'event-log', 'log-malformed');
	});
	it('that are not there are skipped', async () => {
		const { verdict } = await run(trustee());
		expect(verdict.checks.find(({ id }) => id === 'event-log')).toMatchObject({
			outcome: 'skipped',
			code: 'no-log'
		});
	});
	it.each([
		['cc_eventlog', 'QQ'],
		['cc_eventlog', 'Q Q='],
		['cc_eventlog', '!!!!'],
		['cc_eventlog', 1],
		['aa_eventlog', ['x']],
		['aa_eventlog', 0]
	])('of another kind (%s %j) are no evidence', async (name, value) => {
		await failsAt(
			trustee({ document: (d) => ({ ...d, [name]: value }) }),
			'evidence-format',
			'evidence-malformed'
		);
	});
});

describe('the service', () => {
	it.each<[string, Answer, string, RegExp]>([
		[
			'rejects',
			{ status: 500, text: 'Verifier evaluate failed' },
			'service-rejected',
			/HTTP 500: Verifier/
		],
		['answers HTML', { text: '<html><script>alert(1)</script>' }, 'service-kind', /<html>/],
		['answers text', { text: 'Welcome' }, 'token-malformed', /size/],
		['answers nothing', { text: '' }, 'token-malformed', /size/],
		['cannot be reached', 'no connection', 'service-silent', /no connection/],
		['answers without end', endless(97), 'service-unreachable', /too large/]
	])('that %s', async (_name, given, code, detail) => {
		await failsAt(trustee({ service: () => given }), 'token-signature', code, detail);
	});

	it.each<Answer>(['hang', 'hang in the body'])(
		'that lets me wait (%s) is given up',
		async (answer) => {
			const clock = fakeClock();
			const result = run(
				trustee({
					td: { keyset: null }, // whose holder would need more of this clock's time
					service: () => answer,
					env: { now: clock.now, later: clock.later }
				})
			);
			let done = false;
			void result.then(() => (done = true));
			await settle(() => {
				clock.advance(1000);
				return done;
			});
			const reason = headline((await result).verdict.checks);
			expect(reason).toMatchObject({
				id: 'token-signature',
				code: 'service-unreachable',
				detail: 'no answer in time'
			});
		}
	);

	it('is reached by the relay when the browser cannot, for the token only', async () => {
		const config = { providers: { trustee: { url: null, relay: TRUSTEE } } };
		const routes = { [`${TRUSTEE}/attestation`]: (): Answer => 'no connection' };
		const { verdict, calls } = await run(trustee({ config, routes }));
		expect(verdict.status).toBe('green');
		const relayed = calls.filter(({ url }) => url.includes('/tee/relay/'));
		expect(relayed.map(({ url }) => url)).toEqual(['/api/v1/tee/relay/trustee']);
		expect(calls.filter(({ url }) => url.includes('jwks')).map(({ url }) => url)).toEqual([
			`${TRUSTEE}/.well-known/jwks.json`
		]);
	});

	it.each([
		[400, 'bad-request', 'service-unreachable'],
		[404, 'relay-not-configured', 'service-unreachable'],
		[413, 'too-large', 'service-broken'],
		[502, 'relay-failed', 'service-down'],
		[504, 'relay-timed-out', 'service-down'],
		[502, 'relay-redirected', 'service-address']
	])('is not what a relay says itself: %i %s', async (status, code, reason) => {
		const config = { providers: { trustee: { url: null, relay: TRUSTEE } } };
		const text = JSON.stringify({ status: false, code, detail: 'why' });
		const routes = {
			[`${TRUSTEE}/attestation`]: (): Answer => 'no connection',
			'/tee/relay/': (): Answer => ({ status, text })
		};
		const scene = trustee({ config, routes });
		const { calls } = await failsAt(scene, 'token-signature', reason, `${code}: why`);
		expect(calls.filter(({ url }) => url.includes('/tee/relay/'))).toHaveLength(1);
	});

	it('is not reached by a relay that is not offered', async () => {
		const routes = { [`${TRUSTEE}/attestation`]: (): Answer => 'no connection' };
		const { calls } = await failsAt(trustee({ routes }), 'token-signature', 'service-silent');
		expect(calls.some(({ url }) => url.includes('/tee/relay/'))).toBe(false);
	});

	it.each([
		[trustee, 'https://as.example/kbs/', 'https://as.example/kbs/attestation'],
		[trustee, 'https://as.example/kbs/attestation/', 'https://as.example/kbs/attestation'],
		[alibaba, ALIBABA, `${ALIBABA}/v1/attestation`],
		[alibaba, `${ALIBABA}/v1/attestation`, `${ALIBABA}/v1/attestation`]
	])(
		'is asked where it takes evidence, whatever of that was said: %o',
		async (with_, said, asked) => {
			const settings = (s: Settings) => {
				s.provider = with_ === alibaba ? 'alibaba' : 'trustee';
				s.addresses[s.provider] = said;
			};
			const { verdict, calls } = await run(with_({ settings }));
			expect(headline(verdict.checks)).toBeUndefined();
			const posts = calls.filter(({ init }) => init.method === 'POST');
			expect(posts.map(({ url }) => url)).toEqual([asked]);
		}
	);

	it('is not set', async () => {
		const settings = (s: Settings) => void (s.addresses.trustee = '');
		await failsAt(trustee({ settings }), 'token-signature', 'bad-address');
	});

	it.each<[string, Answer, string]>([
		['not there', { status: 500, text: '' }, 'keys-unreachable'],
		['not there now', { status: 503, text: '' }, 'service-down'],
		['kept from us', { status: 401, text: '' }, 'service-keeps-out'],
		['out of reach', 'no connection', 'keys-silent'],
		['elsewhere', new Response(null, { status: 302 }), 'keys-unreachable']
	])('has keys that are %s', async (_name, given, code) => {
		await failsAt(trustee({ keys: () => given }), 'token-signature', code);
	});

	it('has keys that are none', async () => {
		await failsAt(
			trustee({ keys: () => answer({ keys: [] }) }),
			'token-signature',
			'keys-malformed'
		);
	});
});

describe('Trustee before 0.14', () => {
	/** Is the call's body of the form that came with 0.14? */
	const isListed = (call: Call) => read(body(call), '/verification_requests') !== undefined;
	const flatOnly =
		(status: number, message: string) =>
		(call: Call, token: string): Answer =>
			isListed(call) ? { status, text: message } : { text: token };

	it('is asked once more in its own form, and once only from then on', async () => {
		const message = 'Json deserialize error: missing field `tee` at line 1 column 8413';
		const settings = (s: Settings) => void (s.addresses.trustee = 'https://old.example');
		const first = await run(trustee({ settings, service: flatOnly(400, message) }));
		expect(first.verdict.status).toBe('green');
		const posts = (calls: Call[]) => calls.filter(({ init }) => init.method === 'POST');
		expect(posts(first.calls)).toHaveLength(2);
		const second = await run(trustee({ settings, service: flatOnly(400, message) }));
		expect(second.verdict.status).toBe('green');
		expect(posts(second.calls)).toHaveLength(1);
		expect(body(must(posts(second.calls)[0]))).toMatchObject({ tee: 'tdx', policy_ids: [] });
		// The service was updated: the new form is found again.
		const missing = 'Json deserialize error: missing field `verification_requests` at line 1';
		const updated = (call: Call, token: string): Answer =>
			isListed(call) ? { text: token } : { status: 400, text: missing };
		expect((await run(trustee({ settings, service: updated }))).verdict.status).toBe('green');
	});
});

describe('the token', () => {
	/** The submodule that speaks for the TD, what it says of it, and the quote's body in there. */
	const CPU = '/submods/cpu0';
	const EVIDENCE = `${CPU}/ear.veraison.annotated-evidence`;
	const BODY = `${EVIDENCE}/tdx/quote/body`;
	const claims = (edit: (claims: object) => void) => (fields: Fields) => {
		const all = earClaims(fields);
		edit(all);
		return all;
	};

	it.each<[string, (claims: object) => void, string, string]>([
		['has expired', put('/exp', NOW - 61), 'token-time', 'exp'],
		['never expires', drop('/exp'), 'token-time', 'exp'],
		['has an expiry in words', put('/exp', 'tomorrow'), 'token-time', 'exp'],
		['is from the future', put('/iat', NOW + 61), 'token-time', 'iat'],
		['is not valid yet', put('/nbf', NOW + 61), 'token-time', 'nbf'],
		['has markup for an id', put('/jti', '<img src=x onerror=alert(1)>'), 'token-claim', 'jti'],
		['has no submodule', put('/submods', {}), 'token-claim', 'tee'],
		[
			'speaks of two TDs',
			(c) => {
				put('/submods/cpu1', read(c, CPU))(c);
			},
			'token-claim',
			'tee'
		],
		['speaks of another TEE', put(EVIDENCE, { snp: {} }), 'token-claim', 'tee']
	])('that %s', async (_name, edit, code, detail) => {
		await failsAt(trustee({ claims: claims(edit) }), 'token-claims', code, detail);
	});

	it('that has an id which is no text is red', async () => {
		for (const jti of [{ toString: 1 }, { a: 1 }, [['<b>']]]) {
			const { verdict } = await run(trustee({ claims: claims(put('/jti', jti)) }));
			expect(verdict.status).toBe('red');
			expect(verdict.checks.find(({ id }) => id === 'token-claims')?.outcome).toBe('fail');
		}
	});

	it.each<[string, (claims: object) => void]>([
		['expired within the skew', put('/exp', NOW - 59)],
		['is from the future within the skew', put('/iat', NOW + 59)]
	])('that %s is taken', async (_name, edit) => {
		const { verdict } = await run(trustee({ claims: claims(edit) }));
		expect(verdict.status).toBe('green');
		expect(verdict.expires).toBeGreaterThan(NOW * 1000);
	});

	it.each(fieldNames)('that differs in %s', async (name) => {
		const edit = change(`${BODY}/${name}`, (value) =>
			String(value).replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
		);
		await failsAt(trustee({ claims: claims(edit) }), 'token-claims', 'token-claim', name);
	});
	it.each(fieldNames)('that lacks %s', async (name) => {
		const edit = drop(`${BODY}/${name}`);
		await failsAt(trustee({ claims: claims(edit) }), 'token-claims', 'token-claim', name);
	});
	it.each<[string, string, TdOptions]>([
		['TDX 1.5', 'mr_servicetd', { version: 5, later: true }],
		['the extended TDX 1.5', 'td_id', { version: 5, later: 'extended' }],
		['the extended TDX 1.5', 'curr_server_td_attr', { version: 5, later: 'extended' }]
	])('that differs in a field of %s', async (_name, name, td) => {
		const scene = { td, claims: claims(put(`${BODY}/${name}`, '01')) };
		await failsAt(trustee(scene), 'token-claims', 'token-claim', name);
	});

	it.each(['iss', 'aud'])('of Alibaba Cloud with another %s', async (name) => {
		for (const value of [undefined, 'https://evil.example', [ALIBABA], `${ALIBABA}/`]) {
			const other = (fields: Fields) => ({ ...alibabaClaims(fields, ALIBABA), [name]: value });
			await failsAt(alibaba({ claims: other }), 'token-claims', 'token-claim', name);
		}
	});

	it.each(['not JSON', '{"tdx.quote.body.mr_td":"","tdx.quote.body.mr_td":""}'])(
		'of Alibaba Cloud with the status %s',
		async (status) => {
			const other = (fields: Fields) => ({
				...alibabaClaims(fields, ALIBABA),
				'tcb-status': status
			});
			await failsAt(alibaba({ claims: other }), 'token-claims', 'token-claim', 'tcb_svn');
		}
	);

	it('signed with another key', async () => {
		const other = makeSigner('ES256', ES256.kid);
		await failsAt(
			trustee({ signer: other, keys: () => answer({ keys: [ES256.jwk] }) }),
			'token-signature',
			'token-forged'
		);
	});

	it('signed with a key of its own header', async () => {
		const other = makeSigner('ES256');
		const scene = {
			signer: other,
			header: { jwk: other.jwk },
			keys: () => answer({ keys: [ES256.jwk] })
		};
		await failsAt(trustee(scene), 'token-signature', 'token-forged');
	});

	it('signed with an algorithm of another provider', async () => {
		const scene = { signer: RS384, claims: (f: Fields) => alibabaClaims(f, ALIBABA) };
		await failsAt(alibaba(scene), 'token-signature', 'token-malformed', 'RS384');
	});

	it('is verified under the pinned keys, which are then not asked for', async () => {
		const pin = (jwk: unknown) => (s: Settings) => void (s.keys.trustee = JSON.stringify(jwk));
		const good = await run(trustee({ settings: pin({ keys: [ES256.jwk] }) }));
		expect(good.verdict.status).toBe('green');
		expect(good.calls.some(({ url }) => url.includes('jwks'))).toBe(false);
		await failsAt(
			trustee({ settings: pin(makeSigner('ES256', ES256.kid).jwk) }),
			'token-signature',
			'token-forged'
		);
		// Trustee's ephemeral signer names no key; a pinned one is trusted by itself.
		const nameless = { ...ES256.jwk, kid: undefined };
		const scene = { settings: pin(nameless), header: { kid: undefined, jwk: ES256.jwk } };
		expect((await run(trustee(scene))).verdict.status).toBe('green');
	});

	it('without a key name is refused where keys are discovered', async () => {
		await failsAt(trustee({ header: { kid: undefined } }), 'token-signature', 'token-forged');
	});
});

describe('the verdict of the service', () => {
	const status = (value: unknown) => (fields: Fields) => earClaims(fields, { 'ear.status': value });

	it.each(['contraindicated', 'none', undefined, 'AFFIRMING', 2, null, '', [], ['affirming']])(
		'%j fails',
		async (value) => {
			await failsAt(trustee({ claims: status(value) }), 'appraisal', 'appraisal');
		}
	);
	it('fails where submodules are a list', async () => {
		const claims = (fields: Fields) => {
			const all = earClaims(fields);
			return { ...all, submods: Object.values(all.submods as object) };
		};
		const { verdict } = await run(trustee({ claims }));
		expect(verdict.status).toBe('red');
		expect(outcome(verdict, 'appraisal')).not.toBe('pass');
	});
	it('warning warns', async () => {
		const { verdict } = await run(trustee({ claims: status('warning') }));
		expect(verdict.status).toBe('amber');
		expect(outcome(verdict, 'appraisal')).toBe('warn');
	});
	it.each([
		[
			'counts every submodule',
			{ 'ear.status': 'contraindicated', 'ear.appraisal-policy-id': 'default' },
			'contraindicated'
		],
		['fails where a submodule is none', 1, 'missing']
	])('%s', async (_name, gpu, detail) => {
		const claims = (fields: Fields) => {
			const all = earClaims(fields);
			put('/submods/gpu0', gpu)(all);
			return all;
		};
		await failsAt(trustee({ claims }), 'appraisal', 'appraisal', detail);
	});
	it.each([[undefined], [[]], ['x'], [[{}]], [[null]]])(
		'of Alibaba Cloud %j fails',
		async (reports) => {
			const claims = (f: Fields) => ({
				...alibabaClaims(f, ALIBABA),
				'evaluation-reports': reports
			});
			await failsAt(alibaba({ claims }), 'appraisal', 'appraisal');
		}
	);
	it.each([
		['UpToDate', 'pass', 'green'],
		['SWHardeningNeeded', 'warn', 'amber'],
		['OutOfDate', 'fail', 'red'],
		['OutOfDateConfigurationNeeded', 'fail', 'red'],
		['Revoked', 'fail', 'red'],
		['', 'fail', 'red']
	])('names the platform status %s', async (tcb_status, expected, colour) => {
		const claims = (fields: Fields) => earClaims(fields, {}, { cczoo: { tcb_status } });
		const { verdict } = await run(trustee({ claims }));
		expect([outcome(verdict, 'tcb-status'), verdict.status]).toEqual([expected, colour]);
	});

	it.each([
		['warns', 'TDRelaunchAdvised', 'warn', 'amber'],
		['warns by another name', 'TdRelaunchAdvised', 'warn', 'amber'],
		['fails', 'TDRelaunchAdvisedConfigurationNeeded', 'fail', 'red']
	])('says that the TD is to be restarted: %s', async (_name, tcb_status, expected, colour) => {
		const claims = (fields: Fields) => earClaims(fields, {}, { cczoo: { tcb_status } });
		const settings = policy({ tcb: { warn: ['TDRelaunchAdvised'] } });
		const { verdict } = await run(trustee({ claims, settings }));
		expect([outcome(verdict, 'tcb-status'), verdict.status]).toEqual([expected, colour]);
		expect(headline(verdict.checks)).toMatchObject({ id: 'tcb-status', code: 'tcb-relaunch' });
		expect(en['reason.tcb-relaunch']).toContain('restart the TD');
	});

	it.each([
		[17, 'pass'],
		[16, 'fail'],
		['17', 'fail'],
		[17.5, 'fail'],
		[undefined, 'fail']
	])(
		'holds the edition %j that Trustee names against the policy’s floor',
		async (told, expected) => {
			const platform = { tcb_status: 'UpToDate', tcb_eval_num: told };
			const claims = (fields: Fields) => earClaims(fields, {}, { cczoo: platform });
			const settings = policy({ tcb: { min_evaluation: 17 } });
			const { verdict } = await run(trustee({ claims, settings }));
			expect(outcome(verdict, 'tcb-status')).toBe(expected);
			// Shown as well, where it is a number.
			const number = Number.isInteger(told) ? told : undefined;
			expect(verdict.fields.tcb_evaluation).toBe(number);
		}
	);

	// Where Trustee has it itself, with the names of v0.13 among the others.
	it.each([
		['UpToDate', 'pass', 'green'],
		['OK', 'pass', 'green'],
		['SoftwareHardeningNeeded', 'warn', 'amber'],
		['ConfigurationAndSoftwareHardeningNeeded', 'warn', 'amber'],
		['OutOfDate', 'fail', 'red'],
		['TDRelaunchAdvised', 'fail', 'red'],
		['TdRelaunchAdvisedConfigurationNeeded', 'fail', 'red'],
		[null, 'fail', 'red'],
		[{ OK: 1 }, 'fail', 'red']
	])('of Trustee names the platform status %s', async (tcb_status, expected, colour) => {
		const ear = (fields: Fields) => {
			const all = earClaims(fields);
			put('/submods/cpu0/ear.veraison.annotated-evidence/tdx/tcb_status', tcb_status)(all);
			return all;
		};
		const simple = (fields: Fields) => {
			const all = simpleClaims(fields);
			const status = JSON.parse(String(all['tcb-status'])) as object;
			all['tcb-status'] = JSON.stringify({ ...status, 'tdx.tcb_status': tcb_status });
			return all;
		};
		for (const scene of [{ claims: ear }, { claims: simple, signer: RS384 }]) {
			const { verdict } = await run(trustee(scene));
			expect([outcome(verdict, 'tcb-status'), verdict.status]).toEqual([expected, colour]);
		}
	});
});

describe('how strict the server asks pages to be', () => {
	const told = async (config: Scene['config']) => {
		const memory = fakeStorage();
		const { verdict } = await run(alibaba({ config, env: { memory } }));
		return { verdict, kept: memory.items.get(ENFORCEMENT_KEY) };
	};

	it('is told, and remembered where that is more than before', async () => {
		const { verdict, kept } = await told({ enforcement: 'block' });
		expect([verdict.status, verdict.proposed, verdict.relax]).toEqual([
			'green',
			'block',
			undefined
		]);
		expect(JSON.parse(must(kept))).toEqual({ v: 1, enforcement: 'block' });
	});

	it('is nothing where it says nothing', async () => {
		const { verdict, kept } = await told({});
		expect([verdict.proposed, kept]).toEqual([undefined, undefined]);
	});
});

describe('a service that only this server named', () => {
	const config = {
		default_provider: 'trustee',
		providers: { trustee: { url: TRUSTEE, relay: false } }
	};
	const chosen = (change: (s: Settings) => void): Scene => ({
		config,
		claims: (fields) => earClaims(fields),
		settings: change
	});

	it.each<[string, (s: Settings) => void]>([
		['provider and address', () => {}],
		['the address', (s) => void (s.provider = 'trustee')],
		['the provider', (s) => void (s.addresses.trustee = TRUSTEE)]
	])('(%s) is never green', async (_name, settings) => {
		const { verdict } = await run(chosen(settings));
		expect(verdict.status).toBe('amber');
		expect(headline(verdict.checks)).toMatchObject({
			id: 'token-signature',
			code: 'server-chosen'
		});
	});

	it('is green once the user has confirmed it', async () => {
		const { verdict } = await run(
			chosen((s) => {
				s.provider = 'trustee';
				s.addresses.trustee = TRUSTEE;
			})
		);
		expect(verdict.status).toBe('green');
	});

	it('does not replace the built-in address', async () => {
		const { verdict, calls } = await run(
			alibaba({ config: { providers: { alibaba: { url: 'https://evil.example', relay: false } } } })
		);
		expect(verdict.status).toBe('green');
		expect(calls.some(({ url }) => url.includes('evil'))).toBe(false);
	});
});
