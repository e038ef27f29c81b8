import { describe, expect, it } from 'vitest';
import { readList } from '../../src/dcap/collateral';
import type { Bytes } from '../support/bytes';
import { both, drop, put, read, type Json } from '../support/json';
import * as pki from '../support/pki';
import {
	extension,
	keys,
	makeList,
	listSpec,
	NOW,
	number,
	time,
	type Faults
} from '../support/pki';
import { problemOf } from '../support/problems';
import { accepted, failing, outcomes, policy, reasons, verify } from '../support/verification';

const date = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');

describe('a list', () => {
	const der = makeList(listSpec());
	const base64 = der.toString('base64');
	const pem = `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`;
	const again = (text: string) => Buffer.from(text).toString('base64');

	it.each([
		['base64', base64],
		['hex', der.toString('hex')],
		['hex in capitals', der.toString('hex').toUpperCase()],
		['PEM', pem],
		['PEM with white space around', `\r\n${pem} \t`],
		['PEM in base64', again(pem)],
		['hex in base64', again(der.toString('hex'))]
	])('in %s is read', (_name, text) => {
		expect(Buffer.from(readList(text)).equals(der)).toBe(true);
	});

	it.each([
		['base64 with a line break', `${base64}\n`],
		['hex with a line break', `${der.toString('hex')}\n`],
		['hex of an odd length', `${der.toString('hex')}0`],
		['two blocks of PEM', pem + pem],
		['PEM with text before it', `x${pem}`],
		['PEM with a no-break space', `\u00a0${pem}`],
		['PEM of a certificate', pem.replaceAll('X509 CRL', 'CERTIFICATE')],
		['PEM that does not end', pem.slice(0, -30)],
		['base64 in base64', again(base64)]
	])('in %s is not', (name, text) => {
		const found = problemOf(() => readList(text).length);
		// What is bytes and nothing else is no list, and that is seen when it is parsed.
		if (name === 'base64 in base64') expect(readList(text).length).toBe(base64.length);
		else expect(found?.code).toBe('internal');
	});

	it('passes in any of them, and what it says of itself is told', async () => {
		const result = await verify({
			rootList: { extensions: pki.listExtensions(number(300)) },
			collateral: (all) => {
				all.pck_crl_der_b64 = again(pem);
				const root = Buffer.from(all.root_crl_der_b64, 'base64');
				all.root_crl_der_b64 = root.toString('hex');
			}
		});
		expect(accepted(result)).toBe(true);
		expect(result.crlNumbers).toEqual({ root: '300', pck: '1' });
	});

	it.each([
		['below zero', pki.tlv(2, Buffer.of(0x80))],
		['of another type', pki.octets(Buffer.of(1))]
	])('with a number %s is refused', async (_name, value) => {
		const pckList = { extensions: pki.listExtensions(value) };
		expect(failing(await verify({ pckList }))).toBe('collateral crl-invalid: CRL number');
	});

	it('may have a number of 20 octets, and no more', async () => {
		const numbered = (octets: number[]) => ({
			pckList: { extensions: pki.listExtensions(pki.integer(Buffer.from(octets))) }
		});
		const largest = [0x7f, ...Array<number>(19).fill(0xff)];
		const { crlNumbers } = await verify(numbered(largest));
		expect(crlNumbers?.pck).toBe(String(2n ** 159n - 1n));
		const more = await verify(numbered([0x80, ...Array<number>(19).fill(0)]));
		expect(failing(more)).toBe('collateral crl-invalid: profile');
	});
});

