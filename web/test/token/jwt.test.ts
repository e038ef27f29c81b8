import { createHmac, createPublicKey, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64url, toUtf8 } from '../../src/base/encoding';
import { Problem } from '../../src/base/problem';
import { parseJwt, verifyJwt, type Algorithm } from '../../src/token/jwt';
import { parseKeySet } from '../../src/token/keys';
import { base64url, fill } from '../support/bytes';
import { makeSigner, makeToken, signBytes } from '../support/pretended-service';
import { problemIn, problemOf } from '../support/problems';

const { subtle } = crypto;

describe('JWS examples of RFC 7515', () => {
	const payload =
		'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
	const examples: [string, Algorithm, Record<string, string>, string][] = [
		[
			'appendix A.2',
			'RS256',
			{
				kty: 'RSA',
				n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
				e: 'AQAB'
			},
			`eyJhbGciOiJSUzI1NiJ9.${payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw`
		],
		[
			'appendix A.3',
			'ES256',
			{
				kty: 'EC',
				crv: 'P-256',
				x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
				y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0'
			},
			`eyJhbGciOiJFUzI1NiJ9.${payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`
		]
	];

	it.each(examples)('%s (%s) verifies', async (_name, alg, jwk, token) => {
		const jwt = parseJwt(token);
		expect(jwt.payload).toEqual({
			iss: 'joe',
			exp: 1300819380,
			'http://example.com/is_root': true
		});
		await verifyJwt(subtle, jwt, parseKeySet(JSON.stringify(jwk)), [alg], true);
	});

	it.each(examples)(
		'%s (%s) does not verify with any byte changed',
		async (_name, alg, jwk, token) => {
			const keys = parseKeySet(JSON.stringify(jwk));
			for (let at = token.lastIndexOf('.') + 1; at < token.length - 1; at += 5) {
				const other = token[at] === 'A' ? 'B' : 'A';
				const jwt = parseJwt(token.slice(0, at) + other + token.slice(at + 1));
				await expect(verifyJwt(subtle, jwt, keys, [alg], true)).rejects.toThrow(Problem);
			}
		}
	);
});

describe('JWS example of RFC 7520, section 4.1 (RS256)', () => {
	const key = {
		kty: 'RSA',
		kid: 'bilbo.baggins@hobbiton.example',
		use: 'sig',
		n: 'n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw',
		e: 'AQAB'
	};
	const header = 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9';
	const payload =
		'SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4';
	const signature =
		'MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg';
	const jwt = {
		alg: 'RS256',
		kid: key.kid,
		chain: undefined,
		bareKey: false,
		payload: {},
		signed: toUtf8(`${header}.${payload}`),
		signature: fromBase64url(signature)
	};
	const keys = parseKeySet(JSON.stringify({ keys: [key] }));

	it('verifies by the key of its kid', async () => {
		await verifyJwt(subtle, jwt, keys, ['RS256'], false);
		const other = { ...jwt, kid: 'frodo.baggins@hobbiton.example' };
		await expect(verifyJwt(subtle, other, keys, ['RS256'], false)).rejects.toThrow(Problem);
		const cut = { ...jwt, signed: jwt.signed.slice(0, -1) };
		await expect(verifyJwt(subtle, cut, keys, ['RS256'], false)).rejects.toThrow(Problem);
	});

	it('is no token: its payload is a sentence and not an object', () => {
		expect(() => parseJwt(`${header}.${payload}.${signature}`)).toThrow(Problem);
	});
});

