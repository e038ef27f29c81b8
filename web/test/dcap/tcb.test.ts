import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { relaunched, statusName } from '../../src/dcap/status';
import { both, put, type Json } from '../support/json';
import * as pki from '../support/pki';
import { NOW, type Faults } from '../support/pki';
import { accepted, failing, policy, reasons, verify } from '../support/verification';

const DAY = 86_400;
const date = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');
const at = (tcbDate: string, level: Json) => ({ ...level, tcbDate });

/** SVNs of the module that runs by now, as TEE_TCB_SVN2. */
const running = (...svns: number[]): Faults => ({
	later: true,
	body: (body) => void Buffer.from(svns).copy(body, 584)
});

describe('a TD under an updated TDX module', () => {
	const DATES = { platform: date(NOW - 5 * DAY), old: date(NOW - 9 * DAY), young: date(NOW - DAY) };
	const tcbInfo = both(
		put('/tcbLevels', [at(DATES.platform, pki.goodLevel('UpToDate', ['INTEL-SA-1']))]),
		put('/tdxModuleIdentities/0/tcbLevels', [
			at(DATES.young, pki.ownLevel(9, 'UpToDate', ['INTEL-SA-9'])),
			at(DATES.old, pki.ownLevel(5, 'OutOfDate', ['INTEL-SA-5', 'INTEL-SA-1']))
		])
	);
	const qeIdentity = put('/tcbLevels', [
		at(DATES.young, pki.ownLevel(4, 'UpToDate', ['INTEL-SA-4']))
	]);
	const updated: Faults = { ...running(9, 1, 2), tcbInfo, qeIdentity };

	it('is told as it was started, as it is now, and part by part', async () => {
		const { tcb } = await verify(updated);
		expect(tcb).toEqual({
			status: 'TDRelaunchAdvised',
			advisories: ['INTEL-SA-1', 'INTEL-SA-5', 'INTEL-SA-4', 'INTEL-SA-9'],
			date: DATES.old,
			launch: {
				status: 'OutOfDate',
				advisories: ['INTEL-SA-1', 'INTEL-SA-5', 'INTEL-SA-4'],
				date: DATES.old
			},
			current: {
				status: 'UpToDate',
				advisories: ['INTEL-SA-1', 'INTEL-SA-9', 'INTEL-SA-4'],
				date: DATES.platform
			},
			dates: { platform: DATES.platform, module: DATES.old, qe: DATES.young },
			evaluation: 17,
			short: ['TDX module 5 < 9']
		});
	});

	it('has nothing of now where its quote does not tell, nor of a module of the first version', async () => {
		const { tcb } = await verify({ tcbInfo, qeIdentity, body: (body) => void (body[1] = 0) });
		expect(tcb?.current).toBeNull();
		expect(tcb?.dates).toEqual({ platform: DATES.platform, module: null, qe: DATES.young });
	});

	it('is held against what applies to either', async () => {
		const warn = ['TDRelaunchAdvised'];
		const told = (tcb: object) => verify(updated, { policy: policy({ tcb: { warn, ...tcb } }) });
		for (const id of ['INTEL-SA-5', 'INTEL-SA-9']) {
			expect(reasons(await told({ refused_advisories: [id] }))['tcb-status']).toBe('tcb-advisory');
		}
		expect(accepted(await told({ refused_advisories: ['INTEL-SA-7'] }))).toBe(true);
		expect(accepted(await told({ min_date: DATES.old }))).toBe(true);
		expect(reasons(await told({ min_date: date(NOW - 9 * DAY + 1) }))['tcb-status']).toBe(
			'tcb-old'
		);
	});

	it('counts the date of now where that is the earlier one', async () => {
		const older = both(
			tcbInfo,
			put('/tdxModuleIdentities/0/tcbLevels/0/tcbDate', date(NOW - 20 * DAY))
		);
		const { tcb } = await verify({ ...updated, tcbInfo: older });
		expect([tcb?.date, tcb?.launch.date]).toEqual([date(NOW - 20 * DAY), DATES.old]);
	});

	it.each([
		['a module that nobody knows', running(9, 7, 2)],
		['a module that is too old', running(3, 1, 2)],
		['SVNs that no platform has', running(9, 1, 1)]
	])('is unknown with %s', async (_name, faults) => {
		expect(failing(await verify(faults))).toBe('tcb-status tcb-unknown: TEE_TCB_SVN2');
	});

	it('is refused where what runs now is revoked', async () => {
		const revoked = put('/tdxModuleIdentities/0/tcbLevels', [
			pki.ownLevel(9, 'Revoked'),
			pki.ownLevel(5)
		]);
		const result = await verify({ ...running(9, 1, 2), tcbInfo: revoked });
		expect(failing(result)).toBe('tcb-status tcb-revoked');
		expect(result.tcb).toBeUndefined();
	});

	it('is not started anew for a module that is as old', async () => {
		const { tcb } = await verify({ ...updated, ...running(5, 1, 2) });
		expect(tcb?.status).toBe('OutOfDate');
	});

	it('needs configuration where either does', async () => {
		const needing = both(
			put('/tcbLevels', [
				pki.platformLevel(
					Array<number>(16).fill(0),
					13,
					[0, 0, 3, ...Array<number>(13).fill(0)],
					'ConfigurationNeeded'
				),
				pki.platformLevel(
					Array<number>(16).fill(0),
					13,
					[0, 0, 2, ...Array<number>(13).fill(0)],
					'OutOfDate'
				)
			])
		);
		const { tcb } = await verify({ ...running(5, 1, 3), tcbInfo: needing });
		expect([tcb?.launch.status, tcb?.current?.status]).toEqual([
			'OutOfDate',
			'ConfigurationNeeded'
		]);
		expect(tcb?.status).toBe('TDRelaunchAdvisedConfigurationNeeded');
	});
});

