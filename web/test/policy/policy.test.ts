import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../src/base/problem';
import {
	appraiseAttributes,
	appraiseTcb,
	DEFAULT_POLICY,
	parsePolicy,
	type Policy
} from '../../src/policy/policy';
import schema from '../../src/policy/policy.schema.json';
import { violation, type Schema } from '../../src/policy/schema';
import { must } from '../support/must';
import { problemOf } from '../support/problems';
import { readVectors } from '../support/vectors';

/** 2027-01-15T08:00:00Z. */
const NOW = 1_800_000_000;

const problem = (text: string): Problem => must(problemOf(() => parsePolicy(text)));

describe('the schema', () => {
	const KNOWN = [
		'type',
		'const',
		'enum',
		'pattern',
		'minimum',
		'maximum',
		'items',
		'minItems',
		'maxItems',
		'uniqueItems',
		'properties',
		'patternProperties',
		'required',
		'additionalProperties'
	];
	const ANNOTATIONS = ['$schema', '$id', '$comment', 'title', 'description'];
	const schemas = (node: Schema): Schema[] => [
		node,
		...Object.values({ ...node.properties, ...node.patternProperties }).flatMap(schemas),
		...(node.items ? schemas(node.items) : [])
	];

	it('uses no word that the page does not understand', () => {
		const all = schemas(schema);
		expect(all.length).toBeGreaterThan(15);
		for (const node of all) {
			const words = Object.keys(node).filter((word) => !ANNOTATIONS.includes(word));
			expect(words.filter((word) => !KNOWN.includes(word))).toEqual([]);
			// A typo in a policy must not loosen it.
			if (node.type === 'object') expect(node.additionalProperties).toBe(false);
		}
	});

	it('is the one of the command line, byte for byte', () => {
		const file = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
		const ours = file('../../src/policy/policy.schema.json');
		expect(ours).toBe(file('../../../verifier/policy.schema.json'));
	});
});

describe('the reader of schemas', () => {
	it.each<[Schema, unknown, string | null]>([
		[{ type: 'object' }, [], '/'],
		[{ type: 'object' }, null, '/'],
		[{ type: 'array' }, {}, '/'],
		[{ type: 'string' }, 1, '/'],
		[{ type: 'integer' }, 1.5, '/'],
		[{ type: 'integer' }, '1', '/'],
		[{ type: 'integer' }, true, '/'],
		[{ type: 'integer' }, 3, null],
		[{ type: 'boolean' }, true, null],
		[{ const: 1 }, true, '/'],
		[{ const: 1 }, '1', '/'],
		[{ enum: ['a'] }, 'b', '/'],
		[{ enum: ['a'] }, ['a'], '/'],
		[{ type: 'string', pattern: '^a$' }, 'ab', '/'],
		[{ type: 'string', pattern: '^a$' }, 'a\n', '/'],
		[{ type: 'integer', minimum: 2 }, 1, '/'],
		[{ type: 'integer', maximum: 2 }, 3, '/'],
		[{ type: 'integer', minimum: 2, maximum: 2 }, 2, null],
		[{ type: 'array', minItems: 1 }, [], '/'],
		[{ type: 'array', maxItems: 1 }, [1, 2], '/'],
		[{ type: 'array', uniqueItems: true }, ['a', 'a'], '/'],
		[{ type: 'array', uniqueItems: true }, ['a', 'A'], null],
		[{ type: 'array', items: { enum: ['a'] } }, ['a', 'b'], '/1'],
		[{ required: ['v'] }, {}, '/v'],
		[{ required: ['toString'] }, {}, '/toString'],
		[{ properties: { a: { type: 'string' } }, additionalProperties: false }, { b: 1 }, '/b'],
		[{ properties: {}, additionalProperties: false }, JSON.parse('{"__proto__":{}}'), '/__proto__'],
		[{ properties: { a: { type: 'string' } } }, { a: 1 }, '/a'],
		[{ properties: { a: { properties: { b: { const: 1 } } } } }, { a: { b: 2 } }, '/a/b'],
		[{ properties: { a: {} } }, { c: 1 }, null]
	])('%j finds in %j: %s', (wanted, value, expected) => {
		expect(violation(value, wanted)).toBe(expected);
	});
});

