import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseKeySet, parsePins } from '../../src/token/keys';
import { fill, type Bytes } from '../support/bytes';
import { makeSigner } from '../support/pretended-service';
import { problemOf } from '../support/problems';

describe('key sets', () => {
	const { jwk } = makeSigner('ES256');
	it.each<[string, unknown]>([
		['a set', { keys: [jwk] }],
		['one key', jwk],
		['a set with a key of another kind', { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'x' }, jwk] }]
	])('take %s', (_name, value) => {
		expect(parseKeySet(JSON.stringify(value))).toContainEqual(jwk);
	});
	it.each<[string, unknown]>([
		['no keys', { keys: [] }],
		['no list', { keys: {} }],
		['something else', { issuer: 'x' }],
		['a text', 'x'],
		['a key that is none', { keys: [null] }],
		['a private key', { keys: [{ ...jwk, d: 'x' }] }],
		['a secret', { keys: [{ kty: 'oct', k: 'x' }] }],
		['too many', { keys: Array(65).fill(jwk) }],
		['more text than any', { keys: [jwk], x: 'x'.repeat(1 << 16) }]
	])('refuse %s', (_name, value) => {
		expect(problemOf(() => parseKeySet(JSON.stringify(value)))?.code).toBe('keys-malformed');
	});
	it('refuse what is no JSON', () => {
		for (const text of ['', '-----BEGIN CERTIFICATE-----', '{"keys":[],"keys":[]}']) {
			expect(problemOf(() => parseKeySet(text))?.code).toBe('keys-malformed');
		}
	});
});

describe('pins', () => {
	const { jwk } = makeSigner('ES256');
	const one = fill(300, 1);
	const two = fill(301, 2);
	const pem = (bytes: Bytes, label = 'CERTIFICATE', end = '\n') =>
		[
			`-----BEGIN ${label}-----`,
			...(bytes.toString('base64').match(/.{1,64}/g) ?? []),
			`-----END ${label}-----`,
			''
		].join(end);

	it('are keys or certificates', () => {
		expect(parsePins(JSON.stringify(jwk))).toEqual({ keys: [jwk], certificates: [] });
		const certificates = [one, two].map((bytes) => new Uint8Array(bytes));
		for (const end of ['\n', '\r\n']) {
			const text = [one, two].map((bytes) => pem(bytes, 'CERTIFICATE', end)).join('');
			expect(parsePins(`\n ${text} \n`)).toEqual({ keys: [], certificates });
		}
	});

	it.each([
		['a private key', pem(one, 'PRIVATE KEY')],
		['a public key', pem(one, 'PUBLIC KEY')],
		['a private key beside a certificate', pem(one) + pem(two, 'PRIVATE KEY')],
		['a request', pem(one, 'CERTIFICATE REQUEST')],
		['words between certificates', `${pem(one)}and\n${pem(two)}`],
		['a certificate without its end', pem(one).replace(/-----END.*/, '')],
		['a certificate with nothing in it', pem(Buffer.alloc(0))],
		['broken base64', pem(one).replace('AQEB', 'A=EB')],
		['too many certificates', pem(one).repeat(65)],
		['a certificate behind a byte order mark', `\ufeff${pem(one)}`],
		['a certificate before a vertical tab', `${pem(one)}\v`],
		['a certificate with NBSP inside', pem(one).replace('AQEB', 'AQ\xa0EB')],
		['a dash', '-'],
		['nothing', '']
	])('are not %s', (_name, text) => {
		expect(problemOf(() => parsePins(text))?.code).toBe('keys-malformed');
	});

	it('of random text never crash', () => {
		const part = fc.constantFrom(
			'-----BEGIN CERTIFICATE-----',
			'-----END CERTIFICATE-----',
			'AAAA',
			'\n',
			'-',
			'{',
			'='
		);
		fc.assert(
			fc.property(
				fc.array(part, { maxLength: 12 }),
				(parts) => void problemOf(() => parsePins(parts.join('')))
			)
		);
	});
});