describe('a document', () => {
	const indented = (name: string) => (text: string) => {
		const { [name]: inner, signature } = JSON.parse(text) as Json;
		return JSON.stringify({ signature, [name]: inner }, null, '\t').replaceAll('\n', '\r\n');
	};

	it('that was re-indented on its way passes, as the same one', async () => {
		const found = await verify({
			tcbInfoAnswer: indented('tcbInfo'),
			qeIdentityAnswer: indented('enclaveIdentity'),
			tcbInfo: put('/note', 'spaces  in "texts", \\ and \t stay')
		});
		expect(reasons(found)).toEqual({});
		expect(accepted(found)).toBe(true);
	});

	it('that was signed with white space passes as it is', async () => {
		const tcbInfoText = (text: string) => text.replace('"id":', '"id" :\n');
		expect(accepted(await verify({ tcbInfoText }))).toBe(true);
		// Without the white space it is another one.
		const tcbInfoAnswer = (text: string) => text.replace('"id" :\n', '"id":');
		expect(failing(await verify({ tcbInfoText, tcbInfoAnswer }))).toBe(
			'collateral tcb-info-forged'
		);
	});

	const nested = (depth: number) => put('/deep', JSON.parse('['.repeat(depth) + ']'.repeat(depth)));

	it('is read up to 32 levels', async () => {
		expect(accepted(await verify({ tcbInfo: nested(31) }))).toBe(true);
		expect(failing(await verify({ tcbInfo: nested(32) }))).toBe(
			'collateral collateral-malformed: depth'
		);
	});

	const numbered = (text: string) => (inner: string) => `{"extra":${text},${inner.slice(1)}`;
	const LARGEST = '9007199254740991';

	it.each(['0', LARGEST, '"1.5 1e3 -5"'])('with %s passes', async (text) => {
		expect(accepted(await verify({ tcbInfoText: numbered(text) }))).toBe(true);
	});

	it.each(['1.0', '1e2', '1E+2', '-0.5', '-0', '-5', '9007199254740992', '1e400'])(
		'with %s is refused',
		async (text) => {
			expect(failing(await verify({ tcbInfoText: numbered(text) }))).toBe(
				'collateral collateral-malformed: number'
			);
		}
	);

	const identity = (v: object) => read(v, '/tdxModuleIdentities/0') as object;
	it.each<[string, Faults]>([
		['without tcbType', { tcbInfo: drop('/tcbType') }],
		['of another tcbType', { tcbInfo: put('/tcbType', 1) }],
		['without an evaluation', { tcbInfo: drop('/tcbEvaluationDataNumber') }],
		['with an evaluation too large', { qeIdentity: put('/tcbEvaluationDataNumber', 2 ** 32) }],
		['without levels', { tcbInfo: drop('/tcbLevels') }],
		['with no level of a module', { tcbInfo: put('/tdxModuleIdentities/0/tcbLevels', []) }],
		['with no level of the enclave', { qeIdentity: put('/tcbLevels', []) }],
		['with no identity in their list', { tcbInfo: put('/tdxModuleIdentities', []) }],
		['with identities that are none', { tcbInfo: put('/tdxModuleIdentities', null) }],
		[
			'with two identities of one id',
			{
				tcbInfo: (v) => {
					put('/tdxModuleIdentities', [identity(v), { ...identity(v), id: 'tdx_01' }])(v);
				}
			}
		],
		[
			'with a status that no module has',
			{
				tcbInfo: put('/tdxModuleIdentities/0/tcbLevels', [
					pki.ownLevel(5),
					pki.ownLevel(3, 'SWHardeningNeeded')
				])
			}
		],
		[
			'with a status that no enclave has',
			{ qeIdentity: put('/tcbLevels', [pki.ownLevel(4), pki.ownLevel(3, 'ConfigurationNeeded')]) }
		],
		[
			'with a status that no platform has',
			{ tcbInfo: put('/tcbLevels/0/tcbStatus', 'TDRelaunchAdvised') }
		]
	])('%s is refused', async (_name, faults) => {
		expect(reasons(await verify(faults)).collateral).toBe('collateral-malformed');
	});
});

describe('collateral that has ended', () => {
	const grace = policy({ collateral: { grace: 3600 } });
	const ago = NOW - 60;
	const ENDED: [string, Faults][] = [
		['TCB info', { tcbInfo: put('/nextUpdate', date(ago)) }],
		['QE identity', { qeIdentity: put('/nextUpdate', date(ago)) }],
		['root CRL', { rootList: { until: [time(ago)] } }],
		['PCK CRL', { pckList: { until: [time(ago)] } }],
		['TCB info signer', { signer: { until: time(ago) } }]
	];

	it.each(ENDED)('%s, counts for the grace, never silently', async (what, faults) => {
		expect(accepted(await verify(faults))).toBe(false);
		const result = await verify(faults, { policy: grace });
		expect(accepted(result)).toBe(true);
		const { collateral } = result.findings;
		expect(collateral).toMatchObject({ outcome: 'warn', code: 'collateral-grace' });
		expect(collateral?.detail).toContain(`${date(ago + 3600)} (${what} ${date(ago)}`);
		expect(result.expires).toBe(ago + 3600);
		const last = ago + 3600 - (what.endsWith('CRL') ? 1 : 0);
		expect(accepted(await verify(faults, { policy: grace, now: last }))).toBe(true);
		expect(outcomes(await verify(faults, { policy: grace, now: last + 1 })).collateral).toBe(
			'fail'
		);
	});

	it('loosens nothing else', async () => {
		for (const [reason, faults] of [
			['collateral-early', { tcbInfo: put('/issueDate', date(NOW + 1)) }],
			['collateral-early', { pckList: { from: time(NOW + 1) } }],
			['signer-chain', { signer: { from: time(NOW + 1) } }],
			['crl-invalid', { rootList: { until: [time(ago)], signer: keys.other } }]
		] as [string, Faults][]) {
			expect(reasons(await verify(faults, { policy: grace })).collateral).toBe(reason);
		}
		const leaf = { until: time(ago) };
		expect(failing(await verify({ leaf }, { policy: grace }))).toBe(
			'quote-signature chain: expired'
		);
	});

	it('is not ended before it is: a good result ends with it', async () => {
		const tcbInfo = put('/nextUpdate', date(NOW + 5));
		const result = await verify({ tcbInfo }, { policy: grace });
		expect(reasons(result)).toEqual({});
		expect(result.expires).toBe(NOW + 5);
	});
});