describe('a relaunch', () => {
	it('is advised where only the start is out of date, and never makes a status better', () => {
		const status = fc.constantFrom(0, 1, 2, 3, 4, 6);
		fc.assert(
			fc.property(status, status, (launch, current) => {
				const told = relaunched(launch, current);
				const advised = (launch & 4) !== 0 && (current & 4) === 0;
				expect(told.startsWith('TDRelaunchAdvised')).toBe(advised);
				if (!advised) expect(told).toBe(statusName(launch));
				else expect(told.endsWith('ConfigurationNeeded')).toBe(((launch | current) & 2) !== 0);
			})
		);
	});
});

describe('a TDX module', () => {
	const ones = both(
		put('/tdxModuleIdentities/0/attributes', 'FF'.repeat(8)),
		put('/tdxModuleIdentities/0/attributesMask', '00'.repeat(8))
	);
	it('has no attributes, whatever identity and mask say', async () => {
		const body = (bytes: Buffer) => void bytes.fill(0xff, 112, 120);
		const refused = 'tcb-status tdx-module: SEAMATTRIBUTES';
		expect(failing(await verify({ tcbInfo: ones, body }))).toBe(refused);
		expect(failing(await verify({ tcbInfo: ones }))).toBe(refused);
		expect(failing(await verify({ body }))).toBe(refused);
	});
});

describe('a platform that is out of date', () => {
	const old = date(NOW - 10 * DAY);
	const faults = (status: string): Faults => ({
		tcbInfo: put('/tcbLevels', [at(old, pki.goodLevel(status, ['INTEL-SA-1']))])
	});
	const asked = (tcb: object) => ({ policy: policy({ tcb }) });

	it.each(['OutOfDate', 'OutOfDateConfigurationNeeded'])(
		'(%s) is borne for the grace, with a warning up to its end',
		async (status) => {
			const result = await verify(faults(status), asked({ grace: 11 * DAY }));
			expect(result.findings['tcb-status']).toEqual({
				id: 'tcb-status',
				outcome: 'warn',
				code: 'tcb-grace',
				detail: `${date(NOW + DAY)} ${status} INTEL-SA-1`,
				until: NOW + DAY
			});
			expect(result.expires).toBe(NOW + DAY);
			expect(accepted(await verify(faults(status), asked({ grace: 10 * DAY })))).toBe(true);
			const over = await verify(faults(status), asked({ grace: 10 * DAY - 1 }));
			expect(reasons(over)['tcb-status']).toBe('tcb-status');
			expect((await verify(faults(status))).findings['tcb-status']?.outcome).toBe('fail');
		}
	);

	it('is not borne for what the policy says otherwise', async () => {
		const grace = 365 * DAY;
		const passed = await verify(faults('OutOfDate'), asked({ grace, pass: ['OutOfDate'] }));
		expect(reasons(passed)).toEqual({});
		const told = async (status: string, tcb: object) =>
			reasons(await verify(faults(status), asked({ grace, ...tcb })))['tcb-status'];
		expect(await told('OutOfDate', { refused_advisories: ['INTEL-SA-1'] })).toBe('tcb-advisory');
		expect(await told('OutOfDate', { min_evaluation: 18 })).toBe('tcb-evaluation');
		expect(await told('ConfigurationNeeded', { warn: [] })).toBe('tcb-status');
		expect(await told('Revoked', {})).toBe('tcb-revoked');
	});
});

