/**
 * Tokens as an attacker would make them, through the whole run: each one red, with the check that
 * saw it. Everything but the attack is in order, and the first test of each provider is green.
 */
import { createHmac, createPrivateKey, createPublicKey, sign as nodeSign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import { attest } from '../../src/session/attest';
import { defaults } from '../../src/session/settings';
import { base64url, fill } from '../support/bytes';
import {
	answer,
	endless,
	fakeFetch,
	makeEnvironment,
	nonceOf,
	NOW,
	type Answer
} from '../support/environment';
import { change } from '../support/json';
import { keptBy } from '../support/kept';
import {
	alibabaClaims,
	earClaims,
	makeSigner,
	makeToken,
	type Claims,
	type Signer
} from '../support/pretended-service';
import { makeEvidence, someFields } from '../support/pretended-td';
import { readVectors } from '../support/vectors';

const ADDRESSES = {
	alibaba: 'https://attest.cn-beijing.aliyuncs.com',
	trustee: 'https://trustee.example'
};
type Service = keyof typeof ADDRESSES;
const SIGNERS: Record<Service, Signer> = {
	alibaba: makeSigner('RS256'),
	trustee: makeSigner('ES256')
};
/** The attacker's key, under the name of the service's. */
const MINE: Record<Service, Signer> = {
	alibaba: makeSigner('RS256', SIGNERS.alibaba.kid),
	trustee: makeSigner('ES256', SIGNERS.trustee.kid)
};
const RS384 = makeSigner('RS384');
const EVIL = 'https://evil.example';

/** Chains and the key under them, made by tests/vectors/make.py. */
const { chains } = readVectors('tokens') as {
	chains: {
		root: string;
		another_root: string;
		signer: Signer['jwk'];
		x5c: string[];
		invalid: { why: string; pin: string; token: string }[];
	};
};
const CERTIFIED: Signer = {
	alg: 'ES256',
	kid: SIGNERS.trustee.kid,
	key: createPrivateKey({ key: { ...chains.signer }, format: 'jwk' }),
	jwk: chains.signer
};

/** What an attack starts from. */
interface Parts {
	service: Service;
	signer: Signer;
	mine: Signer;
	claims: Claims;
	/** The token that would be accepted, and one by another hand or with another header. */
	good: string;
	token: (header?: object, signer?: Signer, claims?: unknown) => string;
}

interface Scene {
	token?: (parts: Parts) => string;
	/** Edit the claims. */
	claims?: (claims: Claims) => void;
	pins?: string;
	keys?: Answer;
	discovery?: Answer;
	routes?: Record<string, () => Answer>;
}

const json = (value: unknown) => JSON.stringify(value);

const run = async (service: Service, scene: Scene = {}) => {
	const address = ADDRESSES[service];
	const signer = SIGNERS[service];
	let fields = someFields();
	const respond = (): Answer => {
		const claims = service === 'alibaba' ? alibabaClaims(fields, address) : earClaims(fields);
		scene.claims?.(claims);
		const token: Parts['token'] = (header = {}, by = signer, payload = claims) =>
			makeToken(by, payload, header);
		const parts = { service, signer, mine: MINE[service], claims, good: token(), token };
		return { text: scene.token?.(parts) ?? parts.good };
	};
	const { fetch, calls } = fakeFetch({
		...scene.routes,
		'/tee/config': () => answer({}),
		'/tee/quote': (call) => {
			const made = makeEvidence(nonceOf(call), { fields: someFields() });
			fields = made.fields;
			return answer(made.document);
		},
		'/openid-configuration': () =>
			scene.discovery ?? answer({ issuer: address, jwks_uri: `${address}/jwks.json` }),
		'/jwks.json': () => scene.keys ?? answer({ keys: [signer.jwk] }),
		'/attestation': respond
	});
	const settings = defaults();
	settings.provider = service;
	settings.addresses[service] = address;
	settings.keys[service] = scene.pins ?? '';
	const env = makeEnvironment(fetch, keptBy(settings));
	const verdict = await attest(env, settings, new AbortController().signal);
	return { verdict, urls: calls.map(({ url }) => url) };
};

/** Red, and the headline is this check for this reason. */
const red = async (service: Service, scene: Scene, id: string, code: string, detail?: RegExp) => {
	const { verdict, urls } = await run(service, scene);
	expect(verdict.status).toBe('red');
	const reason = headline(verdict.checks);
	expect([reason?.id, reason?.code]).toEqual([id, code]);
	if (detail) expect(reason?.detail).toMatch(detail);
	expect(urls.filter((url) => url.startsWith(EVIL))).toEqual([]);
	return urls;
};

const services = Object.keys(ADDRESSES) as Service[];
const MALFORMED = ['token-signature', 'token-malformed'] as const;
const FORGED = ['token-signature', 'token-forged'] as const;

const unsigned = (header: unknown, claims: unknown) =>
	[header, claims].map((part) => base64url(typeof part === 'string' ? part : json(part))).join('.');

/** The header and the claims as text, signed by the service. */
const signedText = ({ signer }: Parts, header: string, claims: string) => {
	const signed = `${base64url(header)}.${base64url(claims)}`;
	const hash = 'sha256';
	const signature = nodeSign(hash, Buffer.from(signed), {
		key: signer.key,
		dsaEncoding: 'ieee-p1363'
	});
	return `${signed}.${base64url(signature)}`;
};

const headerOf = ({ signer: { alg, kid } }: Parts) => json({ alg, kid });

/** All the ways in which somebody may take a public key for an HMAC secret. */
const secrets = (jwk: JsonWebKey): Array<string | Buffer> => {
	const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
	const der = (type: 'spki') => key.export({ type, format: 'der' });
	const pem = key.export({ type: 'spki', format: 'pem' }) as string;
	return [
		pem,
		pem.trim(),
		der('spki'),
		Buffer.from(jwk.n ?? jwk.x ?? '', 'base64url'),
		json(jwk),
		''
	];
};
const hs256 = ({ signer, claims }: Parts, secret: string | Buffer, alg: string) => {
	const signed = unsigned({ alg, kid: signer.kid, typ: 'JWT' }, claims);
	return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
};

/** The signature's part of a token, changed. */
const resigned = (token: string, change: (signature: Buffer) => Uint8Array) => {
	const at = token.lastIndexOf('.') + 1;
	return token.slice(0, at) + base64url(change(Buffer.from(token.slice(at), 'base64url')));
};

describe.each(services)('%s', (service) => {
	it('is green with its own token, and as the attacks below write it', async () => {
		const ways: Array<(parts: Parts) => string> = [
			({ good }) => good,
			(parts) => signedText(parts, headerOf(parts), json(parts.claims)),
			({ good }) => resigned(good, (signature) => signature),
			({ token }) => token({ jku: `${EVIL}/jwks.json`, x5u: EVIL, x5c: ['AAAA'] })
		];
		for (const token of ways) {
			const { verdict, urls } = await run(service, { token });
			expect(verdict.status).toBe('green');
			expect(urls.filter((url) => url.startsWith(EVIL))).toEqual([]);
		}
	});

	const attacks: Array<[string, (parts: Parts) => string, readonly [string, string]]> = [
		['alg none', ({ claims }) => `${unsigned({ alg: 'none' }, claims)}.`, MALFORMED],
		['alg None', ({ claims }) => `${unsigned({ alg: 'None' }, claims)}.`, MALFORMED],
		['alg none with its signature', ({ token }) => token({ alg: 'none' }), MALFORMED],
		['no alg', ({ token }) => token({ alg: undefined }), MALFORMED],
		['alg as a list', ({ token, signer }) => token({ alg: [signer.alg] }), MALFORMED],
		['PS256', ({ token }) => token({ alg: 'PS256' }), MALFORMED],
		['ES384', ({ token }) => token({ alg: 'ES384' }), MALFORMED],
		['another kid', ({ token }) => token({ kid: 'nobody' }), FORGED],
		['no kid', ({ token }) => token({ kid: undefined }), FORGED],
		['a kid that is a path', ({ token }) => token({ kid: '../../jwks.json' }), FORGED],
		['another key under the right kid', ({ token, mine }) => token({}, mine), FORGED],
		['its own jwk', ({ token, mine }) => token({ jwk: mine.jwk }, mine), FORGED],
		[
			'its own jwk and no kid',
			({ token, mine }) => token({ jwk: mine.jwk, kid: undefined }, mine),
			FORGED
		],
		['its own jku', ({ token, mine }) => token({ jku: `${EVIL}/jwks.json` }, mine), FORGED],
		['its own x5u', ({ token, mine }) => token({ x5u: `${EVIL}/chain.pem` }, mine), FORGED],
		['critical headers', ({ token }) => token({ crit: ['exp'], exp: NOW }), MALFORMED],
		['an empty list of critical headers', ({ token }) => token({ crit: [] }), MALFORMED],
		['an unencoded payload', ({ token }) => token({ b64: false, crit: ['b64'] }), MALFORMED],
		['b64 without crit', ({ token }) => token({ b64: false }), MALFORMED],
		['compression', ({ token }) => token({ zip: 'DEF' }), MALFORMED],
		['encryption', ({ token }) => token({ enc: 'A128GCM' }), MALFORMED],
		[
			'another token inside',
			({ token, good }) => token({ cty: 'JWT' }, undefined, good),
			MALFORMED
		],
		[
			'another token inside, unannounced',
			({ token, good }) => token({}, undefined, good),
			MALFORMED
		],
		['five parts, as if encrypted', ({ good }) => `${good}.AAAA.AAAA`, MALFORMED],
		['a huge header', ({ token }) => token({ x: 'x'.repeat(9000) }), MALFORMED],
		[
			'a huge payload',
			({ token, claims }) => token({}, undefined, { ...claims, x: 'x'.repeat(1 << 20) }),
			MALFORMED
		],
		['no signature', ({ good }) => good.replace(/[^.]*$/, ''), FORGED],
		['no signature and no dot', ({ good }) => good.replace(/\.[^.]*$/, ''), MALFORMED],
		['a trailing dot', ({ good }) => `${good}.`, MALFORMED],
		['trailing dots', ({ good }) => `${good}..`, MALFORMED],
		['a blank inside', ({ good }) => good.replace('.', ' .'), MALFORMED],
		['a line end inside', ({ good }) => good.replace(/.{76}/, '$&\r\n'), MALFORMED],
		['a NUL at its end', ({ good }) => `${good}\0`, MALFORMED],
		['padding', ({ good }) => `${good}==`, MALFORMED],
		[
			'standard base64',
			({ good }) => good.replace(/-/g, '+').replace(/_/g, '/') + (/[-_]/.test(good) ? '' : '+'),
			MALFORMED
		],
		// 64 and 256 bytes end in a character with four bits that mean nothing.
		[
			'another spelling of its signature',
			({ good }) => good.replace(/.$/, (c) => ({ A: 'B', Q: 'R', g: 'h', w: 'x' })[c] ?? '!'),
			MALFORMED
		],
		[
			'a byte more of signature',
			({ good }) => resigned(good, (s) => Buffer.concat([s, fill(1, 0)])),
			FORGED
		],
		['a byte less of signature', ({ good }) => resigned(good, (s) => s.subarray(0, -1)), FORGED],
		['a signature of zeros', ({ good }) => resigned(good, (s) => fill(s.length, 0)), FORGED],
		['a signature of ones', ({ good }) => resigned(good, (s) => fill(s.length, 0xff)), FORGED],
		[
			'its claims changed',
			({ good, claims }) =>
				good.replace(/\.[^.]*\./, `.${base64url(json({ ...claims, exp: NOW + 999 }))}.`),
			FORGED
		],
		[
			'a claim twice',
			(parts) =>
				signedText(parts, headerOf(parts), `${json(parts.claims).slice(0, -1)},"exp":${NOW + 9}}`),
			MALFORMED
		],
		[
			'a claim twice, escaped',
			(parts) =>
				signedText(
					parts,
					headerOf(parts),
					`${json(parts.claims).slice(0, -1)},"\\u0065xp":${NOW + 9}}`
				),
			MALFORMED
		],
		[
			'alg twice',
			(parts) =>
				signedText(
					parts,
					`{"alg":"none","alg":"${parts.signer.alg}","kid":"${parts.signer.kid}"}`,
					json(parts.claims)
				),
			MALFORMED
		],
		[
			'kid twice',
			(parts) =>
				signedText(
					parts,
					`{"alg":"${parts.signer.alg}","kid":"x","kid":"${parts.signer.kid}"}`,
					json(parts.claims)
				),
			MALFORMED
		],
		[
			'an endless life',
			(parts) =>
				signedText(parts, headerOf(parts), json(parts.claims).replace(/"exp":\d+/, '"exp":1e999')),
			['token-claims', 'token-time']
		],
		['a list for claims', ({ token }) => token({}, undefined, []), MALFORMED],
		[
			'a byte order mark',
			(parts) => signedText(parts, headerOf(parts), `\ufeff${json(parts.claims)}`),
			MALFORMED
		]
	];
	it.each(attacks)('is red with %s', async (_name, token, [id, code]) => {
		await red(service, { token }, id, code);
	});

	it.each(secrets(SIGNERS[service].jwk).map((secret, n) => [n, secret] as const))(
		'is red with the public key as an HMAC secret (spelling %i)',
		async (_n, secret) => {
			await red(service, { token: (parts) => hs256(parts, secret, 'HS256') }, ...MALFORMED);
			await red(service, { token: (parts) => hs256(parts, secret, parts.signer.alg) }, ...FORGED);
		}
	);

	it('is red with its own certificate chain, and loads nothing from it', async () => {
		for (const header of [
			{ x5c: chains.x5c },
			{ jwk: { ...chains.signer, d: undefined, x5c: chains.x5c } }
		]) {
			const expected: readonly [string, string] = service === 'alibaba' ? MALFORMED : FORGED;
			const token = (parts: Parts) => parts.token({ ...header, alg: 'ES256' }, CERTIFIED);
			await red(service, { token }, ...expected);
			await red(service, { token: ({ token, mine }) => token(header, mine) }, ...FORGED);
		}
	});

	/** The same token, made so many seconds earlier. */
	const aged = (seconds: number) => (claims: Claims) => {
		const times = ['iat', 'nbf', 'exp'].filter((name) => name in claims);
		for (const name of times) claims[name] = Number(claims[name]) - seconds;
	};
	it.each<[string, NonNullable<Scene['claims']>, string, RegExp]>([
		['has expired', aged(30_000), 'token-time', /^exp$/],
		['has just expired', (c) => void (c.exp = NOW - 60), 'token-time', /^exp$/],
		['never expires', (c) => delete c.exp, 'token-time', /^exp$/],
		['expires in words', (c) => void (c.exp = String(c.exp)), 'token-time', /^exp$/],
		['is not valid yet', (c) => void (c.nbf = NOW + 60), 'token-time', /^nbf$/],
		['comes from the future', (c) => void (c.iat = NOW + 60), 'token-time', /^iat$/],
		['is for somebody else', (c) => void (c.aud = EVIL), 'token-claim', /^aud$/],
		['is for several', (c) => void (c.aud = [ADDRESSES[service], EVIL]), 'token-claim', /^aud$/],
		['is for nobody', (c) => void (c.aud = null), 'token-claim', /^aud$/]
	])('is red with a token that %s', async (_name, claims, code, detail) => {
		await red(service, { claims }, 'token-claims', code, detail);
	});

	it('is red with the token of another quote', async () => {
		let old = '';
		await run(service, { token: ({ good }) => (old = good) });
		await red(service, { token: () => old }, 'token-claims', 'token-claim', /^report_data$/);
	});

	it.each<[string, Answer, string, string]>([
		[
			'names its keys twice',
			{ text: `{"keys":[],"keys":[${json(SIGNERS[service].jwk)}]}` },
			'service-kind',
			''
		],
		[
			'has a key with a member twice',
			{ text: `{"keys":[${json(SIGNERS[service].jwk).replace('{', '{"kid":"x",')}]}` },
			'service-kind',
			''
		],
		[
			'holds a secret',
			answer({ keys: [SIGNERS[service].jwk, { kty: 'oct', k: 'AAAA' }] }),
			'keys-malformed',
			''
		],
		[
			'is longer than any',
			answer({ keys: [SIGNERS[service].jwk], x: 'x'.repeat(1 << 16) }),
			'keys-malformed',
			''
		],
		[
			'has more keys than any',
			answer({ keys: Array.from({ length: 65 }, () => SIGNERS[service].jwk) }),
			'keys-malformed',
			''
		],
		['has no end', endless(97), 'keys-unreachable', 'too large']
	])('is red where the key set %s', async (_name, keys, code, detail) => {
		await red(service, { keys }, 'token-signature', code, RegExp(`^${detail}$`));
	});

	it('is red where a key of another kind has the right name', async () => {
		const other = SIGNERS[service === 'alibaba' ? 'trustee' : 'alibaba'].jwk;
		for (const change of [{}, { alg: SIGNERS[service].alg }, { alg: undefined }]) {
			const jwk = { ...other, kid: SIGNERS[service].kid, ...change };
			await red(service, { keys: answer({ keys: [jwk] }) }, ...FORGED);
		}
	});
});

describe('algorithms of another provider', () => {
	it.each<[Service, string, Signer]>([
		['alibaba', 'RS384', { ...RS384, kid: SIGNERS.alibaba.kid }],
		['alibaba', 'ES256', { ...SIGNERS.trustee, kid: SIGNERS.alibaba.kid }],
		['trustee', 'RS256', { ...SIGNERS.alibaba, kid: SIGNERS.trustee.kid }]
	])('%s does not take %s', async (service, _alg, signer) => {
		const jwk = { ...signer.jwk, kid: signer.kid };
		await red(
			service,
			{ token: ({ token }) => token({}, signer), keys: answer({ keys: [jwk] }) },
			...MALFORMED,
			RegExp(`^${signer.alg}$`)
		);
	});

	it('are not reached by a wrong name: the hash belongs to it', async () => {
		// An RS384 signature under the name of ES256, and RS256's under RS384's, with the right key each.
		const keys = answer({ keys: [{ ...RS384.jwk, kid: SIGNERS.trustee.kid }] });
		const named = { kid: SIGNERS.trustee.kid };
		await red(
			'trustee',
			{ keys, token: ({ token }) => token({ ...named, alg: 'ES256' }, RS384) },
			...FORGED
		);
		const short = { ...RS384, alg: 'RS256' };
		await red(
			'trustee',
			{ keys, token: ({ token }) => token({ ...named, alg: 'RS384' }, short) },
			...FORGED
		);
	});

	it('ES256 takes no signature in DER', async () => {
		const token = ({ good }: Parts) => {
			const signed = good.slice(0, good.lastIndexOf('.'));
			return `${signed}.${base64url(nodeSign('sha256', Buffer.from(signed), SIGNERS.trustee.key))}`;
		};
		await red('trustee', { token }, ...FORGED);
	});
});

describe('claims of Alibaba Cloud', () => {
	const STATUS = '/tcb-status';
	it.each<[string, NonNullable<Scene['claims']>, string]>([
		['from another issuer', (c) => void (c.iss = EVIL), 'iss'],
		['from no issuer', (c) => delete c.iss, 'iss'],
		['from an issuer like it', change('/iss', (issuer) => `${String(issuer)}/`), 'iss'],
		['for no audience', (c) => delete c.aud, 'aud'],
		[
			'with a measurement twice',
			change(STATUS, (status) => `{"tdx.quote.body.mr_td":"00",${String(status).slice(1)}`),
			'tcb_svn'
		],
		[
			'with measurements in a list',
			change(STATUS, (status) =>
				String(status).replace(
					/"tdx\.quote\.body\.tcb_svn":("[^"]*")/,
					'"tdx.quote.body.tcb_svn":[$1]'
				)
			),
			'tcb_svn'
		],
		[
			'with measurements that are no text',
			change(STATUS, (status): unknown => JSON.parse(String(status))),
			'tcb-status'
		]
	])('%s are red', async (_name, claims, detail) => {
		await red('alibaba', { claims }, 'token-claims', 'token-claim', RegExp(`^${detail}$`));
	});

	it('that repeat a refusal of the policy are red', async () => {
		const report = (allow: unknown) => (c: Claims) =>
			void (c['evaluation-reports'] = [{ 'policy-id': 'default', 'evaluation-result': { allow } }]);
		expect((await run('alibaba', { claims: report(true) })).verdict.status).toBe('green');
		for (const allow of [false, 'true', 1]) {
			await red('alibaba', { claims: report(allow) }, 'appraisal', 'appraisal');
		}
	});
});

describe('OpenID discovery of Alibaba Cloud', () => {
	const address = ADDRESSES.alibaba;
	const document = (change: object): Answer =>
		answer({ issuer: address, jwks_uri: `${address}/jwks.json`, ...change });

	it.each<[string, Answer, string, ('keys-needed' | 'keys-silent')?]>([
		['is not there', { status: 404, text: '' }, 'HTTP 404', 'keys-needed'],
		['is out of reach', 'no connection', 'no connection', 'keys-silent'],
		['redirects', new Response(null, { status: 307 }), 'redirect'],
		['is no JSON', { text: '<!doctype html>' }, 'openid-configuration'],
		['is a list', { text: '[]' }, 'openid-configuration'],
		[
			'names its issuer twice',
			{ text: `{"issuer":"${EVIL}","issuer":"${address}","jwks_uri":"${address}/jwks.json"}` },
			'openid-configuration'
		],
		['has no end', endless(32), 'too large'],
		['names another issuer', document({ issuer: EVIL }), 'issuer'],
		['names an issuer like it', document({ issuer: `${address}/` }), 'issuer'],
		['names no issuer', document({ issuer: undefined }), 'issuer'],
		['has its keys elsewhere', document({ jwks_uri: `${EVIL}/jwks.json` }), 'jwks_uri'],
		[
			'has its keys at a longer name',
			document({ jwks_uri: `${address}.evil.example/jwks.json` }),
			'jwks_uri'
		],
		[
			'has its keys behind a user name',
			document({ jwks_uri: `${address}@evil.example/jwks.json` }),
			'jwks_uri'
		],
		[
			'has its keys at another port',
			document({ jwks_uri: `${address}:8443/jwks.json` }),
			'jwks_uri'
		],
		[
			'has its keys without TLS',
			document({ jwks_uri: `${address.replace('https', 'http')}/jwks.json` }),
			'jwks_uri'
		],
		['has its keys at a relative address', document({ jwks_uri: '/jwks.json' }), 'jwks_uri'],
		[
			'has its keys in itself',
			document({ jwks_uri: `data:,${json({ keys: [MINE.alibaba.jwk] })}` }),
			'jwks_uri'
		],
		['has no keys', document({ jwks_uri: null }), 'jwks_uri'],
		['has several addresses', document({ jwks_uri: [`${address}/jwks.json`] }), 'jwks_uri']
	])('that %s is red, and no other way is tried', async (_name, discovery, detail, code) => {
		const urls = await red(
			'alibaba',
			{ discovery },
			'token-signature',
			code ?? 'keys-unreachable',
			RegExp(`^${detail}$`)
		);
		expect(urls.filter((url) => /jwks|attestation/.test(url))).toEqual([]);
	});

	it('leads to wherever at its own origin the keys are', async () => {
		const routes = { '/v2/keys?x=1': () => answer({ keys: [SIGNERS.alibaba.jwk] }) };
		const discovery = document({ jwks_uri: `${address}/v2/keys?x=1` });
		const { verdict, urls } = await run('alibaba', {
			discovery,
			routes,
			keys: { status: 500, text: '' }
		});
		expect(verdict.status).toBe('green');
		expect(urls.filter((url) => url.includes('jwks'))).toEqual([]);
	});

	it('is not needed with pinned keys', async () => {
		const { verdict, urls } = await run('alibaba', {
			pins: json(SIGNERS.alibaba.jwk),
			discovery: 'no connection'
		});
		expect(verdict.status).toBe('green');
		expect(urls.filter((url) => url.includes('openid'))).toEqual([]);
	});
});

describe('a pinned CA', () => {
	const bare = { ...chains.signer, d: undefined };
	const certified =
		(header: object) =>
		({ token }: Parts) =>
			token({ kid: undefined, ...header }, CERTIFIED);
	const trustee = certified({ jwk: { ...bare, x5c: chains.x5c } });

	it.each([
		['inside jwk, as Trustee has it', trustee],
		['in x5c', certified({ x5c: chains.x5c })]
	])('is green for a token with its chain %s, and no key is asked for', async (_name, token) => {
		const { verdict, urls } = await run('trustee', { token, pins: chains.root });
		expect(verdict.status).toBe('green');
		expect(urls.filter((url) => url.includes('jwks'))).toEqual([]);
	});

	it('is red for a chain to another CA', async () => {
		await red(
			'trustee',
			{ token: trustee, pins: chains.another_root },
			...FORGED,
			/^x5c: signature$/
		);
	});

	it.each<[string, (parts: Parts) => string, RegExp]>([
		['the service’s published key', ({ good }) => good, /^x5c: none$/],
		[
			'a key beside the chain',
			({ token, mine }) => token({ jwk: { ...mine.jwk, x5c: chains.x5c } }, mine),
			/^$/
		],
		['half a chain', certified({ x5c: chains.x5c.slice(0, 1) }), /^x5c: issuer$/],
		[
			'a chain and other claims',
			(parts) => trustee(parts).replace(/\.[^.]*\./, `.${base64url('{}')}.`),
			/^$/
		]
	])('is red for %s', async (_name, token, detail) => {
		await red('trustee', { token, pins: chains.root }, ...FORGED, detail);
	});

	it('is red once a certificate is too old', async () => {
		for (const { why, pin, token } of chains.invalid.filter(({ why }) => /expired|yet/.test(why))) {
			await red('trustee', { token: () => token, pins: pin }, ...FORGED, RegExp(`^x5c: ${why}$`));
		}
	});

	it('is none where the PEM holds something else', async () => {
		const pem = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`;
		const scene = { token: trustee, pins: pem('AAAA') };
		const urls = await red('trustee', scene, 'token-signature', 'keys-malformed');
		expect(urls.filter((url) => url.includes('jwks'))).toEqual([]);
	});

	it('does not widen what Alibaba Cloud may sign with', async () => {
		await red(
			'alibaba',
			{ token: certified({ x5c: chains.x5c }), pins: chains.root },
			...MALFORMED,
			/^ES256$/
		);
	});
});