describe('the vectors that the command line shares', () => {
	const { valid, invalid } = readVectors('policies') as {
		valid: { name: string; policy: string }[];
		invalid: { fault: string; policy: string; member: string | null }[];
	};

	it.each(valid)('$name is a policy, and its own word holds', ({ policy }) => {
		const parsed = parsePolicy(policy);
		const said = JSON.parse(policy) as Partial<Policy>;
		const lowered = JSON.stringify(said.reference_values ?? {}).toLowerCase();
		expect(parsed).toEqual({
			tcb: { ...DEFAULT_POLICY.tcb, ...said.tcb },
			td_attributes: { ...DEFAULT_POLICY.td_attributes, ...said.td_attributes },
			platform: { ...DEFAULT_POLICY.platform, ...said.platform },
			collateral: { ...DEFAULT_POLICY.collateral, ...said.collateral },
			masked_values: said.masked_values ?? {},
			reference_values: JSON.parse(lowered) as unknown,
			explained_registers: said.explained_registers,
			workload: said.workload,
			min_quote_version: said.min_quote_version ?? 4,
			max_age: said.max_age ?? DEFAULT_POLICY.max_age,
			require_sealed: said.require_sealed ?? false
		});
	});

	it.each(invalid)('$fault is refused, with the member that is wrong', ({ policy, member }) => {
		const { code, detail } = problem(policy);
		expect(code).toBe('policy-malformed');
		if (member !== null) expect(detail).toContain(member);
	});
});

