import { describe, expect, it } from 'vitest';
import { canonicalText, makeFact, presentFacts } from '../../src/evidence/facts';
import type { JsonObject } from '../../src/base/json';
import { readVectors } from '../support/vectors';

const { facts, refused, present } = readVectors('workload-events') as {
	facts: { kind: string; content: JsonObject; line: string }[];
	refused: { fault: string; reason: string; line: string }[];
	present: {
		name: string;
		lines: string[];
		starts: number;
		facts: string[];
		unknown: { kind: string; text: string; reason: string }[];
	}[];
};

const START = 'cczoo start {"v":1}';
const lineOf = (kind: string, content: JsonObject) => `cczoo ${kind} ${canonicalText(content)}`;

describe('facts as events', () => {
	it.each(facts)('are written as $line', ({ kind, content, line }) => {
		expect(makeFact(kind, content)).toEqual({ kind, content });
		expect(lineOf(kind, content)).toBe(line);
	});

	it.each(refused)('are told where they are none: $fault', ({ reason, line }) => {
		const { facts, unknown } = presentFacts([START, line]);
		expect(facts).toEqual([]);
		expect(unknown.map(({ reason }) => reason)).toEqual([reason]);
	});

	it.each(present)('tell what is so now: $name', ({ lines, starts, facts, unknown }) => {
		const found = presentFacts(lines);
		expect(found.starts).toBe(starts);
		expect(found.facts.map(({ kind, content }) => lineOf(kind, content))).toEqual(facts);
		expect(found.unknown).toEqual(unknown);
	});

	it('have a bound', () => {
		expect(() => presentFacts(Array<string>((1 << 16) + 1).fill(START))).toThrow();
	});
});
