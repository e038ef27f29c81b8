import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
	CHECKS,
	complete,
	deriveStatus,
	headline,
	type Check,
	type Findings
} from '../../src/base/checks';

const outcome = fc.constantFrom('pass', 'warn', 'fail', 'skipped') as fc.Arbitrary<
	Check['outcome']
>;
const findings = fc
	.uniqueArray(fc.tuple(fc.constantFrom(...CHECKS), outcome), { selector: ([id]) => id })
	.map((pairs): Findings => Object.fromEntries(pairs.map(([id, o]) => [id, { id, outcome: o }])));
const required = fc.subarray([...CHECKS], { minLength: 1 });
const good = (check: Check | undefined) => check?.outcome === 'pass';

describe('the status', () => {
	it('is green exactly where every required check passed and none warned or failed', () => {
		fc.assert(
			fc.property(findings, required, (found, ids) => {
				const checks = complete(found, ids);
				const expected =
					ids.every((id) => good(found[id])) &&
					Object.values(found).every(({ outcome }) => outcome !== 'warn' && outcome !== 'fail');
				expect(deriveStatus(checks, ids) === 'green').toBe(expected);
			})
		);
	});

	it('is red with any failure, and with any required check that did not run', () => {
		fc.assert(
			fc.property(findings, required, (found, ids) => {
				const status = deriveStatus(complete(found, ids), ids);
				const failed = Object.values(found).some((check) => check.outcome === 'fail');
				const missing = ids.some((id) => !found[id] || found[id].outcome === 'skipped');
				expect(status === 'red').toBe(failed || missing);
			})
		);
	});

	it('is not green for any incomplete list, even if nobody completed it', () => {
		fc.assert(
			fc.property(
				fc.array(fc.record({ id: fc.constantFrom(...CHECKS), outcome })),
				required,
				(checks, ids) => {
					if (
						ids.every((id) =>
							checks.some((c) => c.id === id && (c.outcome === 'pass' || c.outcome === 'warn'))
						)
					)
						return;
					expect(deriveStatus(checks, ids)).toBe('red');
				}
			)
		);
		expect(deriveStatus([], [])).toBe('red');
		expect(deriveStatus(complete({}, []), [])).toBe('red');
	});

	it('gets no better by any single outcome getting worse', () => {
		const rank = { green: 2, amber: 1, red: 0 };
		const worse = { pass: 'warn', warn: 'fail', fail: 'fail', skipped: 'fail' } as const;
		fc.assert(
			fc.property(findings, required, fc.constantFrom(...CHECKS), (found, ids, id) => {
				const before = deriveStatus(complete(found, ids), ids);
				const check: Check = { id, outcome: worse[found[id]?.outcome ?? 'skipped'] };
				const after = deriveStatus(complete({ ...found, [id]: check }, ids), ids);
				expect(rank[after]).toBeLessThanOrEqual(rank[before]);
			})
		);
	});
});

/** What only a browser can check. */
const BROWSER_ONLY = ['secure-context', 'settings'];

describe('the list', () => {
	it('is that of the command line, with what only a browser can check', () => {
		const source = readFileSync(new URL('../../../verifier/checks.py', import.meta.url), 'utf8');
		const [, listed = ''] = /^CHECK_IDS = \(([^)]*)\)/m.exec(source) ?? [];
		const ids = Array.from(listed.matchAll(/"([a-z-]+)"/g), ([, id]) => id);
		expect(CHECKS.filter((id) => !BROWSER_ONLY.includes(id))).toEqual(ids);
	});

	it('has every check once and in order', () => {
		fc.assert(
			fc.property(findings, required, (found, ids) => {
				expect(complete(found, ids).map(({ id }) => id)).toEqual([...CHECKS]);
			})
		);
	});

	it('says of a required check that did not run that it failed, and of another that it was skipped', () => {
		const checks = complete({}, ['appraisal']);
		expect(checks.find(({ id }) => id === 'appraisal')).toMatchObject({
			outcome: 'fail',
			code: 'not-run'
		});
		expect(checks.find(({ id }) => id === 'collateral')).toMatchObject({ outcome: 'skipped' });
	});
});

describe('the headline', () => {
	it('is the first real failure, not what it kept from running', () => {
		const found: Findings = {
			'evidence-format': { id: 'evidence-format', outcome: 'pass' },
			'nonce-binding': { id: 'nonce-binding', outcome: 'fail', code: 'nonce' }
		};
		const checks = complete(found, [
			'secure-context',
			'evidence-format',
			'nonce-binding',
			'appraisal'
		]);
		expect(headline(checks)?.id).toBe('nonce-binding');
	});
	it('is that nothing is real, before any other warning', () => {
		const found: Findings = {
			'token-signature': { id: 'token-signature', outcome: 'warn', code: 'server-chosen' },
			'not-simulated': { id: 'not-simulated', outcome: 'warn', code: 'simulated' }
		};
		expect(headline(complete(found, []))?.id).toBe('not-simulated');
	});
	it('is there exactly where the status is not green', () => {
		fc.assert(
			fc.property(findings, required, (found, ids) => {
				const checks = complete(found, ids);
				expect(headline(checks) === undefined).toBe(deriveStatus(checks, ids) === 'green');
			})
		);
	});
});
