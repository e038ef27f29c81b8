import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { makeWorld, NOW, pem, makeCertificate, specs } from './pki';

const ADAPTER = fileURLToPath(new URL('../conformance/verify_typescript.mjs', import.meta.url));
const run = (input: string, ...options: string[]) => {
	const { status, stdout, stderr } = spawnSync('node', [ADAPTER, ...options], { input, encoding: 'utf8' });
	expect(stderr).toBe('');
	return { status, answers: stdout.trim().split('\n').map((line) => JSON.parse(line)) };
};

const { quote, collateral } = makeWorld({ later: true });
const good = {
	quote_b64: quote.toString('base64'),
	collateral,
	root_ca_pem: pem(makeCertificate(specs().root)),
	now: NOW
};
const IDS = ['evidence-format', 'collateral', 'quote-signature', 'tcb-status', 'td-attributes'];

describe('the conformance adapter', () => {
	it('accepts with 0', () => {
		const { status, answers } = run(JSON.stringify(good));
		expect(status).toBe(0);
		const [{ accepted, status: tcb, checks, body }] = answers;
		expect([accepted, tcb, body.xfam]).toEqual([true, 'UpToDate', 'e702060000000000']);
		expect(Object.keys(body)).toHaveLength(17);
		expect(checks.map(({ id, outcome }: Record<string, string>) => [id, outcome])).toEqual(
			[...IDS, 'reference-values'].map((id) => [id, id === 'reference-values' ? 'skipped' : 'pass'])
		);
	});

	it('rejects with 10', () => {
		const { status, answers } = run(JSON.stringify({ ...good, root_ca_pem: undefined }));
		expect([status, answers[0].accepted]).toEqual([10, false]);
		expect(answers[0].checks[1]).toEqual({
			id: 'collateral',
			outcome: 'fail',
			detail: 'signer-chain: another root'
		});
	});

	it('calls what is no case malformed with 30', () => {
		const { status, answers } = run('{');
		expect([status, answers[0].error]).toEqual([30, 'JSON']);
	});

	it('answers a batch line by line', () => {
		const mr_td = ['7d'.repeat(48)];
		const cases: Array<[object | string, number]> = [
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
