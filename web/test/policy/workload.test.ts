import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/base/canonical';
import { toBase64url } from '../../src/base/encoding';
import type { JsonObject } from '../../src/base/json';
import { asProblem } from '../../src/base/problem';
import { presentFacts } from '../../src/evidence/facts';
import { parseStatement, readSections, type Sections } from '../../src/evidence/statement';
import { isText } from '../../src/i18n/texts';
import { judgeModel, notesOf } from '../../src/policy/notes';
import { appraiseWorkload, readersOf, violationsOf } from '../../src/policy/workload';
import {
	differencesOf,
	thingsOf,
	together,
	type Remembered
} from '../../src/session/workload-memory';
import { must } from '../support/must';
import { NOW } from '../support/now';
import { problemOf } from '../support/problems';
import { edited, WORKLOAD, type CheckCase, type Edit } from '../support/workload';

const { subtle } = crypto;

const digestOf = async (value: unknown): Promise<string> =>
	toBase64url(new Uint8Array(await subtle.digest('SHA-256', canonicalJson(value))));

const statementOf = async (sections: JsonObject) => {
	const entries = Object.entries(sections).map(
		async ([name, section]) => [name, await digestOf(section)] as const
	);
	return { v: 1, sections: Object.fromEntries(await Promise.all(entries)) };
};

/** The sections with these edits, under a statement of theirs. */
const sectionsOf = async (edits: readonly Edit[]): Promise<Sections> => {
	const sections = edited(edits);
	const digests = must(parseStatement(await statementOf(sections)));
	return readSections(subtle, digests, sections);
};

const remembering = async (visits: Edit[][] | null): Promise<Remembered | null> => {
	let memory: Remembered | null = null;
	for (const edits of visits ?? []) {
		const things = thingsOf(await sectionsOf(edits), NOW * 1000);
		memory = memory ? together(memory, things) : things;
	}
	return memory;
};

/** What the check comes to, with all that it tells. */
const check = async (c: CheckCase) => {
	const told = {
		reads_keys: false,
		violations: [] as (readonly string[])[],
		differences: [] as string[][]
	};
	const policy = c.policy ?? undefined;
	try {
		const statement = 'statement' in c ? c.statement : await statementOf(edited(c.edits));
		const digests = c.runtime === 1 ? undefined : parseStatement(statement);
		const given = digests && !c.withheld ? edited(c.edits) : undefined;
		const sections = digests && given ? await readSections(subtle, digests, given) : undefined;
		const log = c.log && presentFacts(c.log);
		const before = await remembering(c.remembered);
		if (sections) {
			told.reads_keys = readersOf(sections, policy).length > 0;
			told.violations = policy
				? violationsOf(policy, sections).map(([member, subject]) => [member, subject])
				: [];
			const now = thingsOf(sections, NOW * 1000);
			told.differences = before
				? differencesOf(before, now).map(({ code, what, name }) => [code, what, name])
				: [];
		}
		const { covered } = c;
		const changed = told.differences.length > 0;
		const workload = { digests, sections, log, policy, covered, changed };
		const { outcome, code = '' } = appraiseWorkload(workload, c.now);
		return { ...told, outcome, code };
	} catch (error) {
		return { ...told, outcome: 'fail', code: asProblem(error).code };
	}
};

describe('the check workload', () => {
	it('has a vector for each of its ends', () => {
		expect(new Set(WORKLOAD.checks.map(({ code }) => code)).size).toBeGreaterThan(9);
	});

	it.each(WORKLOAD.checks)('$name', async (c) => {
		const whole = { ...WORKLOAD.defaults, ...c };
		const { outcome, code, reads_keys, violations, differences } = whole;
		expect(await check(whole)).toEqual({ outcome, code, reads_keys, violations, differences });
	});
});

describe('what people are told', () => {
	it.each(WORKLOAD.notes)('$name', async ({ edits, log = WORKLOAD.defaults.log, notes }) => {
		expect(notesOf(await sectionsOf(edits), log && presentFacts(log))).toEqual(notes);
	});
});

describe('the texts', () => {
	it('have one for each note and each difference', () => {
		for (const { code } of WORKLOAD.notes.flatMap(({ notes }) => notes)) {
			expect(isText(`note.${String(code)}`)).toBe(true);
		}
		for (const [code] of WORKLOAD.checks.flatMap(({ differences = [] }) => differences)) {
			expect(isText(`difference.${code}`)).toBe(true);
		}
	});
});

describe('a chosen model', () => {
	it.each(WORKLOAD.models)('$name', async ({ edits, model, level, code, address, what }) => {
		expect(judgeModel(await sectionsOf(edits), model)).toEqual({ level, code, address, what });
	});
});

describe('values that came from a release', () => {
	const not_after = '2026-11-18T11:06:41Z';
	const release = { keys: [`ed25519:${'ab'.repeat(32)}`], not_after };
	const digests = new Map<string, string>();
	const workload = { digests, log: null, policy: { release }, covered: true, changed: false };

	it('let the result end with them', async () => {
		const sections = await sectionsOf([['/measured/log', 'not-written']]);
		const finding = appraiseWorkload({ ...workload, sections }, NOW);
		expect(finding).toEqual({ outcome: 'pass', until: NOW + 1 });
	});

	it('fail once they have ended', async () => {
		const sections = await sectionsOf([]);
		const old = { release: { ...release, not_after: '2020-01-01T00:00:00Z' } };
		const problem = problemOf(() => appraiseWorkload({ ...workload, policy: old, sections }, NOW));
		expect(problem?.code).toBe('release-expired');
	});
});
