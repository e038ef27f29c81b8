import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { work } from '../../src/base/der';
import { fromBase64url } from '../../src/base/encoding';
import { parseCertificate, parsePem } from '../../src/base/x509';
import { INTEL_ROOT_KEY } from '../../src/dcap/root';
import { statusName } from '../../src/dcap/status';
import { parseQuote } from '../../src/evidence/quote';
import { DEFAULT_POLICY, parsePolicy, type Policy } from '../../src/policy/policy';
import { flipped, hex, type Bytes } from '../support/bytes';
import { both, drop, put, read } from '../support/json';
import { must } from '../support/must';
import * as pki from '../support/pki';
import {
	bitString,
	extension,
	keys,
	makeCase,
	NOW,
	number,
	oid,
	seq,
	time,
	tlv,
	type Faults,
	type ListSpec
} from '../support/pki';
import { readSample, readVectors } from '../support/vectors';
import {
	accepted,
	failing,
	IDS,
	outcomes,
	policy,
	told,
	verify,
	verifyWith
} from '../support/verification';

const { subtle } = crypto;
const INTEL = fromBase64url(INTEL_ROOT_KEY);
/** What the vectors have of a platform's collateral. */
type CollateralPart =
	| 'tcb_info'
	| 'tcb_info_signature'
	| 'qe_identity'
	| 'qe_identity_signature'
	| 'pck_crl'
	| 'root_ca_crl'
	| 'tcb_info_issuer_chain'
	| 'qe_identity_issuer_chain'
	| 'pck_crl_issuer_chain';

/** Turn bits of one byte round, in place. */
const flip =
	(at: number, mask = 1) =>
	(bytes: Bytes) => {
		flipped(bytes, at, mask).copy(bytes);
	};

// --- the numbered steps ----------------------------------------------------------------------------

