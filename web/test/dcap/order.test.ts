import { describe, expect, it } from 'vitest';
import { flipped, type Bytes } from '../support/bytes';
import { both, put } from '../support/json';
import * as pki from '../support/pki';
import { keys, NOW, time, type Faults } from '../support/pki';
import { reasons, verify } from '../support/verification';

const DAY = 86_400;
const date = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');
const past = date(NOW - DAY);
const expired = [time(NOW - DAY)];

/** Faults of the collateral from the last to the first of the contract's order, with their reasons. */
const COLLATERAL: [reason: string, fault: Faults][] = [
	['other-platform', { platform: { fmspc: Buffer.alloc(6, 9) } }],
	['revoked', { pckList: { revoked: [Buffer.of(0x81, 3)] } }],
	['crl-expired', { pckList: { revoked: [Buffer.of(0x81, 3)], until: expired } }],
	['crl-invalid', { pckList: { until: expired, signer: keys.other } }],
	['collateral-expired', { qeIdentity: put('/nextUpdate', past) }],
	['collateral-malformed', { qeIdentity: both(put('/nextUpdate', past), put('/tcbLevels', [])) }],
	['other-platform', { qeIdentity: both(put('/version', 1), put('/tcbLevels', [])) }],
	['collateral-malformed', { qeIdentityText: (text) => `{"id":"QE",${text.slice(1)}` }],
	[
		'qe-identity-forged',
		{ qeIdentityAnswer: (text) => text.replace('"isvprodid":2', '"isvprodid":3') }
	],
	['collateral-expired', { tcbInfo: put('/nextUpdate', past) }],
	['collateral-malformed', { tcbInfo: both(put('/nextUpdate', past), put('/tcbLevels', [])) }],
	['other-platform', { tcbInfo: both(put('/id', 'SGX'), put('/tcbLevels', [])) }],
	['collateral-malformed', { tcbInfoText: (text) => `{"id":"SGX",${text.slice(1)}` }],
	['tcb-info-forged', { tcbInfoAnswer: (text) => text.replace('"UpToDate"', '1.5e') }],
	['revoked', { rootList: { revoked: [Buffer.of(0x81, 4)] } }],
	['crl-expired', { rootList: { revoked: [Buffer.of(0x81, 4)], until: expired } }],
	['crl-invalid', { rootList: { until: expired, signer: keys.other } }],
	['signer-chain', { signer: { until: time(NOW - DAY) } }],
	['collateral-malformed', { collateral: put('/pck_crl_der_b64', '%') }]
];

const SIGNATURES: [reason: string, fault: Faults][] = [
	['quote-forged', { quoteSigner: keys.other }],
	['qe-unknown', { qeReport: (report) => void (report[130] = 0) }],
	[
		'qe-debug',
		{
			qeReport: (report) => {
				report[48] = 0x13;
				report[130] = 0;
			}
		}
	],
	['attestation-key', { quote: (quote) => flipped(quote, quote.indexOf(Buffer.alloc(32, 9))) }],
	['qe-report-forged', { qeSigner: keys.other }],
	['pck-malformed', { platform: { more: [pki.seq(pki.oid(`${pki.SGX}08`), pki.bool(0))] } }],
	['chain', { leaf: { signer: keys.other } }]
];

/** Set bytes of the body. */
const bytes =
	(...set: [at: number, value: number][]) =>
	(body: Bytes) => {
		for (const [at, value] of set) body[at] = value;
	};

describe('of several failures of a check the first is told', () => {
	// Each case has the faults of all the earlier ones, which come later in the order.
	const accumulated = (all: [string, Faults][]) =>
		all.map(([reason], at): [string, Faults] => [
			reason,
			Object.assign({}, ...all.slice(0, at + 1).map(([, fault]) => fault)) as Faults
		]);

	it.each(accumulated(COLLATERAL))('%s, of the collateral', async (reason, faults) => {
		expect((await verify(faults)).findings.collateral?.outcome).toBe('fail');
		expect(reasons(await verify(faults)).collateral).toBe(reason);
	});

	it.each(accumulated(SIGNATURES))('%s, of what is signed', async (reason, faults) => {
		expect(reasons(await verify(faults))['quote-signature']).toBe(reason);
	});

	it('the second signer’s chain comes after the first one’s, and before any list', async () => {
		const other = pki.pem(pki.makeCertificate({ ...pki.specs().signer, signer: keys.other }));
		const faults: Faults = {
			rootList: { signer: keys.other },
			collateral: (all) => void (all.qe_identity_issuer_chain_pem = other)
		};
		expect((await verify(faults)).findings.collateral?.detail).toBe('signer-chain: length');
	});

	it('a PCK list is nobody’s concern where the PCK chain does not hold', async () => {
		const faults: Faults = { pckList: { signer: keys.other }, leaf: { signer: keys.other } };
		expect(reasons(await verify(faults))).toEqual({
			'quote-signature': 'chain',
			'td-attributes': undefined
		});
	});

	it.each<[string, Faults]>([
		['tdx-module', { body: bytes([1, 9], [2, 0]) }],
		['tdx-module', { body: bytes([64, 1], [2, 0]) }],
		['tcb-unknown', { body: bytes([2, 0], [0, 0]) }],
		['tdx-module', { body: bytes([0, 0], [584, 0]) }],
		['tcb-unknown', { body: bytes([585, 9]), tcbInfo: put('/tcbLevels/0/tcbStatus', 'Revoked') }],
		['tcb-unknown', { body: bytes([584, 0]), tcbInfo: put('/tcbLevels/0/tcbStatus', 'Revoked') }],
		['tcb-unknown', { body: bytes([586, 0]), tcbInfo: put('/tcbLevels/0/tcbStatus', 'Revoked') }],
		['tcb-revoked', { tcbInfo: put('/tcbLevels/0/tcbStatus', 'Revoked') }],
		['tcb-status', { tcbInfo: put('/tcbLevels/0/tcbStatus', 'OutOfDate') }]
	])('%s of the TCB, of %j', async (reason, faults) => {
		expect(reasons(await verify({ later: true, ...faults }))['tcb-status']).toBe(reason);
	});

	it.each<[string, Faults]>([
		['debug', { body: bytes([120, 1], [121, 1]) }],
		['reserved', { body: bytes([121, 1], [122, 3]) }],
		['attributes-refused', { body: bytes([122, 2], [123, 0]) }],
		['sept-ve', { body: bytes([123, 0x20]) }],
		['xfam', { body: bytes([128, 0], [648, 1]) }],
		['nested-guest', { body: bytes([648, 1], [777, 1], [600, 1]) }],
		['service-td-attributes', { body: bytes([777, 1], [600, 1]) }],
		['service-td-attributes', { body: bytes([884, 1], [600, 1]) }],
		['service-td', { body: bytes([600, 1]) }],
		['service-td', { body: bytes([729, 1]) }],
		['service-td', { body: bytes([829, 1]) }]
	])('%s of the TD, of %j', async (reason, faults) => {
		expect(reasons(await verify({ extended: true, ...faults }))['td-attributes']).toBe(reason);
	});
});