describe('a policy', () => {
	it('has the defaults where it does not say', () => {
		expect(parsePolicy('{"v":1}')).toEqual(DEFAULT_POLICY);
		expect(parsePolicy('{"v":1,"tcb":{},"td_attributes":{},"reference_values":{}}')).toEqual(
			DEFAULT_POLICY
		);
		expect(DEFAULT_POLICY.td_attributes).toEqual({
			sept_ve_disable: 'require',
			pks: 'allow',
			key_locker: 'allow',
			perfmon: 'allow',
			icssd: 'forbid',
			servtd_ext: 'forbid',
			lass: 'forbid',
			migratable: 'forbid',
			tpa: 'forbid'
		});
		expect(DEFAULT_POLICY.min_quote_version).toBe(4);
	});

	it('holds for what it says', () => {
		const policy = parsePolicy(
			JSON.stringify({
				v: 1,
				tcb: {
					pass: [],
					warn: ['OutOfDate'],
					advisories: ['INTEL-SA-00837'],
					refused_advisories: ['INTEL-SA-00615'],
					grace: 86_400,
					min_date: '2024-02-29T00:00:00Z',
					min_evaluation: 18
				},
				td_attributes: { perfmon: 'forbid', migratable: 'allow' },
				platform: { smt: 'forbid' },
				collateral: { grace: 31_536_000 },
				masked_values: { xfam: { mask: 'FF00000000000000', value: 'E700000000000000' } },
				reference_values: { xfam: ['E700000000000000', 'e700060000000000'] },
				min_quote_version: 5,
				max_age: 60,
				require_sealed: true
			})
		);
		expect(policy).toEqual({
			tcb: {
				pass: [],
				warn: ['OutOfDate'],
				advisories: ['INTEL-SA-00837'],
				refused_advisories: ['INTEL-SA-00615'],
				grace: 86_400,
				min_date: '2024-02-29T00:00:00Z',
				min_evaluation: 18
			},
			platform: { ...DEFAULT_POLICY.platform, smt: 'forbid' },
			collateral: { grace: 31_536_000 },
			masked_values: { xfam: { mask: 'FF00000000000000', value: 'E700000000000000' } },
			td_attributes: {
				...DEFAULT_POLICY.td_attributes,
				perfmon: 'forbid',
				migratable: 'allow'
			},
			reference_values: { xfam: ['e700000000000000', 'e700060000000000'] },
			min_quote_version: 5,
			max_age: 60,
			require_sealed: true
		});
	});

	it.each([
		['', 'JSON'],
		['[]', 'JSON'],
		['null', 'JSON'],
		['{}', '/v'],
		['{"v":2}', '/v'],
		['{"v":"1"}', '/v'],
		['{"v":1,"v":1}', 'two v'],
		['{"v":1,"tbc":{}}', '/tbc'],
		['{"v":1,"tcb":null}', '/tcb'],
		['{"v":1,"require_sealed":1}', '/require_sealed'],
		['{"v":1,"tcb":{"pass":["Revoked"]}}', '/tcb/pass/0'],
		['{"v":1,"tcb":{"warn":["UpToDate","UpToDate"]}}', '/tcb/warn'],
		['{"v":1,"tcb":{"advisories":["INTEL-SA-00837\\n"]}}', '/tcb/advisories/0'],
		['{"v":1,"tcb":{"min_date":"2024-02-30T00:00:00Z"}}', '/tcb/min_date'],
		['{"v":1,"tcb":{"min_date":"2024-02-01T24:00:00Z"}}', '/tcb/min_date'],
		['{"v":1,"tcb":{"min_date":"2024-02-01"}}', '/tcb/min_date'],
		['{"v":1,"td_attributes":{"debug":"allow"}}', '/td_attributes/debug'],
		['{"v":1,"td_attributes":{"pks":"yes"}}', '/td_attributes/pks'],
		['{"v":1,"reference_values":{"mr_td":[]}}', '/reference_values/mr_td'],
		['{"v":1,"reference_values":{"mr_td":["00"]}}', '/reference_values/mr_td/0'],
		['{"v":1,"reference_values":{"mr_dt":["00"]}}', '/reference_values/mr_dt'],
		['{"v":1,"reference_values":{"report_data":["00"]}}', '/reference_values/report_data'],
		['{"v":1,"tcb":{"grace":-1}}', '/tcb/grace'],
		['{"v":1,"tcb":{"grace":31536001}}', '/tcb/grace'],
		['{"v":1,"collateral":{"grace":31536001}}', '/collateral/grace'],
		['{"v":1,"collateral":{"gracee":1}}', '/collateral/gracee'],
		['{"v":1,"tcb":{"refused_advisories":["SA-1"]}}', '/tcb/refused_advisories/0'],
		['{"v":1,"platform":{"smt":"require"}}', '/platform/smt'],
		['{"v":1,"reference_values":{"vmid":["0"]}}', '/reference_values/vmid/0'],
		['{"v":1,"masked_values":{"mr_td":{"mask":"","value":""}}}', '/masked_values/mr_td'],
		['{"v":1,"masked_values":{"xfam":{"mask":"0000000000000000"}}}', '/masked_values/xfam/value'],
		[
			'{"v":1,"masked_values":{"xfam":{"mask":"fe00000000000000","value":"0100000000000000"}}}',
			'/masked_values/xfam'
		],
		['{"v":1,"max_age":59}', '/max_age'],
		['{"v":1,"max_age":604801}', '/max_age'],
		['{"v":1,"max_age":60.5}', '/max_age'],
		[`{"v":1,"x":"${'x'.repeat(1 << 16)}"}`, 'size']
	])('%.70s is none, and the message names what is wrong', (text, detail) => {
		expect([problem(text).code, problem(text).detail]).toEqual(['policy-malformed', detail]);
	});

	it('of any content is read whole or refused', () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
				const refusal = problemOf(() => {
					expect(parsePolicy(text).max_age).toBeGreaterThanOrEqual(60);
				});
				expect(refusal?.code ?? 'policy-malformed').toBe('policy-malformed');
			})
		);
	});
});

