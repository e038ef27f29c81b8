import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isJson, own, parseObject, withoutBlanks } from '../../src/base/json';
import { Problem } from '../../src/base/problem';
import { problemOf } from '../support/problems';

describe('JSON', () => {
	it('is told from what is none, whatever it says', () => {
		for (const text of ['{}', '[]', 'null', '1', '"x"', '{"a":1,"a":1}', ' {}\n']) {
			expect(isJson(text)).toBe(true);
		}
		for (const text of ['', '<html>', 'Welcome', '{', '{}x', '\ufeff{}', '\u00a0{}', 'NaN']) {
			expect(isJson(text)).toBe(false);
		}
	});

	it.each([
		'{"a":1,"a":1}',
		'{"a":{"b":1,"b":2}}',
		'[{}]',
		'{"a":[{"b":1},{"c":{"d":1,"e":2,"d":3}}]}',
		'{"a":1,"\\u0061":2}',
		'{"__proto__":1,"__proto__":2}',
		'null',
		'1',
		'"x"',
		'',
		'{',
		'{"a":1}x',
		"{'a':1}"
	])('%s is refused', (text) => {
		expect(() => parseObject(text)).toThrow(Problem);
	});

	it.each([
		'{}',
		'{"a":{"a":1},"b":{"a":1}}',
		'{"a":["a","a",":","{"],"b":"a\\":\\"a"}',
		'{"a":"\\\\","b":"a"}'
	])('%s is taken', (text) => {
		expect(parseObject(text)).toEqual(JSON.parse(text));
	});

	it('takes whatever JSON.stringify writes of an object', () => {
		fc.assert(
			fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
				const text = JSON.stringify(value);
				expect(parseObject(text)).toEqual(JSON.parse(text));
			})
		);
	});

	it('never reaches what every object inherits', () => {
		for (const name of ['constructor', 'toString', '__proto__']) {
			expect(own(parseObject('{}'), name)).toBeUndefined();
		}
		expect(own('text', 'length')).toBeUndefined();
		expect(own([1], '0')).toBeUndefined();
	});

	it('survives very deep nesting', () => {
		const text = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
		problemOf(() => parseObject(text));
	});
});

describe('a text without blanks', () => {
	it('keeps what is inside of strings', () => {
		expect(withoutBlanks('{ "a b" :\t[1,\r\n "\\" x"] }')).toBe('{"a b":[1,"\\" x"]}');
	});

	it('comes in a time that grows with its length only, whatever it is', () => {
		// Nobody has signed it yet. Where each quote looks on to the end, this takes hours.
		const hostile = `{${'\\"'.repeat(1 << 20)}}`;
		expect(withoutBlanks(hostile)).toHaveLength(hostile.length);
	});
});