describe('tokens', () => {
	const all: Algorithm[] = ['RS256', 'RS384', 'ES256'];
	const rsa = makeSigner('RS256');
	const ec = makeSigner('ES256');
	const claims = { sub: 'x' };
	const verify = async (token: string, keys: unknown[], algorithms = all, pinned = false) =>
		verifyJwt(subtle, parseJwt(token), parseKeySet(JSON.stringify({ keys })), algorithms, pinned);
	const code = async (run: () => Promise<void>) => (await problemIn(run))?.code ?? 'accepted';
	const raw = (header: unknown, payload: unknown = claims, signature = 'AAAA') =>
		[header, payload].map((part) => base64url(JSON.stringify(part))).join('.') + `.${signature}`;

	it.each(all)('with %s are accepted', async (alg) => {
		const signer = makeSigner(alg);
		expect(await code(() => verify(makeToken(signer, claims), [signer.jwk]))).toBe('accepted');
		const others = all.filter((name) => name !== alg);
		expect(await code(() => verify(makeToken(signer, claims), [signer.jwk], others))).toBe(
			'token-malformed'
		);
	});

	it.each([
		'none',
		'None',
		'NONE',
		'',
		'HS256',
		'HS384',
		'PS256',
		'RS512',
		'ES384',
		'EdDSA',
		'rs256',
		null,
		1,
		{}
	])('with alg %j are refused', async (alg) => {
		for (const signature of ['', 'AAAA']) {
			expect(
				await code(async () =>
					verify(raw({ alg }, claims, signature), [rsa.jwk, ec.jwk], all, true)
				)
			).toBe('token-malformed');
		}
	});

	it('signed with the public key as HMAC secret are refused', async () => {
		const pem = createPublicKey({ key: { ...rsa.jwk }, format: 'jwk' }).export({
			type: 'spki',
			format: 'pem'
		});
		for (const alg of ['HS256', 'RS256', 'ES256']) {
			const signed = raw({ alg, kid: rsa.kid }).split('.').slice(0, 2).join('.');
			const mac = createHmac('sha256', pem).update(signed).digest('base64url');
			expect(await code(() => verify(`${signed}.${mac}`, [rsa.jwk], all, true))).not.toBe(
				'accepted'
			);
		}
	});

	it.each(['jwk', 'jku', 'x5c', 'x5u'])('get no key by their own %s', async (name) => {
		const mine = makeSigner('ES256', 'mine');
		const header = { [name]: name === 'jwk' ? mine.jwk : 'https://evil.example' };
		expect(await code(() => verify(makeToken(mine, claims, header), [ec.jwk]))).toBe(
			'token-forged'
		);
		expect(
			await code(() => verify(makeToken(mine, claims, { ...header, kid: ec.kid }), [ec.jwk]))
		).toBe('token-forged');
	});

	it.each<[string, unknown]>([
		['crit', ['exp']],
		['crit', []],
		['b64', false],
		['zip', 'DEF'],
		['cty', 'JWT'],
		['enc', 'A128GCM']
	])('with the header parameter %s are refused', async (name, value) => {
		expect(await code(async () => verify(makeToken(ec, claims, { [name]: value }), [ec.jwk]))).toBe(
			'token-malformed'
		);
	});

	it('must name their key', async () => {
		const nameless = { ...ec.jwk, kid: undefined };
		const unnamed = makeToken(ec, claims, { kid: undefined });
		const named = makeToken(ec, claims);
		expect(await code(() => verify(named, [{ ...ec.jwk, kid: 'other' }]))).toBe('token-forged');
		expect(await code(() => verify(unnamed, [ec.jwk]))).toBe('token-forged');
		expect(await code(() => verify(named, [nameless]))).toBe('token-forged');
		// Neither names it: Trustee's own signer.
		expect(await code(() => verify(unnamed, [nameless]))).toBe('accepted');
		// Pinned keys are trusted one by one.
		expect(await code(() => verify(unnamed, [ec.jwk], all, true))).toBe('accepted');
		expect(await code(() => verify(named, [nameless], all, true))).toBe('accepted');
		expect(await code(() => verify(named, [{ ...ec.jwk, kid: 'other' }], all, true))).toBe(
			'token-forged'
		);
	});

	it.each<[string, object]>([
		['of another use', { use: 'enc' }],
		['of another algorithm', { alg: 'ES384' }],
		['for another operation', { key_ops: ['sign'] }],
		['of another curve', { crv: 'P-384' }],
		['of another kind', { kty: 'RSA' }],
		['off the curve', { y: base64url(fill(32, 1)) }]
	])('are not verified with a key %s', async (_name, change) => {
		expect(await code(() => verify(makeToken(ec, claims), [{ ...ec.jwk, ...change }]))).toBe(
			'token-forged'
		);
	});

	it('are not verified with a short RSA key', async () => {
		const short = makeSigner('RS256', rsa.kid, 1024);
		expect(await code(() => verify(makeToken(short, claims), [short.jwk]))).toBe('token-forged');
	});

	it('with an ECDSA signature in DER or of another length are refused', async () => {
		const token = makeToken(ec, claims);
		const signed = token.slice(0, token.lastIndexOf('.'));
		const der = sign('sha256', Buffer.from(signed), ec.key);
		const good = signBytes(ec, Buffer.from(signed));
		for (const signature of [
			der,
			good.subarray(0, 63),
			Buffer.concat([good, fill(1, 0)]),
			fill(64, 0),
			Buffer.alloc(0)
		]) {
			expect(await code(() => verify(`${signed}.${base64url(signature)}`, [ec.jwk]))).toBe(
				'token-forged'
			);
		}
	});

	it('are found among many keys', async () => {
		const others = Array.from(
			{ length: 5 },
			(_, n) => makeSigner('ES256', n % 2 ? ec.kid : `k${n}`).jwk
		);
		expect(await code(() => verify(makeToken(ec, claims), [...others, rsa.jwk, ec.jwk]))).toBe(
			'accepted'
		);
	});

	it.each<[string, (token: string) => string]>([
		['two parts', (t) => t.split('.').slice(0, 2).join('.')],
		['four parts', (t) => `${t}.AAAA`],
		['five parts', (t) => `${t}.AAAA.AAAA`],
		['padding', (t) => `${t}=`],
		['a line end', (t) => `${t}\n`],
		['an empty header', (t) => t.replace(/^[^.]*/, '')],
		[
			'a huge header',
			(t) => t.replace(/^[^.]*/, base64url(JSON.stringify({ alg: 'ES256', x: 'x'.repeat(9000) })))
		],
		[
			'a huge payload',
			(t) => t.replace(/\.[^.]*\./, `.${base64url(JSON.stringify({ x: 'x'.repeat(1 << 20) }))}.`)
		],
		[
			'a repeated header parameter',
			(t) => t.replace(/^[^.]*/, base64url('{"alg":"none","alg":"ES256"}'))
		],
		['a repeated claim', (t) => t.replace(/\.[^.]*\./, `.${base64url('{"exp":1,"exp":2}')}.`)],
		['a list for a payload', (t) => t.replace(/\.[^.]*\./, `.${base64url('[1]')}.`)],
		[
			'broken UTF-8',
			(t) => t.replace(/\.[^.]*\./, `.${base64url(Buffer.from([0x7b, 0xff, 0x7d]))}.`)
		],
		['a token inside', (t) => `${base64url(t)}.${base64url(t)}.AAAA`]
	])('with %s are refused', (_name, change) => {
		const token = change(makeToken(ec, claims));
		expect(problemOf(() => parseJwt(token))?.code).toBe('token-malformed');
	});

	it('of random text never crash and are never accepted', async () => {
		const part = fc.oneof(
			fc.string(),
			fc.jsonValue().map((v) => base64url(JSON.stringify(v))),
			fc.base64String()
		);
		await fc.assert(
			fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
				const text = parts.join('.');
				if (problemOf(() => parseJwt(text))) return;
				const verified = verifyJwt(subtle, parseJwt(text), [ec.jwk, rsa.jwk], all, true);
				await expect(verified).rejects.toThrow(Problem);
			})
		);
	});
});
