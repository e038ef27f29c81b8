import { describe, expect, it } from 'vitest';
import { factsOf } from '../../src/providers/facts';
import { both, put } from '../support/json';
import * as pki from '../support/pki';
import { verify } from '../support/verification';

describe('the facts of a verified quote', () => {
	it('are those of the platform, the lists and the machine', async () => {
		const result = await verify({ platform: { machine: pki.machine(0, 0xff, 0) } });
		expect(factsOf(result)).toMatchObject({
			tcb_status: 'UpToDate',
			tcb_status_launch: undefined,
			tcb_status_current: undefined,
			fmspc: pki.FMSPC,
			tcb_evaluation: '17',
			root_ca_crl_num: '1',
			pck_crl_num: '1',
			is_dynamic_platform: false,
			is_cached_keys: true,
			is_smt_enabled: false
		});
	});

	it('tell start and now where they differ, with dates and advisories of both', async () => {
		const tcbInfo = both(
			put('/tdxModuleIdentities/0/tcbLevels', [
				pki.ownLevel(9, 'UpToDate', ['INTEL-SA-9']),
				pki.ownLevel(5, 'OutOfDate', ['INTEL-SA-5'])
			]),
			put('/tdxModuleIdentities/0/tcbLevels/1/tcbDate', '2026-01-01T00:00:00Z')
		);
		const result = await verify({ later: true, body: (body) => void (body[584] = 9), tcbInfo });
		expect(factsOf(result)).toMatchObject({
			tcb_status: 'TDRelaunchAdvised',
			tcb_status_launch: 'OutOfDate',
			tcb_date: '2026-01-01T00:00:00Z',
			advisory_ids: 'INTEL-SA-5',
			tcb_status_current: 'UpToDate',
			tcb_date_current: '2027-01-15T07:00:00Z',
			advisory_ids_current: 'INTEL-SA-9',
			tcb_date_platform: '2027-01-15T07:00:00Z',
			tcb_date_module: '2026-01-01T00:00:00Z',
			tcb_date_qe: '2027-01-15T07:00:00Z'
		});
	});

	it('are none of what did not hold', async () => {
		const { tcb_status, fmspc, pck_crl_num } = factsOf(
			await verify({ quoteSigner: pki.keys.other })
		);
		expect([tcb_status, fmspc, pck_crl_num]).toEqual([undefined, undefined, undefined]);
	});
});
