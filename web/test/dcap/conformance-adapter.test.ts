import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { must } from '../support/must';
import { makeCase, makeCertificate, NOW, pem, specs } from '../support/pki';

interface Answer {
	accepted: boolean;
	status: string | null;
	checks: { id: string; outcome: string; detail: string }[];
	body: Record<string, string> | null;
	error?: string;
	exit?: number;
}

const ADAPTER = fileURLToPath(
	new URL('../../../tests/conformance/verify_typescript.mjs', import.meta.url)
);

const run = (input: string, ...options: string[]) => {
	const command = [ADAPTER, ...options];
	const { status, stdout, stderr } = spawnSync('node', command, { input, encoding: 'utf8' });
	expect(stderr).toBe('');
	const answers = stdout
		.trim()
		.split('\n')
		.map((line) => JSON.parse(line) as Answer);
	return { status, answers };
};

/** Exit code and answer for one case. */
const single = (input: string) => {
	const { status, answers } = run(input);
	return { status, answer: must(answers[0]) };
};

const { quote, collateral } = makeCase({ later: true });
const good = {
	quote_b64: quote.toString('base64'),
	collateral,
	root_ca_pem: pem(makeCertificate(specs().root)),
	now: NOW
};
const IDS = ['evidence-format', 'collateral', 'quote-signature', 'tcb-status', 'td-attributes'];

describe('the conformance adapter', () => {
	it('accepts with 0', () => {
		const { status, answer } = single(JSON.stringify(good));
		expect([status, answer.accepted, answer.status]).toEqual([0, true, 'UpToDate']);
		const body = must(answer.body);
		expect(body.xfam).toBe('e702060000000000');
		expect(Object.keys(body)).toHaveLength(17);
		expect(answer.checks.map(({ id, outcome }) => [id, outcome])).toEqual([
			...IDS.map((id) => [id, 'pass']),
			['reference-values', 'skipped']
		]);
	});

	it('rejects with 10', () => {
		const { status, answer } = single(JSON.stringify({ ...good, root_ca_pem: undefined }));
		expect([status, answer.accepted]).toEqual([10, false]);
		expect(answer.checks[1]).toEqual({
			id: 'collateral',
			outcome: 'fail',
			code: 'collateral',
			reason: 'signer-chain',
			detail: 'signer-chain: another root'
		});
	});

	it('calls what is no case malformed with 30', () => {
		const { status, answer } = single('{');
		expect([status, answer.error]).toEqual([30, 'JSON']);
	});

	it('answers a batch line by line', () => {
		const mr_td = ['7d'.repeat(48)];
		const cases: [object | string, number][] = [
			[good, 0],
			[{ ...good, policy: { v: 1, reference_values: { mr_td } } }, 0],
			[{ ...good, policy: { v: 1, reference_values: { mr_td: ['00'.repeat(48)] } } }, 10],
			[{ ...good, policy: null, root_ca_pem: null }, 10],
			[{ ...good, quote_b64: '' }, 10],
			[{ ...good, quote_b64: 'AAA' }, 30],
			[{ ...good, quote_b64: undefined }, 30],
			[{ ...good, collateral: null }, 30],
			[{ ...good, collateral: {} }, 10],
			[{ ...good, now: '1' }, 30],
			[{ ...good, now: -1 }, 30],
			[{ ...good, policy: { v: 1, tbc: {} } }, 30],
			[{ ...good, root_ca_pem: 'x' }, 30],
			['[]', 30],
			['', 30]
		];
		const lines = cases.map(([one]) => (typeof one === 'string' ? one : JSON.stringify(one)));
		const { status, answers } = run(`${lines.join('\n')}\n`, '--batch');
		expect(status).toBe(0);
		expect(answers.map(({ exit }) => exit)).toEqual(cases.map(([, exit]) => exit));
	});
});