describe('a quote that does not tell the service TD', () => {
	const body = { td_attributes: '0000001000000000', xfam: 'e700000000000000' };
	const [zeros, bound] = ['00'.repeat(48), '07'.repeat(48)];
	const judge = (mr_servicetd: string | undefined, text = '{"v":1}') =>
		appraiseAttributes(parsePolicy(text), { ...body, mr_servicetd });

	it('passes, and that is said', () => {
		expect(judge(undefined)).toEqual({ outcome: 'pass', code: 'service-td-unknown' });
		for (const told of [zeros, bound]) expect(judge(told)).toEqual({ outcome: 'pass' });
	});

	it('fails where the policy asks for the newer kind, and no other one does', () => {
		const newer = '{"v":1,"min_quote_version":5}';
		expect(problemOf(() => judge(undefined, newer))).toMatchObject({
			code: 'td-attributes',
			detail: 'service-td-unknown'
		});
		for (const told of [zeros, bound]) expect(judge(told, newer)).toEqual({ outcome: 'pass' });
	});
});

describe('a platform’s TCB', () => {
	const policy = (tcb: object) => parsePolicy(JSON.stringify({ v: 1, tcb }));
	const refused = (tcb: object, found: Parameters<typeof appraiseTcb>[1]) => {
		let outcome: string | undefined;
		const refusal = problemOf(() => {
			outcome = appraiseTcb(policy(tcb), found, NOW).outcome;
		});
		return refusal?.code ?? outcome;
	};

	it.each<[object, Parameters<typeof appraiseTcb>[1], string]>([
		[{}, { status: 'UpToDate' }, 'pass'],
		[{}, { status: 'SWHardeningNeeded' }, 'warn'],
		[{}, { status: 'OutOfDate' }, 'tcb-status'],
		[{}, { status: 'Revoked' }, 'tcb-status'],
		[{}, { status: 'constructor' }, 'tcb-status'],
		[{}, { status: '' }, 'tcb-status'],
		[{ pass: ['OutOfDate'], warn: ['OutOfDate'] }, { status: 'OutOfDate' }, 'pass'],
		[{ advisories: [] }, { status: 'UpToDate', advisories: [] }, 'pass'],
		[{ advisories: [] }, { status: 'UpToDate' }, 'not-told'],
		[{ advisories: ['INTEL-SA-1'] }, { status: 'UpToDate', advisories: ['INTEL-SA-1'] }, 'pass'],
		[
			{ advisories: ['INTEL-SA-1'] },
			{ status: 'UpToDate', advisories: ['INTEL-SA-1', 'INTEL-SA-2'] },
			'tcb-advisory'
		],
		[{}, { status: 'UpToDate', advisories: ['INTEL-SA-2'] }, 'pass'],
		[
			{ min_date: '2024-01-01T00:00:00Z' },
			{ status: 'UpToDate', date: '2024-01-01T00:00:00Z' },
			'pass'
		],
		[
			{ min_date: '2024-01-01T00:00:00Z' },
			{ status: 'UpToDate', date: '2023-12-31T23:59:59Z' },
			'tcb-old'
		],
		[{ min_date: '2024-01-01T00:00:00Z' }, { status: 'UpToDate', date: 'x' }, 'tcb-old'],
		[{ min_date: '2024-01-01T00:00:00Z' }, { status: 'UpToDate' }, 'not-told'],
		[{ min_date: '2024-01-01T00:00:00Z' }, { status: 'OutOfDate' }, 'not-told'],
		[{}, {}, 'not-told'],
		[{}, { status: 'TDRelaunchAdvised' }, 'tcb-relaunch'],
		[{}, { status: 'TDRelaunchAdvisedConfigurationNeeded' }, 'tcb-relaunch'],
		[{ warn: ['TDRelaunchAdvised'] }, { status: 'TDRelaunchAdvised' }, 'warn'],
		[{ pass: ['TDRelaunchAdvised'] }, { status: 'TDRelaunchAdvised' }, 'pass'],
		[{ warn: ['OutOfDate'] }, { status: 'TDRelaunchAdvised' }, 'tcb-relaunch'],
		[{}, { status: 'UpToDate', evaluation: 0 }, 'pass'],
		[{ min_evaluation: 18 }, { status: 'UpToDate', evaluation: 18 }, 'pass'],
		[{ min_evaluation: 18 }, { status: 'UpToDate', evaluation: 17 }, 'tcb-evaluation'],
		[{ min_evaluation: 18 }, { status: 'UpToDate' }, 'not-told'],
		[{ min_evaluation: 0 }, { status: 'UpToDate' }, 'not-told'],
		[{ refused_advisories: ['INTEL-SA-1'] }, { status: 'UpToDate' }, 'not-told'],
		[
			{ refused_advisories: ['INTEL-SA-1'] },
			{ status: 'UpToDate', advisories: ['INTEL-SA-1'] },
			'tcb-advisory'
		],
		[
			{ advisories: ['INTEL-SA-1'], refused_advisories: ['INTEL-SA-1'] },
			{ status: 'UpToDate', advisories: ['INTEL-SA-1'] },
			'tcb-advisory'
		],
		[
			{ refused_advisories: ['INTEL-SA-1'] },
			{ status: 'UpToDate', advisories: ['INTEL-SA-2'] },
			'pass'
		],
		[{ grace: 60 }, { status: 'OutOfDate', date: '2027-01-15T07:59:00Z' }, 'warn'],
		[{ grace: 59 }, { status: 'OutOfDate', date: '2027-01-15T07:59:00Z' }, 'tcb-status'],
		// Nobody knows when it would end.
		[{ grace: 60 }, { status: 'OutOfDate' }, 'tcb-status'],
		[{ grace: 60 }, { status: 'Revoked', date: '2027-01-15T07:59:00Z' }, 'tcb-status'],
		[{ grace: 60 }, { status: 'TDRelaunchAdvised', date: '2027-01-15T07:59:00Z' }, 'tcb-relaunch']
	])('under %j: %j is %s', (tcb, found, expected) => {
		expect(refused(tcb, found)).toBe(expected);
	});

	it('a grace ends with a whole second, as in the command line', () => {
		const policy = parsePolicy('{"v":1,"tcb":{"grace":60}}');
		const found = { status: 'OutOfDate', date: '2027-01-15T07:59:30.9Z' };
		expect(appraiseTcb(policy, found, NOW).until).toBe(NOW + 30);
	});
});

describe('what a service tells of the machine', () => {
	const policy = parsePolicy('{"v":1,"platform":{"smt":"forbid","cached_keys":"forbid"}}');
	const judge = (platform: Parameters<typeof appraiseTcb>[1]['platform']) => {
		const told = { status: 'UpToDate', platform };
		return problemOf(() => appraiseTcb(policy, told, NOW));
	};

	it('is held against the policy', () => {
		expect(judge({ smt: false, cached_keys: false, dynamic_platform: true })).toBeUndefined();
		expect(judge({ smt: true, cached_keys: false })).toMatchObject({
			code: 'platform-refused',
			detail: 'smt'
		});
	});

	it('is missed where it is not told; a certificate that has no word on it is none to accept', () => {
		expect(judge({ smt: false })).toMatchObject({ code: 'not-told', detail: 'is_cached_keys' });
		expect(judge(undefined)).toMatchObject({ detail: 'is_cached_keys, is_smt_enabled' });
		expect(judge(null)).toMatchObject({ code: 'platform-refused', detail: 'cached_keys, smt' });
	});
});
