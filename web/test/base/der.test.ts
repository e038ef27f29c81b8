import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDer, work } from '../../src/base/der';
import { hex, type Bytes } from '../support/bytes';
import { seq } from '../support/pki';
import { problemOf } from '../support/problems';

const refusal = (bytes: Uint8Array<ArrayBuffer>): string =>
	problemOf(() => parseDer(bytes))?.detail.replace('DER ', '') ?? 'accepted';

describe('DER', () => {
	it.each([
		['an empty SEQUENCE', '30 00'],
		[
			'numbers 0, 127, 128, -1, -128, -129',
			'30 14 02 01 00 02 01 7f 02 02 00 80 02 01 ff 02 01 80 02 02 ff 7f'
		],
		['both truths', '30 06 01 01 00 01 01 ff'],
		['NULL', '05 00'],
		['an object identifier', '06 08 2a 86 48 ce 3d 04 03 02'],
		['an object identifier with a 0 in an arc', '06 03 55 81 00'],
		['an object identifier of 39 bytes', `06 27 2a ${'03'.repeat(38)}`],
		['an object identifier with an arc of four bytes', '06 05 2a ff ff ff 7f'],
		['bits', '03 02 04 f0'],
		['no bits', '03 01 00'],
		['a context tag with content', 'a0 03 02 01 02'],
		['a primitive context tag', '80 03 ff ff ff'],
		['a length of one byte more', `04 81 80 ${'00'.repeat(128)}`]
	])('of %s is read', (_name, text) => {
		const bytes = hex(text);
		expect(parseDer(bytes).whole.length).toBe(bytes.length);
	});

	it.each([
		['nothing', '', 'is cut off'],
		['an object identifier of 40 bytes', `06 28 2a ${'03'.repeat(39)}`, 'value'],
		['an object identifier with an arc of five bytes', '06 06 2a ff ff ff ff 7f', 'value'],
		['an object identifier that begins with two bytes', '06 03 88 37 03', 'value'],
		['a tag alone', '30', 'is cut off'],
		['an indefinite length', '30 80 02 01 01 00 00', 'length'],
		['an indefinite length of a string', '24 80 04 01 01 00 00', 'tag'],
		['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`, 'length'],
		['a short length in the long form', '04 81 01 00', 'length'],
		['a length of 127 in the long form', `04 81 7f ${'00'.repeat(127)}`, 'length'],
		['a length past the end', '04 02 00', 'is cut off'],
		['a child past its parent', '30 03 04 02 00 00', 'is cut off'],
		['a child that takes from the next', '30 08 30 02 04 01 00 04 00 00', 'is cut off'],
		['a length of 4 GiB', '04 84 ff ff ff ff 00', 'is cut off'],
		['a length of 5 bytes', '04 85 01 00 00 00 00 00', 'length'],
		['a length of 127 bytes', `04 ff ${'01'.repeat(127)}`, 'length'],
		['a cut off length', '04 82 01', 'length'],
		['a trailing byte', '30 00 00', 'trailing bytes'],
		['two elements', '30 00 30 00', 'trailing bytes'],
		['end-of-contents', '00 00', 'tag'],
		['a high tag', '1f 81 00 00', 'tag'],
		['a high context tag', 'bf 21 00', 'tag'],
		['an application tag', '41 00', 'tag'],
		['a private tag', 'c1 00', 'tag'],
		['a primitive SEQUENCE', '10 00', 'tag'],
		['a primitive SET', '11 00', 'tag'],
		['an octet string in pieces', '24 03 04 01 00', 'tag'],
		['bits in pieces', '23 04 03 02 00 00', 'tag'],
		['an empty number', '02 00', 'value'],
		['a number with a leading 00', '02 02 00 7f', 'value'],
		['a number with a leading ff', '02 02 ff 80', 'value'],
		['an enumerated with a leading 00', '0a 02 00 01', 'value'],
		['a truth of 1', '01 01 01', 'value'],
		['an empty truth', '01 00', 'value'],
		['a truth of two bytes', '01 02 ff ff', 'value'],
		['NULL with content', '05 01 00', 'value'],
		['an empty object identifier', '06 00', 'value'],
		['an object identifier that goes on', '06 02 55 81', 'value'],
		['an arc with a leading zero digit', '06 03 55 80 01', 'value'],
		['a first arc with a leading zero digit', '06 02 80 01', 'value'],
		['no unused-bits byte', '03 00', 'value'],
		['8 unused bits', '03 02 08 00', 'value'],
		['unused bits that are set', '03 02 04 f8', 'value'],
		['unused bits of nothing', '03 01 01', 'value']
	])('of %s is refused', (_name, text, why) => {
		expect(refusal(hex(text))).toBe(why);
	});

	it('may be 12 levels deep', () => {
		const nested = (levels: number) =>
			Array.from({ length: levels }).reduce<Bytes>((inner) => seq(inner), Buffer.of());
		expect(refusal(nested(12))).toBe('accepted');
		expect(refusal(nested(13))).toBe('depth');
	});

	it('never costs more steps than half the bytes, whatever they are', () => {
		const steps = (bytes: Uint8Array<ArrayBuffer>) => {
			const before = work.steps;
			refusal(bytes);
			return work.steps - before;
		};
		const nasty = fc
			.array(fc.constantFrom(0x30, 0x31, 0xa0, 0x02, 0x00, 0x01, 0x80, 0x7f, 0x84), {
				maxLength: 400
			})
			.map((list) => Uint8Array.from(list));
		fc.assert(
			fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), nasty), (bytes) => {
				expect(steps(bytes)).toBeLessThanOrEqual(bytes.length / 2 + 1);
			}),
			{ numRuns: 2000 }
		);
		const many = (count: number) => seq(...Array.from({ length: count }, () => hex('0500')));
		expect(steps(many(10_000))).toBe(10_001);
	});
});
