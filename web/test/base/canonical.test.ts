import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/base/canonical';
import { readVectors } from '../support/vectors';

const { cases } = readVectors('canonical_json') as { cases: { json: string; canonical: string }[] };

describe('canonical JSON', () => {
	it('is that of the RFC and of the server, byte by byte', () => {
		for (const { json, canonical } of cases) {
			const bytes = canonicalJson(JSON.parse(json));
			expect(Buffer.from(bytes).toString('hex')).toBe(canonical);
		}
		expect(cases.length).toBeGreaterThan(5);
	});

	it.each([
		['half a surrogate pair', ['\ud83d']],
		['its other half', ['\ude00']],
		['halves in the wrong order', ['\ude00\ud83d']],
		['half of one as a name', { '\ud83d': 1 }],
		['no number', [NaN]],
		['a number without end', [Infinity]],
		['nothing', [undefined]],
		['a function', [() => 1]]
	])('does not exist for %s', (_name, value) => {
		expect(() => canonicalJson(value)).toThrow('internal');
	});

	it('keeps a member of any name', () => {
		const text = '{"__proto__":1,"constructor":2}';
		expect(Buffer.from(canonicalJson(JSON.parse(text))).toString()).toBe(text);
	});
});
