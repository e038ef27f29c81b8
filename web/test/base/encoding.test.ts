import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as encoding from '../../src/base/encoding';
import { Problem } from '../../src/base/problem';
import { base64url } from '../support/bytes';
import { problemOf } from '../support/problems';

describe('encodings', () => {
	it('go there and back', () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
				expect(encoding.fromBase64url(encoding.toBase64url(bytes))).toEqual(bytes);
				expect(encoding.fromBase64(encoding.toBase64(bytes))).toEqual(bytes);
				expect(encoding.fromHex(encoding.toHex(bytes))).toEqual(bytes);
				expect(encoding.toBase64url(bytes)).toBe(base64url(bytes));
			})
		);
	});

	it('take large input', () => {
		const bytes = new Uint8Array(1 << 20).fill(0x41);
		expect(encoding.toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
	});

	it('have one spelling of a value only', () => {
		fc.assert(
			fc.property(fc.string({ unit: fc.constantFrom(...Array.from('AZaz09-_+/= \n')) }), (text) => {
				problemOf(() => {
					expect(base64url(encoding.fromBase64url(text))).toBe(text);
				});
			})
		);
	});

	it.each(['A', 'AB=', 'AB==', 'A+', 'A/', 'AA A', 'AB', 'AAB', 'é', 1, null, undefined])(
		'refuse %j as base64url',
		(text) => {
			expect(() => encoding.fromBase64url(text)).toThrow(Problem);
		}
	);
	it.each(['0', 'zz', '0x', ' 0', '00 00', 7, null])('refuse %j as hex', (text) => {
		expect(() => encoding.fromHex(text)).toThrow(Problem);
	});
	it('refuse broken UTF-8', () => {
		for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
			expect(() => encoding.fromUtf8(Uint8Array.from(bytes))).toThrow(Problem);
		}
	});
});