describe('every certificate', () => {
	const roles = ['root', 'ca', 'leaf', 'signer'] as const;
	const reasonFor = { root: 'signer-chain', ca: 'chain', leaf: 'chain', signer: 'signer-chain' };
	const { KEY_ABOVE, KEY_INSIDE, LIST_AT } = pki;
	const profiles: [string, Bytes[]][] = [
		['without the id of the key above', [KEY_INSIDE, LIST_AT]],
		['without the id of its key', [KEY_ABOVE, LIST_AT]],
		['without a distribution point', [KEY_ABOVE, KEY_INSIDE]],
		['with a distribution point twice', [KEY_ABOVE, KEY_INSIDE, LIST_AT, LIST_AT]],
		['with an empty list of them', [KEY_ABOVE, KEY_INSIDE, extension('551d1f', pki.seq())]],
		[
			'with text in the place of one',
			[KEY_ABOVE, KEY_INSIDE, extension('551d1f', pki.seq(pki.octets(Buffer.of(1))))]
		],
		['with bytes that are no id', [KEY_ABOVE, LIST_AT, extension('551d0e', Buffer.of(1, 2))]],
		['with a number as id', [KEY_ABOVE, LIST_AT, extension('551d0e', number(1))]],
		['with a number as the id above', [KEY_INSIDE, LIST_AT, extension('551d23', number(1))]]
	];

	it.each(profiles)('%s is refused', async (_name, profile) => {
		for (const role of roles) {
			const all = reasons(await verify({ [role]: { profile } }));
			expect([role, Object.values(all)[0]]).toEqual([role, reasonFor[role]]);
		}
	});

	it('may have more of them, and of any bytes', async () => {
		const more = extension('2a0304', Buffer.of(0xff, 0xff));
		const profile = [...pki.profileExtensions(), more];
		for (const role of roles) {
			expect(accepted(await verify({ [role]: { profile } }))).toBe(true);
		}
	});

	it.each([
		['root', { subject: 'Test Root CA', issuer: 'Test Root CA' }],
		['ca', { subject: 'Test SGX PCK Platform' }],
		['leaf', { subject: 'Test Certificate' }],
		['signer', { subject: 'Test SGX TCB signing' }]
	] as const)('has the words of its role: %s', async (role, names) => {
		const all = reasons(await verify({ [role]: names }));
		expect(Object.values(all)[0]).toBe(reasonFor[role]);
	});
});

describe('the SGX extension', () => {
	const entry = (arc: string, value: Bytes) => pki.seq(pki.oid(pki.SGX + arc), value);
	const [instance, configuration] = pki.machine(0, 0, 0xff);
	const flags = (...values: number[]) => ({ platform: { machine: pki.machine(...values) } });

	it('tells what the machine is', async () => {
		expect((await verify()).platform).toBeNull();
		expect((await verify(flags(0xff, 0, 0xff))).platform).toEqual({
			dynamic_platform: true,
			cached_keys: false,
			smt: true
		});
	});

	it('need not repeat its components as CPUSVN', async () => {
		expect(accepted(await verify({ platform: { cpuSvn: Buffer.alloc(16, 0xff) } }))).toBe(true);
	});

	it('may be of any type that an octet holds', async () => {
		const type = pki.tlv(10, Buffer.of(0, 0xff));
		expect(accepted(await verify({ platform: { type } }))).toBe(true);
	});

	it.each<[string, Partial<pki.PlatformSpec>]>([
		['a CPUSVN of 15 octets', { cpuSvn: Buffer.alloc(15) }],
		['a type that is too large', { type: pki.tlv(10, Buffer.of(1, 0)) }],
		['a type below zero', { type: pki.tlv(10, Buffer.of(0xff)) }],
		['a type that is a number', { type: number(1) }],
		['one of the two entries of a machine', { machine: [instance ?? pki.seq()] }],
		['the other one', { machine: [configuration ?? pki.seq()] }],
		['an entry that nobody knows', { more: [entry('08', number(1))] }],
		['a flag too few', { machine: pki.machine(0, 0) }],
		['a flag too many', { machine: pki.machine(0, 0, 0, 0) }],
		[
			'a short instance id',
			{ machine: [entry('06', pki.octets(Buffer.alloc(15))), configuration ?? pki.seq()] }
		]
	])('with %s is refused', async (_name, platform) => {
		expect(reasons(await verify({ platform }))['quote-signature']).toBe('pck-malformed');
	});
});

describe('an enclave', () => {
	it('has no bits that the mask of its identity leaves out', async () => {
		const qeIdentity = both(
			put('/attributes', '13000000000000000000000000000000'),
			put('/attributesMask', 'FDFFFFFFFFFFFFFF0000000000000000')
		);
		expect(failing(await verify({ qeIdentity }))).toBe('quote-signature qe-unknown: ATTRIBUTES');
	});
});