describe('a quote', () => {
	it.each<[string, Faults]>([
		['v4', {}],
		['v5', { version: 5 }],
		['v5 of TDX 1.5', { later: true }],
		['v5 of TDX 1.5, extended', { extended: true }],
		['without authentication data', { authData: Buffer.of() }],
		['with 60,000 bytes of authentication data', { authData: Buffer.alloc(60_000) }]
	])('%s that is good passes every check', async (_name, faults) => {
		const result = await verify(faults);
		expect(told(result)).toEqual(
			IDS.map((id) => [id, 'pass', id === 'tcb-status' ? 'UpToDate' : ''])
		);
		expect(result.tcb).toMatchObject({ status: 'UpToDate', advisories: [] });
		expect(result.expires).toBe(NOW + 30 * 86_400);
	});

	it('under documents of two evaluations passes, and that is told', async () => {
		const result = await verify({ tcbInfo: put('/tcbEvaluationDataNumber', 20) });
		expect(result.findings.collateral).toMatchObject({
			outcome: 'pass',
			detail: 'tcbInfo 20, enclaveIdentity 17'
		});
		expect(result.evaluation).toMatchObject({ tcbInfo: 20, qeIdentity: 17 });
	});

	it.each<[Faults, string | undefined]>([
		[{ version: 4 }, 'service-td-unknown'],
		[{ version: 5 }, 'service-td-unknown'],
		[{ later: true }, undefined]
	])('%j that names no service TD passes, and that is told', async (faults, code) => {
		const { findings } = await verify(faults);
		expect(findings['td-attributes']).toMatchObject({ outcome: 'pass' });
		expect(findings['td-attributes']?.code).toBe(code);
	});

	it('of the simulator passes under its root', async () => {
		const vectors = readVectors('quotes') as {
			root_pem: string;
			now: number;
			collateral: Record<CollateralPart, string>;
			valid: { quote: string }[];
		};
		const { collateral: given, now } = vectors;
		const base64 = (name: CollateralPart) => hex(given[name]).toString('base64');
		const collateral = {
			tcb_info_json: `{"tcbInfo":${given.tcb_info},"signature":"${given.tcb_info_signature}"}`,
			qe_identity_json: `{"enclaveIdentity":${given.qe_identity},"signature":"${given.qe_identity_signature}"}`,
			pck_crl_der_b64: base64('pck_crl'),
			root_crl_der_b64: base64('root_ca_crl'),
			tcb_info_issuer_chain_pem: given.tcb_info_issuer_chain,
			qe_identity_issuer_chain_pem: given.qe_identity_issuer_chain,
			pck_crl_issuer_chain_pem: given.pck_crl_issuer_chain
		};
		const [root] = parsePem(vectors.root_pem).map(parseCertificate);
		const rootKey = must(root).key;
		for (const { quote } of vectors.valid) {
			expect(accepted(await verifyWith(hex(quote), collateral, { now, rootKey }))).toBe(true);
			const intel = await verifyWith(hex(quote), collateral, { now, rootKey: INTEL });
			expect(failing(intel)).toBe('collateral signer-chain: another root');
			expect(intel.tcb).toBeUndefined();
		}
	});

	const crl = (list: 'rootList' | 'pckList', change: Partial<ListSpec>): Faults => ({
		[list]: change
	});
	const p384 = pki.makePair('P-384');

	it.each<[string, Faults, string]>([
		// 1
		[
			'of SGX',
			{ header: (b) => void b.writeUInt32LE(0, 4) },
			'evidence-format quote-malformed: tee_type'
		],
		['of another vendor', { header: flip(12) }, 'evidence-format vendor-unknown'],
		['of another key type', { header: flip(2) }, 'evidence-format quote-malformed: att_key_type'],
		[
			'with a byte after it',
			{ quote: (q) => Buffer.concat([q, Buffer.of(0)]) },
			'evidence-format quote-malformed: trailing bytes'
		],
		[
			'that is too long',
			{ quote: () => Buffer.alloc(70_000) },
			'evidence-format quote-malformed: size'
		],
		// 2
		['without a chain', { chain: () => '' }, 'quote-signature chain: length'],
		['without the root', { chain: ([a, b]) => pki.pem(a, b) }, 'quote-signature chain: length'],
		[
			'with a chain the other way round',
			{ chain: (all) => pki.pem(...all.reverse()) },
			'quote-signature chain: profile'
		],
		[
			'with a certificate twice',
			{ chain: ([a, b, c]) => pki.pem(a, b, b, c) },
			'quote-signature chain: length'
		],
		[
			'with a forged PCK certificate',
			{ leaf: { signer: keys.other } },
			'quote-signature chain: signature'
		],
		['with a forged CA', { ca: { signer: keys.other } }, 'quote-signature chain: signature'],
		[
			'with an expired PCK certificate',
			{ leaf: { until: time(NOW - 1) } },
			'quote-signature chain: expired'
		],
		[
			'with a PCK certificate of tomorrow',
			{ leaf: { from: time(NOW + 1) } },
			'quote-signature chain: not valid yet'
		],
		[
			'with a CA that is none',
			{ ca: { constraints: seq() } },
			'quote-signature chain: basicConstraints'
		],
		['with a CA that signs no lists', { ca: { usage: 0x04 } }, 'quote-signature chain: profile'],
		[
			'with a PCK certificate that does not say what it is',
			{ leaf: { constraints: undefined } },
			'quote-signature chain: profile'
		],
		[
			'with a PCK certificate without keyUsage',
			{ leaf: { usage: undefined } },
			'quote-signature chain: profile'
		],
		[
			'with a PCK key on another curve',
			{
				leaf: {
					holder: p384,
					spki: seq(seq(oid('2a8648ce3d0201'), oid('2b81040022')), bitString(p384.point))
				}
			},
			'quote-signature chain: key'
		],
		[
			'without the SGX extension',
			{ leaf: { extensions: [] } },
			'quote-signature pck-malformed: DER is cut off'
		],
		[
			'with an FMSPC of 5 bytes',
			{ platform: { fmspc: Buffer.alloc(5) } },
			'quote-signature pck-malformed: SGX extension 04'
		],
		[
			'with a component too large',
			{ platform: { components: Array<number>(16).fill(0x100) } },
			'quote-signature pck-malformed: DER value'
		],
		[
			'with 15 components',
			{ platform: { components: Array<number>(15).fill(1) } },
			'quote-signature pck-malformed: SGX extension 02'
		],
		[
			'with an FMSPC twice',
			{ platform: { more: [seq(oid(`${pki.SGX}04`), pki.octets(Buffer.alloc(6)))] } },
			'quote-signature pck-malformed: SGX extension'
		],
		[
			'with a foreign entry in the SGX extension',
			{ platform: { more: [seq(oid('550304'), tlv(5))] } },
			'quote-signature pck-malformed: SGX extension'
		],
		// 3
		[
			'without a root list',
			{ collateral: put('/root_crl_der_b64', '') },
			'collateral crl-invalid: DER is cut off'
		],
		[
			'with no root list at all',
			{ collateral: drop('/root_crl_der_b64') },
			'collateral collateral-malformed: root_crl_der_b64'
		],
		[
			'with no issuer of the PCK list',
			{ collateral: drop('/pck_crl_issuer_chain_pem') },
			'collateral collateral-malformed: pck_crl_issuer_chain_pem'
		],
		[
			'with a list in base64 with a line break',
			{ collateral: (c) => void (c.pck_crl_der_b64 += '\n') },
			'collateral collateral-malformed: pck_crl_der_b64: base64'
		],
		[
			'with the lists swapped',
			{
				collateral: (c) =>
					void ([c.root_crl_der_b64, c.pck_crl_der_b64] = [c.pck_crl_der_b64, c.root_crl_der_b64])
			},
			'collateral crl-invalid: issuer'
		],
		[
			'with a forged root list',
			crl('rootList', { signer: keys.other }),
			'collateral crl-invalid: signature'
		],
		[
			'with a forged PCK list',
			crl('pckList', { signer: keys.other }),
			'collateral crl-invalid: signature'
		],
		[
			'with a PCK list that the root signed',
			crl('pckList', { signer: keys.root }),
			'collateral crl-invalid: signature'
		],
		[
			'with an ended root list',
			crl('rootList', { until: [time(NOW - 1)] }),
			'collateral crl-expired'
		],
		[
			'with a PCK list that just ends',
			crl('pckList', { until: [time(NOW)] }),
			'collateral crl-expired'
		],
		[
			'with a PCK list of tomorrow',
			crl('pckList', { from: time(NOW + 1) }),
			'collateral collateral-early'
		],
		[
			'with a list without an end',
			crl('pckList', { until: [] }),
			'collateral crl-invalid: DER tag'
		],
		[
			'with a list of version 1',
			crl('pckList', { version: [] }),
			'collateral crl-invalid: DER tag'
		],
		[
			'with a list of changes',
			crl('pckList', { extensions: [extension('551d1b', number(1), true)] }),
			'collateral crl-invalid: critical extension'
		],
		[
			'with a list for a part',
			crl('pckList', { extensions: [extension('551d1c', seq(), true)] }),
			'collateral crl-invalid: critical extension'
		],
		[
			'with an entry of another issuer',
			crl('pckList', {
				revoked: [Buffer.of(9)],
				entryExtensions: [extension('551d1d', seq(), true)]
			}),
			'collateral crl-invalid: critical extension'
		],
		[
			'with a list of another algorithm',
			crl('pckList', { outer: seq(oid('2a8648ce3d040303')) }),
			'collateral crl-invalid: algorithm'
		],
		[
			'with a byte after a list',
			crl('pckList', { whole: (b) => Buffer.concat([b, Buffer.of(0)]) }),
			'collateral crl-invalid: DER trailing bytes'
		],
		[
			'with a revoked PCK certificate',
			crl('pckList', { revoked: [Buffer.of(1), Buffer.of(0x81, 3)] }),
			'collateral revoked: 008103'
		],
		[
			'with a revoked CA',
			crl('rootList', { revoked: [Buffer.of(0x81, 2)] }),
			'collateral revoked: 008102'
		],
		[
			'with a revoked signer',
			crl('rootList', { revoked: [Buffer.of(0x81, 4)] }),
			'collateral revoked: 008104'
		],
		[
			'with a revoked root of its own',
			{
				...crl('rootList', { revoked: [Buffer.of(5)] }),
				chain: ([a, b]) =>
					pki.pem(a, b, pki.makeCertificate({ ...pki.specs().root, serial: Buffer.of(5) }))
			},
			'collateral revoked: 05'
		],
		[
			'with a revoked root',
			crl('rootList', { revoked: [Buffer.of(0x81, 1)] }),
			'collateral revoked: 008101'
		],
		// 4
		[
			'with TCB info that is none',
			{ collateral: put('/tcb_info_json', '{}') },
			'collateral collateral-malformed: tcbInfo'
		],
		[
			'with TCB info that is no text',
			{ collateral: put('/tcb_info_json', 7) },
			'collateral collateral-malformed: tcb_info_json'
		],
		[
			'with TCB info changed',
			{ tcbInfoAnswer: (t) => t.replace('UpToDate', 'UptoDate') },
			'collateral tcb-info-forged'
		],
		[
			'with a space in a string of TCB info',
			{ tcbInfoAnswer: (t) => t.replace('"TDX"', '"TDX "') },
			'collateral tcb-info-forged'
		],
		[
			'with white space in TCB info that JSON has not',
			{ tcbInfoAnswer: (t) => t.replace('"id":', '"id":\u00a0') },
			'collateral tcb-info-forged'
		],
		[
			'with a bit of its signature changed',
			{ tcbInfoAnswer: (t) => t.replace(/.(?="}$)/, (d) => (d === '0' ? '1' : '0')) },
			'collateral tcb-info-forged'
		],
		[
			'with a short signature',
			{ tcbInfoAnswer: (t) => t.replace(/..(?="}$)/, '') },
			'collateral collateral-malformed: tcbInfo'
		],
		[
			'with TCB info that names a key twice',
			{ tcbInfoText: (t) => t.replace('"id":"TDX"', '"id":"TDX","id":"TDX"') },
			'collateral collateral-malformed: two id'
		],
		[
			'with a second TCB info after it',
			{ tcbInfoAnswer: (t) => t.replace('},"signature"', '},"tcbInfo":{},"signature"') },
			'collateral tcb-info-forged'
		],
		[
			'with TCB info beside the signed one',
			{ tcbInfoAnswer: (t) => t.replace('{"tcbInfo":', '{"tcbInfo":{},"tcbInfo":') },
			'collateral tcb-info-forged'
		],
		['with TCB info of SGX', { tcbInfo: put('/id', 'SGX') }, 'collateral other-platform: tcbInfo'],
		[
			'with TCB info of version 2',
			{ tcbInfo: put('/version', 2) },
			'collateral other-platform: tcbInfo'
		],
		[
			'with TCB info of version "3"',
			{ tcbInfo: put('/version', '3') },
			'collateral other-platform: tcbInfo'
		],
		[
			'with TCB info of tomorrow',
			{ tcbInfo: put('/issueDate', '2027-01-15T08:00:01Z') },
			'collateral collateral-early'
		],
		[
			'with TCB info of yesterday',
			{ tcbInfo: put('/nextUpdate', '2027-01-15T07:59:59Z') },
			'collateral collateral-expired'
		],
		[
			'with a date in another form',
			{ tcbInfo: put('/nextUpdate', '2027-02-15T07:59:59+00:00') },
			'collateral collateral-malformed: time'
		],
		[
			'with a level without a date',
			{ tcbInfo: drop('/tcbLevels/0/tcbDate') },
			'collateral collateral-malformed: time'
		],
		[
			'with 15 TDX components',
			{ tcbInfo: (v) => void (read(v, '/tcbLevels/0/tcb/tdxtcbcomponents') as unknown[]).pop() },
			'collateral collateral-malformed: tdxtcbcomponents'
		],
		[
			'with an SVN of 256',
			{ tcbInfo: put('/tcbLevels/0/tcb/sgxtcbcomponents/3/svn', 256) },
			'collateral collateral-malformed: svn'
		],
		[
			'with an SVN in quotes',
			{ tcbInfo: put('/tcbLevels/0/tcb/pcesvn', '1') },
			'collateral collateral-malformed: pcesvn'
		],
		[
			'with a status that is no text',
			{ tcbInfo: put('/tcbLevels/0/tcbStatus', 0) },
			'collateral collateral-malformed: a status that this level cannot have'
		],
		[
			'with an advisory that is no text',
			{ tcbInfo: put('/tcbLevels/0/advisoryIDs', [5]) },
			'collateral collateral-malformed: advisoryIDs'
		],
		[
			'without a TDX module',
			{ tcbInfo: drop('/tdxModule') },
			'collateral collateral-malformed: mrsigner'
		],
		[
			'with a short MRSIGNER of the module',
			{ tcbInfo: put('/tdxModule/mrsigner', '00') },
			'collateral collateral-malformed: mrsigner'
		],
		[
			'with a forged signer',
			{ signer: { signer: keys.other } },
			'collateral signer-chain: signature'
		],
		[
			'with an expired signer',
			{ signer: { until: time(NOW - 1) } },
			'collateral signer-chain: expired'
		],
		[
			'with a signer that is a CA',
			{ signer: { constraints: pki.ca(), usage: 0x86 } },
			'collateral signer-chain: basicConstraints'
		],
		[
			"with the PCK chain as the signer's",
			{
				collateral: put(
					'/tcb_info_issuer_chain_pem',
					pki.pem(
						...(['leaf', 'ca', 'root'] as const).map((w) => pki.makeCertificate(pki.specs()[w]))
					)
				)
			},
			'collateral signer-chain: length'
		],
		[
			'with a signer under the platform CA',
			{ signer: { signer: keys.ca, issuer: pki.NAMES.ca } },
			'collateral signer-chain: issuer'
		],
		[
			'with no chain of the signer',
			{ collateral: drop('/tcb_info_issuer_chain_pem') },
			'collateral collateral-malformed: tcb_info_issuer_chain_pem'
		],
		// 5
		[
			'with an identity of the SGX QE',
			{ qeIdentity: put('/id', 'QE') },
			'collateral other-platform: enclaveIdentity'
		],
		[
			'with an identity of version 1',
			{ qeIdentity: put('/version', 1) },
			'collateral other-platform: enclaveIdentity'
		],
		[
			'with an expired identity',
			{ qeIdentity: put('/nextUpdate', '2027-01-15T07:59:59Z') },
			'collateral collateral-expired'
		],
		[
			'with an identity of tomorrow',
			{ qeIdentity: put('/issueDate', '2027-01-15T08:00:01Z') },
			'collateral collateral-early'
		],
		[
			'with a forged identity',
			{ qeIdentityAnswer: (t) => t.replace('"isvsvn":4', '"isvsvn":3') },
			'collateral qe-identity-forged'
		],
		[
			'with TCB info as the identity',
			{ collateral: (c) => void (c.qe_identity_json = c.tcb_info_json) },
			'collateral collateral-malformed: enclaveIdentity'
		],
		// 6, 7
		[
			'with a QE report of another key',
			{ qeSigner: keys.other },
			'quote-signature qe-report-forged'
		],
		[
			"with an attestation key that is not the QE's",
			{ qeReport: flip(320) },
			'quote-signature attestation-key'
		],
		['with something after the hash', { qeReport: flip(352) }, 'quote-signature attestation-key'],
		[
			'with authentication data that is not bound',
			{ quote: (q) => flipped(q, q.indexOf(Buffer.alloc(32, 9))) },
			'quote-signature attestation-key'
		],
		// 8
		['of another enclave', { qeReport: flip(130) }, 'quote-signature qe-unknown: MRSIGNER'],
		['of another product', { qeReport: flip(256) }, 'quote-signature qe-unknown: ISVPRODID'],
		[
			'of an enclave with MISCSELECT',
			{ qeReport: flip(16) },
			'quote-signature qe-unknown: MISCSELECT'
		],
		[
			'of an enclave with other attributes',
			{ qeReport: flip(49) },
			'quote-signature qe-unknown: ATTRIBUTES'
		],
		['of a debug enclave', { qeReport: flip(48, 2) }, 'quote-signature qe-debug'],
		[
			'of a debug enclave that the mask hides',
			{ qeReport: flip(48, 2), qeIdentity: put('/attributesMask', '00'.repeat(16)) },
			'quote-signature qe-debug'
		],
		[
			'of an enclave older than all',
			{ qeReport: (b) => void (b[258] = 3) },
			'tcb-status tcb-unknown: quoting enclave 3 < 4'
		],
		// 9
		['of another attestation key', { quoteSigner: keys.other }, 'quote-signature quote-forged'],
		[
			'with the user data changed',
			{ quote: (q) => flipped(q, 40) },
			'quote-signature quote-forged'
		],
		['with report data changed', { quote: (q) => flipped(q, 600) }, 'quote-signature quote-forged'],
		// 10
		['of another platform', { platform: { fmspc: Buffer.alloc(6) } }, 'collateral other-platform'],
		['of another PCE', { platform: { pceId: Buffer.of(1, 0) } }, 'collateral other-platform'],
		[
			'of a PCE that is too old',
			{ platform: { pceSvn: 12 } },
			'tcb-status tcb-unknown: PCE 12 < 13'
		],
		[
			'of a component that is too old',
			{ platform: { components: [4, 4, 2, 2, 4, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0] } },
			'tcb-status tcb-unknown: SGX component 8 4 < 5'
		],
		[
			'of a TDX component that is too old',
			{ body: (b) => void (b[2] = 1) },
			'tcb-status tcb-unknown: TDX component 3 1 < 2'
		],
		[
			'without any level',
			{ tcbInfo: put('/tcbLevels', []) },
			'collateral collateral-malformed: tcbLevels'
		],
		// 11
		[
			'of a module that nobody knows',
			{ body: (b) => void (b[1] = 9) },
			'tcb-status tdx-module: TDX_09'
		],
		[
			'of a module without identities',
			{ tcbInfo: drop('/tdxModuleIdentities') },
			'tcb-status tdx-module: TDX_01'
		],
		['of a module that somebody signed', { body: flip(64) }, 'tcb-status tdx-module: MRSIGNERSEAM'],
		['of a module with attributes', { body: flip(112) }, 'tcb-status tdx-module: SEAMATTRIBUTES'],
		[
			'of a module with attributes outside the mask',
			{ body: flip(112), tcbInfo: put('/tdxModuleIdentities/0/attributesMask', '00'.repeat(8)) },
			'tcb-status tdx-module: SEAMATTRIBUTES'
		],
		[
			'of a module that is too old',
			{ body: (b) => void (b[0] = 4) },
			'tcb-status tdx-module: ISVSVN'
		],
		// 12
		[
			'of a revoked platform',
			{ tcbInfo: put('/tcbLevels', [pki.goodLevel('Revoked')]) },
			'tcb-status tcb-revoked'
		],
		[
			'with a status that nobody knows',
			{ tcbInfo: put('/tcbLevels/0/tcbStatus', 'Fine') },
			'collateral collateral-malformed: a status that this level cannot have'
		],
		[
			'of a module with a status that nobody knows',
			{ tcbInfo: put('/tdxModuleIdentities/0/tcbLevels/0/tcbStatus', 'constructor') },
			'collateral collateral-malformed: a status that this level cannot have'
		],
		[
			'of an outdated platform',
			{ tcbInfo: put('/tcbLevels', [pki.goodLevel('OutOfDate')]) },
			'tcb-status OutOfDate'
		],
		[
			'of a revoked enclave',
			{ qeIdentity: put('/tcbLevels', [pki.ownLevel(4, 'Revoked')]) },
			'tcb-status tcb-revoked'
		],
		[
			'of a revoked module',
			{ tcbInfo: put('/tdxModuleIdentities/0/tcbLevels', [pki.ownLevel(5, 'Revoked')]) },
			'tcb-status tcb-revoked'
		],
		// 13
		['of a TD under debug', { body: flip(120) }, 'td-attributes debug'],
		['of a TD with a reserved attribute', { body: flip(121) }, 'td-attributes reserved'],
		[
			'of a TD without SEPT_VE_DISABLE',
			{ body: (b) => void (b[123] = 0) },
			'td-attributes sept-ve'
		],
		['of a TD without the XFAM it must have', { body: flip(128) }, 'td-attributes xfam'],
		['of a TD with an XFAM that none has', { body: flip(131, 0x80) }, 'td-attributes xfam'],
		[
			'of a TD with a service TD',
			{ later: true, body: (b) => void (b[600] = 1) },
			'td-attributes service-td: mr_servicetd'
		]
	])('%s is refused', async (_name, faults, expected) => {
		const result = await verify(faults);
		expect(failing(result)).toBe(expected);
		// What rests on a step that failed has not passed.
		const [check] = expected.split(' ');
		const all = outcomes(result);
		if (check === 'evidence-format')
			expect([all['quote-signature'], all['tcb-status'], all['td-attributes']]).toEqual([
				undefined,
				undefined,
				undefined
			]);
		if (check === 'collateral' || check === 'quote-signature') {
			expect(all['tcb-status']).not.toBe('pass');
			expect(all['td-attributes']).not.toBe('pass');
			expect(result.tcb).toBeUndefined();
			expect(result.expires).toBe(0);
		}
	});

	it('is about the first second to the last one', async () => {
		expect(accepted(await verify({}, { now: NOW - 3600 }))).toBe(true);
		expect(failing(await verify({}, { now: NOW - 3601 }))).toBe('collateral collateral-early');
		expect(accepted(await verify({}, { now: NOW + 30 * 86_400 - 1 }))).toBe(true);
		expect(failing(await verify({}, { now: NOW + 30 * 86_400 }))).toBe('collateral crl-expired');
		const whole = { leaf: { until: time(NOW) } };
		expect(accepted(await verify(whole, { now: NOW + 0.9 }))).toBe(true);
		expect(failing(await verify(whole, { now: NOW + 1 }))).toBe('quote-signature chain: expired');
	});

	it('is never in date by a clock that is broken', async () => {
		expect(outcomes(await verify({}, { now: NaN }))).toEqual({
			'evidence-format': 'pass',
			collateral: 'fail',
			'quote-signature': 'fail'
		});
	});

	it('ends when the first thing that it rests on ends', async () => {
		const soon = NOW + 5;
		const text = new Date(soon * 1000).toISOString().replace('.000', '');
		for (const faults of [
			{ leaf: { until: time(soon) } },
			{ signer: { until: time(soon) } },
			{ root: { until: time(soon) } },
			{ pckList: { until: [time(soon)] } },
			{ rootList: { until: [time(soon)] } },
			{ tcbInfo: put('/nextUpdate', text) },
			{ qeIdentity: put('/nextUpdate', text) }
		] as Faults[]) {
			expect((await verify(faults)).expires).toBe(soon);
		}
	});

	it('with several faults reports every check', async () => {
		const result = await verify({
			pckList: { until: [time(NOW - 1)] },
			quoteSigner: keys.other,
			body: (b) => {
				flip(120)(b);
				b[2] = 0;
			}
		});
		expect(told(result)).toEqual([
			['evidence-format', 'pass', ''],
			['collateral', 'fail', 'crl-expired'],
			['quote-signature', 'fail', 'quote-forged'],
			['tcb-status', 'fail', 'tcb-unknown: TDX component 3 0 < 2'],
			['td-attributes', 'fail', 'debug']
		]);
	});

	it('keeps quiet about what could not be looked at', async () => {
		const { quote } = makeCase();
		for (const collateral of [null, undefined, 5, 'x', [], {}]) {
			const result = await verifyWith(quote, collateral);
			expect(outcomes(result)).toEqual({ 'evidence-format': 'pass', collateral: 'fail' });
		}
	});
});

describe('TCB levels', () => {
	const old = Array<number>(16).fill(0);
	it('are taken from the highest on, in whatever order they stand', async () => {
		const lower = (name: string) => pki.platformLevel(old, 0, old, name);
		const tooHigh = pki.platformLevel([5, ...old.slice(1)], 0, old, 'UpToDate');
		const good = pki.goodLevel('SWHardeningNeeded');
		const status = async (list: unknown[]) =>
			(await verify({ tcbInfo: put('/tcbLevels', list) })).tcb?.status;
		for (const list of [
			[tooHigh, good, lower('OutOfDate')],
			[lower('UpToDate'), good, tooHigh],
			[good, tooHigh, lower('UpToDate')]
		]) {
			expect(await status(list)).toBe('SWHardeningNeeded');
		}
		const revoked = put('/tcbLevels', [lower('UpToDate'), pki.goodLevel('Revoked')]);
		expect(failing(await verify({ tcbInfo: revoked }))).toBe('tcb-status tcb-revoked');
	});

	it('of modules and enclaves too', async () => {
		const levels = [pki.ownLevel(1), pki.ownLevel(4, 'Revoked')];
		for (const faults of [
			{ tcbInfo: put('/tdxModuleIdentities/0/tcbLevels', levels) },
			{ qeIdentity: put('/tcbLevels', levels) }
		]) {
			expect(failing(await verify(faults))).toBe('tcb-status tcb-revoked');
		}
	});

	it('that ask for the same are refused', async () => {
		const twice = put('/tcbLevels', [pki.goodLevel(), pki.goodLevel('Revoked')]);
		expect(failing(await verify({ tcbInfo: twice }))).toBe(
			'collateral collateral-malformed: two levels'
		);
	});

	describe('of a TD that runs on under an updated TDX module', () => {
		/** The SVNs after the update, as TEE_TCB_SVN2. */
		const updated = (...svns: number[]): Faults => ({
			later: true,
			body: (b) => void Buffer.from(svns).copy(b, 584)
		});
		const modules = (newer = 'UpToDate') =>
			put('/tdxModuleIdentities/0/tcbLevels', [
				pki.ownLevel(9, newer),
				pki.ownLevel(3, 'OutOfDate', ['INTEL-SA-00001'])
			]);

		it.each<[string, Faults, string]>([
			['the update reaches', updated(9, 1, 2), 'TDRelaunchAdvised'],
			['the update does not reach', updated(8, 1, 2), 'OutOfDate'],
			['a quote of TDX 1.0 does not tell', {}, 'OutOfDate']
		])('which %s', async (_name, faults, status) => {
			const { findings, tcb, evaluation } = await verify({ ...faults, tcbInfo: modules() });
			expect(tcb?.status).toBe(status);
			expect(tcb?.advisories).toEqual(['INTEL-SA-00001']);
			expect(findings['tcb-status']).toMatchObject({
				outcome: 'fail',
				code: status === 'OutOfDate' ? 'tcb-status' : 'tcb-relaunch'
			});
			expect(evaluation).toEqual({ fmspc: pki.FMSPC, tcbInfo: 17, qeIdentity: 17 });
		});

		it('says also what needs configuration', async () => {
			const tcbInfo = both(modules(), put('/tcbLevels/0/tcbStatus', 'ConfigurationNeeded'));
			const { tcb } = await verify({ ...updated(9, 1, 2), tcbInfo });
			expect(tcb?.status).toBe('TDRelaunchAdvisedConfigurationNeeded');
		});

		it('is out of date with the quoting enclave', async () => {
			const qeIdentity = put('/tcbLevels/0/tcbStatus', 'OutOfDate');
			const { tcb } = await verify({ ...updated(9, 1, 2), tcbInfo: modules(), qeIdentity });
			expect(tcb?.status).toBe('OutOfDate');
		});

		it('is no better than the module that runs now', async () => {
			const result = await verify({ ...updated(9, 1, 2), tcbInfo: modules('Revoked') });
			expect(failing(result)).toBe('tcb-status tcb-revoked');
			// What a newer edition says is remembered though nobody likes it.
			expect(result.evaluation?.tcbInfo).toBe(17);
		});

		it('passes where the policy says so', async () => {
			const policy = parsePolicy('{"v":1,"tcb":{"warn":["TDRelaunchAdvised"]}}');
			const { findings } = await verify({ ...updated(9, 1, 2), tcbInfo: modules() }, { policy });
			expect(findings['tcb-status']).toMatchObject({ outcome: 'warn', code: 'tcb-relaunch' });
		});
	});

	it('do not look at the first two TDX components of a module with a version', async () => {
		const high = both(
			put('/tcbLevels/0/tcb/tdxtcbcomponents/0/svn', 9),
			put('/tcbLevels/0/tcb/tdxtcbcomponents/1/svn', 9)
		);
		expect(accepted(await verify({ tcbInfo: high }))).toBe(true);
		const first = (b: Bytes) => void (b[1] = 0);
		expect(failing(await verify({ tcbInfo: high, body: first }))).toBe(
			'tcb-status tcb-unknown: TDX component 1 5 < 9, TDX component 2 0 < 9'
		);
		expect(accepted(await verify({ body: first }))).toBe(true);
	});

	it.each([
		['UpToDate', 'UpToDate', 'UpToDate', 'UpToDate'],
		['UpToDate', 'OutOfDate', 'UpToDate', 'OutOfDate'],
		['UpToDate', 'UpToDate', 'OutOfDate', 'OutOfDate'],
		['SWHardeningNeeded', 'UpToDate', 'UpToDate', 'SWHardeningNeeded'],
		['SWHardeningNeeded', 'OutOfDate', 'UpToDate', 'OutOfDate'],
		['ConfigurationNeeded', 'UpToDate', 'OutOfDate', 'OutOfDateConfigurationNeeded'],
		['ConfigurationNeeded', 'OutOfDate', 'OutOfDate', 'OutOfDateConfigurationNeeded'],
		[
			'ConfigurationAndSWHardeningNeeded',
			'UpToDate',
			'UpToDate',
			'ConfigurationAndSWHardeningNeeded'
		],
		['ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'UpToDate', 'OutOfDateConfigurationNeeded'],
		['OutOfDateConfigurationNeeded', 'UpToDate', 'UpToDate', 'OutOfDateConfigurationNeeded'],
		['OutOfDate', 'UpToDate', 'UpToDate', 'OutOfDate'],
		['Revoked', 'OutOfDate', 'UpToDate', undefined],
		['UpToDate', 'UpToDate', 'Revoked', undefined]
	])('%s, %s and %s together are %s', async (platform, module, enclave, expected) => {
		const { tcb } = await verify({
			tcbInfo: both(
				put('/tcbLevels', [pki.goodLevel(platform, ['INTEL-SA-1', 'INTEL-SA-2'])]),
				put('/tdxModuleIdentities/0/tcbLevels', [
					pki.ownLevel(9),
					pki.ownLevel(5, module, ['INTEL-SA-2', 'INTEL-SA-3'])
				])
			),
			qeIdentity: put('/tcbLevels', [pki.ownLevel(5), pki.ownLevel(4, enclave, ['INTEL-SA-4'])])
		});
		expect(tcb?.status).toBe(expected);
		const ids = expected && ['INTEL-SA-1', 'INTEL-SA-2', 'INTEL-SA-3', 'INTEL-SA-4'];
		expect(tcb?.advisories).toEqual(ids);
	});

	it('merge without regard to order, and never to something better', () => {
		const rank = [
			'UpToDate',
			'SWHardeningNeeded',
			'ConfigurationNeeded',
			'ConfigurationAndSWHardeningNeeded',
			'OutOfDate',
			'OutOfDateConfigurationNeeded',
			'Revoked'
		];
		const number = fc.constantFrom(0, 1, 2, 3, 4, 6, 8);
		const name = (status: number) => statusName(status);
		fc.assert(
			fc.property(number, number, (a, b) => {
				const merged = name(a | b);
				expect(name(b | a)).toBe(merged);
				expect(rank.indexOf(merged)).toBeGreaterThanOrEqual(
					Math.max(rank.indexOf(name(a)), rank.indexOf(name(b)))
				);
			})
		);
	});
});

describe('a policy', () => {
	const status = (name: string, ids: string[] = []): Faults => ({
		tcbInfo: put('/tcbLevels', [pki.goodLevel(name, ids)])
	});
	const outcome = async (faults: Faults, value: object = {}) => {
		const { 'tcb-status': tcb, 'td-attributes': td } = outcomes(
			await verify(faults, { policy: policy(value) })
		);
		return [tcb, td];
	};

	it('says which statuses pass and which warn', async () => {
		expect(await outcome(status('SWHardeningNeeded'))).toEqual(['warn', 'pass']);
		expect(await outcome(status('OutOfDate'))).toEqual(['fail', 'pass']);
		expect(await outcome(status('OutOfDate'), { tcb: { warn: ['OutOfDate'] } })).toEqual([
			'warn',
			'pass'
		]);
		expect(await outcome(status('OutOfDate'), { tcb: { pass: ['OutOfDate'] } })).toEqual([
			'pass',
			'pass'
		]);
		expect(await outcome(status('UpToDate'), { tcb: { pass: [] } })).toEqual(['fail', 'pass']);
	});

	it('never accepts what is revoked', async () => {
		const loose: Policy = { ...DEFAULT_POLICY, tcb: { pass: ['Revoked'], warn: ['Revoked'] } };
		expect(failing(await verify(status('Revoked'), { policy: loose }))).toBe(
			'tcb-status tcb-revoked'
		);
	});

	it('bounds advisories and dates', async () => {
		const noted = status('UpToDate', ['INTEL-SA-00837']);
		expect(await outcome(noted)).toEqual(['pass', 'pass']);
		expect(await outcome(noted, { tcb: { advisories: [] } })).toEqual(['fail', 'pass']);
		expect(await outcome(noted, { tcb: { advisories: ['INTEL-SA-00837'] } })).toEqual([
			'pass',
			'pass'
		]);
		expect(await outcome({}, { tcb: { min_date: '2027-01-15T07:00:00Z' } })).toEqual([
			'pass',
			'pass'
		]);
		expect(await outcome({}, { tcb: { min_date: '2027-01-15T07:00:01Z' } })).toEqual([
			'fail',
			'pass'
		]);
	});

	it('rules on the attributes, but for debug', async () => {
		const debug: Faults = { body: (b) => void (b[120] = 1) };
		const off: Faults = { body: (b) => void (b[123] = 0) };
		const pks: Faults = { body: flip(123, 0x40) };
		expect(await outcome(off, { td_attributes: { sept_ve_disable: 'allow' } })).toEqual([
			'pass',
			'pass'
		]);
		expect(await outcome(pks)).toEqual(['pass', 'pass']);
		expect(await outcome(pks, { td_attributes: { pks: 'forbid' } })).toEqual(['pass', 'fail']);
		expect(await outcome(debug, { td_attributes: { sept_ve_disable: 'allow' } })).toEqual([
			'pass',
			'fail'
		]);
		const service: Faults = { later: true, body: (b) => void b.fill(1, 600) };
		expect(
			await outcome(service, { reference_values: { mr_servicetd: ['01'.repeat(48)] } })
		).toEqual(['pass', 'pass']);
	});
});

// --- any input -------------------------------------------------------------------------------------

describe('any input', () => {
	const { quote, collateral } = makeCase({ later: true });
	const names = Object.keys(collateral) as (keyof typeof collateral)[];
	const needed = names.filter((name) => name !== 'pck_crl_issuer_chain_pem');

	/** Steps and uses of WebCrypto that a verification takes. */
	const measure = async (bytes: Uint8Array<ArrayBuffer>, given: unknown) => {
		let calls = 0;
		const counting = new Proxy(subtle, {
			get:
				(target, name) =>
				(...args: unknown[]) => {
					calls += 1;
					const method = Reflect.get(target, name) as (...given: unknown[]) => unknown;
					return method.apply(target, args);
				}
		});
		const before = work.steps;
		const result = await verifyWith(bytes, given, { subtle: counting });
		return { result, steps: work.steps - before, calls };
	};
	const sizeOf = (bytes: Uint8Array, given: object) => bytes.length + JSON.stringify(given).length;

	const check = async (bytes: Uint8Array<ArrayBuffer>, given: Record<string, unknown>) => {
		const { result, steps, calls } = await measure(bytes, given);
		expect(accepted(result)).toBe(false);
		expect(result.tcb).toBeUndefined();
		expect(steps).toBeLessThanOrEqual(sizeOf(bytes, given));
		expect(calls).toBeLessThanOrEqual(30);
	};

	it('that is random never throws, never passes, and costs no more than its size', async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.uint8Array({ maxLength: 6000 }),
				fc.constantFrom(...needed),
				fc.string({ maxLength: 500 }),
				async (bytes, name, text) => {
					await check(bytes, { ...collateral });
					await check(Buffer.concat([quote.subarray(0, 700), bytes]), { ...collateral });
					await check(quote, { ...collateral, [name]: text });
					await check(quote, { ...collateral, [name]: Buffer.from(bytes).toString('base64') });
				}
			),
			{ numRuns: 100 }
		);
	});

	it('that is any JSON as collateral never throws and never passes', async () => {
		await fc.assert(
			fc.asyncProperty(fc.jsonValue(), fc.constantFrom(...needed), async (value, name) => {
				expect(accepted(await verifyWith(quote, value))).toBe(false);
				expect(accepted(await verifyWith(quote, { ...collateral, [name]: value }))).toBe(false);
			}),
			{ numRuns: 100 }
		);
	});

	it('that is cut off anywhere never passes', async () => {
		for (let length = 0; length < quote.length; length += 7) {
			await check(quote.subarray(0, length), { ...collateral });
		}
		for (const name of needed) {
			const text = collateral[name];
			// the line break at the end of a PEM text may go
			const end = text.trimEnd().length;
			for (let length = 0; length < end; length += 1 + Math.floor(text.length / 60)) {
				await check(quote, { ...collateral, [name]: text.slice(0, length) });
			}
		}
	});

	it('with a byte changed never passes', async () => {
		const der = (name: 'root_crl_der_b64' | 'pck_crl_der_b64') =>
			Buffer.from(collateral[name], 'base64');
		for (const name of ['root_crl_der_b64', 'pck_crl_der_b64'] as const) {
			for (let at = 0; at < der(name).length; at += 1) {
				const changed = flipped(der(name), at).toString('base64');
				await check(quote, { ...collateral, [name]: changed });
			}
		}
		for (const name of ['tcb_info_json', 'qe_identity_json'] as const) {
			for (let at = 0; at < collateral[name].length; at += 5) {
				const text = collateral[name];
				const other = String.fromCharCode(text.charCodeAt(at) ^ 1);
				await check(quote, {
					...collateral,
					[name]: text.slice(0, at) + other + text.slice(at + 1)
				});
			}
		}
	});

	it('twice as long takes at most twice the steps', async () => {
		const revoked = (count: number): Faults => ({
			pckList: {
				revoked: Array.from({ length: count }, (_, at) => Buffer.of(9, at >> 8, at & 0xff))
			}
		});
		const levels = (count: number): Faults => ({
			tcbInfo: put('/tcbLevels', [
				...Array.from({ length: count }, (_, at) =>
					pki.platformLevel(Array<number>(16).fill(255), at, Array<number>(16).fill(1))
				),
				pki.goodLevel()
			])
		});
		const identities = (count: number): Faults => ({
			tcbInfo: (v) => {
				const list = read(v, '/tdxModuleIdentities') as object[];
				list.push(
					...Array.from({ length: count }, (_, at) => ({ ...must(list[0]), id: `other ${at}` }))
				);
			}
		});
		for (const grow of [revoked, levels, identities]) {
			const few = makeCase(grow(100));
			const many = makeCase(grow(200));
			const a = await measure(few.quote, few.collateral);
			const b = await measure(many.quote, many.collateral);
			expect(accepted(b.result)).toBe(true);
			expect(b.steps).toBeGreaterThan(a.steps);
			expect(b.steps).toBeLessThan(2 * a.steps);
			expect(b.calls).toBe(a.calls);
		}
	});
});

// --- real hardware ---------------------------------------------------------------------------------

describe('a quote of real hardware', () => {
	const sample = readSample('trustee_tdx_quote_v4.bin');
	/** Within the validity of its PCK certificate. */
	const now = Date.UTC(2024, 5, 1) / 1000;
	const ask = (bytes: Bytes) => verifyWith(bytes, {}, { now, rootKey: INTEL });

	it('has a root that is pinned by its public key', () => {
		// Intel SGX Root CA, x and y as they are published
		const x = '0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5';
		const y = '67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394';
		expect(Buffer.from(INTEL).toString('hex')).toBe(`04${x}${y}`);
	});

	// The samples lie beside the project, or the test is skipped.
	it.skipIf(!sample)(
		'has a chain to Intel, and breaks with any byte of its signed parts',
		async () => {
			const quote = must(sample);
			const { signed, chain } = parseQuote(quote);
			// Without collateral nothing can pass, but all that the quote itself shows is looked at.
			expect(failing(await ask(quote))).toMatch(/^collateral /);
			expect(outcomes(await ask(quote))['quote-signature']).toBeUndefined();
			const survives = async (at: number): Promise<number[]> => {
				const found = outcomes(await ask(flipped(quote, at)));
				const refused = found['evidence-format'] === 'fail' || found['quote-signature'] === 'fail';
				return refused ? [] : [at];
			};
			const start = quote.indexOf(chain.slice(0, 60), 0, 'latin1');
			const isBase64 = (at: number) =>
				/[A-Za-z\d+/]/.test(String.fromCharCode(quote.readUInt8(at)));
			const places = [
				...Array.from({ length: start }, (_, at) => at), // header, body, and up to the chain
				...Array.from({ length: chain.length }, (_, at) => start + at).filter(
					(at) => at % 5 === 0 && isBase64(at)
				)
			];
			const survived: number[] = [];
			for (let from = 0; from < places.length; from += 64) {
				const results = await Promise.all(places.slice(from, from + 64).map(survives));
				survived.push(...results.flat());
			}
			expect(survived).toEqual([]);
			expect(start).toBeGreaterThan(signed.length);
			expect(places.length).toBeGreaterThan(1900);
		}
	);
});