describe('what a platform says of itself', () => {
	const machine = pki.machine(0xff, 0, 0xff);
	it.each<[object, Faults, string | undefined]>([
		[{ dynamic_platform: 'forbid' }, { platform: { machine } }, 'dynamic_platform'],
		[{ cached_keys: 'forbid' }, { platform: { machine } }, undefined],
		[{ smt: 'forbid', cached_keys: 'forbid' }, { platform: { machine } }, 'smt'],
		[{ cached_keys: 'forbid', smt: 'forbid' }, {}, 'cached_keys, smt'],
		[{ smt: 'allow' }, {}, undefined]
	])('is held against %j', async (platform, faults, refused) => {
		const { findings } = await verify(faults, { policy: policy({ platform }) });
		expect(findings['tcb-status']?.code).toBe(refused && 'platform-refused');
		if (refused) expect(findings['tcb-status']?.detail).toBe(refused);
	});

	it('comes before its status', async () => {
		const faults = { tcbInfo: put('/tcbLevels', [pki.goodLevel('OutOfDate')]) };
		const result = await verify(faults, { policy: policy({ platform: { smt: 'forbid' } }) });
		expect(reasons(result)['tcb-status']).toBe('platform-refused');
	});
});

describe('a policy for the TD', () => {
	const masked = (masked_values: object) => ({ policy: policy({ masked_values }) });
	it.each<[object, string | undefined]>([
		[{ td_attributes: { mask: '0000001000000000', value: '0000001000000000' } }, undefined],
		[{ td_attributes: { mask: '0000001000000000', value: '0000000000000000' } }, 'td_attributes'],
		[{ td_attributes: { mask: 'ffffffffffffffff', value: '0000001000000000' } }, undefined],
		[{ xfam: { mask: 'FF00000000000000', value: 'E700000000000000' } }, undefined],
		[{ xfam: { mask: 'ff00000000000000', value: 'e600000000000000' } }, 'xfam'],
		[{ xfam: { mask: '0000000000000000', value: '0000000000000000' } }, undefined]
	])('holds the bits of %j', async (values, refused) => {
		const result = await verify({}, masked(values));
		expect(failing(result)).toBe(refused ? `td-attributes values-masked: ${refused}` : 'nothing');
	});

	it.each([
		['vmid', 648, '01'],
		['init_server_td_attr', 777, `01${'00'.repeat(7)}`],
		['curr_server_td_attr', 877, `01${'00'.repeat(7)}`],
		['init_server_td_hash', 729, `01${'00'.repeat(47)}`],
		['curr_server_td_hash', 829, `01${'00'.repeat(47)}`]
	])('may name %s of an extended body', async (name, place, value) => {
		const faults: Faults = { extended: true, body: (body) => void (body[place] = 1) };
		expect(accepted(await verify(faults))).toBe(false);
		const named = policy({ reference_values: { [name]: [value] } });
		expect(accepted(await verify(faults, { policy: named }))).toBe(true);
	});

	it('may ask for a quote that names the service TD', async () => {
		const newer = { policy: policy({ min_quote_version: 5 }) };
		expect(accepted(await verify({ extended: true }, newer))).toBe(true);
		expect(accepted(await verify({ later: true }, newer))).toBe(true);
		expect(failing(await verify({ version: 5 }, newer))).toBe('td-attributes service-td-unknown');
	});

	it('rules on the extension of service TDs', async () => {
		const faults: Faults = { body: (body) => void (body[122] = 2) };
		expect(failing(await verify(faults))).toBe('td-attributes attributes-refused: servtd_ext');
		const allowed = policy({ td_attributes: { servtd_ext: 'allow' } });
		expect(accepted(await verify(faults, { policy: allowed }))).toBe(true);
	});
});
