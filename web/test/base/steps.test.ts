import { describe, expect, it } from 'vitest';
import { CHECKS, complete, type Check, type CheckId } from '../../src/base/checks';
import { adviceOn, REASONS, type ReasonCode } from '../../src/base/reasons';
import { causeOf, reachedOf, STEP_OF, STEPS, stepsOf } from '../../src/base/steps';

/** Every check passed, but for these. */
const checks = (...others: Check[]): Check[] =>
	CHECKS.map((id) => others.find((check) => check.id === id) ?? { id, outcome: 'pass' });

const reached = (found: readonly Check[]) => {
	const steps = stepsOf(found);
	return STEPS.map((step) => steps[step].reached);
};

const check = (id: CheckId, outcome: Check['outcome'], code?: ReasonCode): Check => ({
	id,
	outcome,
	code
});

describe('the three steps', () => {
	it('have every check, each in one', () => {
		expect(Object.keys(STEP_OF).sort()).toEqual([...CHECKS].sort());
		for (const step of STEPS) expect(Object.values(STEP_OF)).toContain(step);
	});

	it('pass where all passed, and are nothing where nothing ran', () => {
		expect(reached(checks())).toEqual(['pass', 'pass', 'pass']);
		expect(reached([])).toEqual(['skipped', 'skipped', 'skipped']);
	});

	it.each<[string, Check[], string[]]>([
		['a warning stays where it is', [check('tcb-status', 'warn')], ['warn', 'pass', 'pass']],
		[
			'what comes after a failure is not reached',
			[check('quote-signature', 'fail')],
			['fail', 'not-reached', 'not-reached']
		],
		[
			'a failure of its own stays one',
			[check('quote-signature', 'fail'), check('key-binding', 'fail')],
			['fail', 'not-reached', 'fail']
		],
		[
			'what no hardware vouches for is good nowhere',
			[check('not-simulated', 'warn', 'simulated')],
			['warn', 'warn', 'warn']
		],
		[
			'nobody knows what runs there from the logs and the settings',
			[check('workload', 'skipped', 'own-word'), check('reference-values', 'skipped', 'first-use')],
			['pass', 'skipped', 'pass']
		],
		[
			'what is remembered is expected',
			[check('workload', 'skipped', 'own-word'), check('reference-values', 'pass', 'unchanged')],
			['pass', 'pass', 'pass']
		]
	])('%s', (_name, found, expected) => {
		expect(reached(checks(...found))).toEqual(expected);
	});

	it('tell one cause as one failure', () => {
		const required: CheckId[] = ['evidence-format', 'nonce-binding', 'key-binding', 'appraisal'];
		const silent = check('evidence-format', 'fail', 'quote-unreachable');
		const found = complete({ 'evidence-format': silent }, required);
		expect(found.filter(({ outcome }) => outcome === 'fail')).toHaveLength(4);
		expect(found.map(reachedOf).filter((one) => one === 'fail')).toHaveLength(1);
		expect(Object.values(stepsOf(found)).flatMap(({ causes }) => causes)).toEqual([silent]);
		expect(causeOf(found)).toBe(silent);
		expect(reached(found)).toEqual(['fail', 'not-reached', 'not-reached']);
	});

	it('have no cause where all is well, and one where a required check never ran', () => {
		expect(causeOf(checks())).toBeUndefined();
		const found = complete({}, ['appraisal']);
		expect(causeOf(found)).toMatchObject({ id: 'appraisal', code: 'not-run' });
	});
});

describe('the table of reasons', () => {
	it('says what to do, and what while the page tries again by itself', () => {
		expect(adviceOn('quote-refused', false)).toBe('distrust');
		expect(adviceOn('quote-refused', true)).toBe('wait');
		expect(adviceOn('service-address', true)).toBe('address');
		// Another check may pass by itself, this one does not.
		expect(adviceOn('nonce', true)).toBe('distrust');
	});

	it('never says to wait where nobody tries again', () => {
		for (const code of Object.keys(REASONS) as ReasonCode[]) {
			expect(adviceOn(code, false)).not.toBe('wait');
		}
	});
});
