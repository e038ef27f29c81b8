import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckId } from '$lib/tee/checks';
import { parseDer, work } from '$lib/tee/dcap/der';
import { INTEL_ROOT_KEY } from '$lib/tee/dcap/root';
import { statusName } from '$lib/tee/dcap/tcb';
import { verifyQuote, type DcapResult } from '$lib/tee/dcap/verify';
import { parseCertificate, parsePem, parseRevocationList, parseTime, verifyChain } from '$lib/tee/dcap/x509';
import { fromBase64url } from '$lib/tee/encoding';
import { DEFAULT_POLICY, parsePolicy, type Policy } from '$lib/tee/policy';
import { Problem } from '$lib/tee/problem';
import { parseQuote } from '$lib/tee/quote';
import * as pki from './pki';
import { bitString, bool, extension, keys, makeWorld, NOW, number, oid, seq, time, tlv } from './pki';
import type { CertificateSpec, Faults, ListSpec } from './pki';

const file = (path: string) => new URL(path, import.meta.url);
const { subtle } = crypto;
const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');
const IDS: CheckId[] = ['evidence-format', 'collateral', 'quote-signature', 'tcb-status', 'td-attributes'];

interface Asked {
	policy?: Policy;
	now?: number;
	rootKey?: Uint8Array;
	subtle?: SubtleCrypto;
}

const verifyWith = (quote: Uint8Array, collateral: unknown, asked: Asked = {}): Promise<DcapResult> => {
	const { policy = DEFAULT_POLICY, now = NOW, rootKey = keys.root.point } = asked;
	return verifyQuote(asked.subtle ?? subtle, quote, collateral, { rootKey, now, policy });
};

const verify = (faults: Faults = {}, asked: Asked = {}) => {
	const { quote, collateral } = makeWorld(faults);
	return verifyWith(quote, collateral, asked);
};

/** `check: outcome detail` of every check that was reached, in order. */
const told = ({ findings }: DcapResult) =>
	IDS.flatMap((id) => findings[id] ?? []).map(({ id, outcome, detail }) => [id, outcome, detail ?? '']);

const outcomes = (result: DcapResult) => Object.fromEntries(told(result).map(([id, outcome]) => [id, outcome]));
const accepted = (result: DcapResult) => {
	const all = outcomes(result);
	return IDS.every((id) => all[id] === 'pass' || all[id] === 'warn');
};
/** The first failing check in the order of the contract, with the word of its detail. */
const failing = (result: DcapResult) => {
	const [first] = told(result).filter(([, outcome]) => outcome === 'fail');
	return first ? `${first[0]} ${first[2]}` : 'nothing';
};

const policy = (value: object) => parsePolicy(JSON.stringify({ v: 1, ...value }));

// --- DER -----------------------------------------------------------------------------------------

const derRefusal = (bytes: Uint8Array): string => {
	try {
		parseDer(bytes);
		return 'accepted';
	} catch (error) {
		expect(error).toBeInstanceOf(Problem);
		return (error as Problem).detail.replace('DER ', '');
	}
};

describe('DER', () => {
	it.each([
		['an empty SEQUENCE', '30 00'],
		['numbers 0, 127, 128, -1, -128, -129', '30 14 02 01 00 02 01 7f 02 02 00 80 02 01 ff 02 01 80 02 02 ff 7f'],
		['both truths', '30 06 01 01 00 01 01 ff'],
		['NULL', '05 00'],
		['an object identifier', '06 08 2a 86 48 ce 3d 04 03 02'],
		['an object identifier with a 0 in an arc', '06 03 55 81 00'],
		['bits', '03 02 04 f0'],
		['no bits', '03 01 00'],
		['a context tag with content', 'a0 03 02 01 02'],
		['a primitive context tag', '80 03 ff ff ff'],
		['a length of one byte more', `04 81 80 ${'00'.repeat(128)}`]
	])('of %s is read', (_name, text) => {
		const bytes = hex(text);
		expect(parseDer(bytes).whole.length).toBe(bytes.length);
	});

	it.each([
		['nothing', '', 'is cut off'],
		['a tag alone', '30', 'is cut off'],
		['an indefinite length', '30 80 02 01 01 00 00', 'length'],
		['an indefinite length of a string', '24 80 04 01 01 00 00', 'tag'],
		['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`, 'length'],
		['a short length in the long form', '04 81 01 00', 'length'],
		['a length of 127 in the long form', `04 81 7f ${'00'.repeat(127)}`, 'length'],
		['a length past the end', '04 02 00', 'is cut off'],
		['a child past its parent', '30 03 04 02 00 00', 'is cut off'],
		['a child that takes from the next', '30 08 30 02 04 01 00 04 00 00', 'is cut off'],
		['a length of 4 GiB', '04 84 ff ff ff ff 00', 'is cut off'],
		['a length of 5 bytes', '04 85 01 00 00 00 00 00', 'length'],
		['a length of 127 bytes', `04 ff ${'01'.repeat(127)}`, 'length'],
		['a cut off length', '04 82 01', 'length'],
		['a trailing byte', '30 00 00', 'trailing bytes'],
		['two elements', '30 00 30 00', 'trailing bytes'],
		['end-of-contents', '00 00', 'tag'],
		['a high tag', '1f 81 00 00', 'tag'],
		['a high context tag', 'bf 21 00', 'tag'],
		['an application tag', '41 00', 'tag'],
		['a private tag', 'c1 00', 'tag'],
		['a primitive SEQUENCE', '10 00', 'tag'],
		['a primitive SET', '11 00', 'tag'],
		['an octet string in pieces', '24 03 04 01 00', 'tag'],
		['bits in pieces', '23 04 03 02 00 00', 'tag'],
		['an empty number', '02 00', 'value'],
		['a number with a leading 00', '02 02 00 7f', 'value'],
		['a number with a leading ff', '02 02 ff 80', 'value'],
		['an enumerated with a leading 00', '0a 02 00 01', 'value'],
		['a truth of 1', '01 01 01', 'value'],
		['an empty truth', '01 00', 'value'],
		['a truth of two bytes', '01 02 ff ff', 'value'],
		['NULL with content', '05 01 00', 'value'],
		['an empty object identifier', '06 00', 'value'],
		['an object identifier that goes on', '06 02 55 81', 'value'],
		['an arc with a leading zero digit', '06 03 55 80 01', 'value'],
		['a first arc with a leading zero digit', '06 02 80 01', 'value'],
		['no unused-bits byte', '03 00', 'value'],
		['8 unused bits', '03 02 08 00', 'value'],
		['unused bits that are set', '03 02 04 f8', 'value'],
		['unused bits of nothing', '03 01 01', 'value']
	])('of %s is refused', (_name, text, why) => {
		expect(derRefusal(hex(text))).toBe(why);
	});

	it('may be 12 levels deep', () => {
		const nested = (levels: number) =>
			Array.from({ length: levels }).reduce<Buffer>((inner) => seq(inner), Buffer.of());
		expect(derRefusal(nested(12))).toBe('accepted');
		expect(derRefusal(nested(13))).toBe('depth');
	});

	it('never costs more steps than half the bytes, whatever they are', () => {
		const steps = (bytes: Uint8Array) => {
			const before = work.steps;
			derRefusal(bytes);
			return work.steps - before;
		};
		const nasty = fc.array(fc.constantFrom(0x30, 0x31, 0xa0, 0x02, 0x00, 0x01, 0x80, 0x7f, 0x84), { maxLength: 400 });
		fc.assert(
			fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), nasty.map((list) => Uint8Array.from(list))), (bytes) => {
				expect(steps(bytes)).toBeLessThanOrEqual(bytes.length / 2 + 1);
			}),
			{ numRuns: 2000 }
		);
		const many = (count: number) => pki.seq(...Array.from({ length: count }, () => hex('0500')));
		expect(steps(many(10_000))).toBe(10_001);
	});
});

// --- certificates ----------------------------------------------------------------------------------

describe('times', () => {
	it.each(['2027-01-15T08:00:00Z', '1970-01-01T00:00:00Z', '2028-02-29T23:59:59Z'])('%s is read', (text) => {
		expect(parseTime(text)).toBe(Date.parse(text) / 1000);
	});
	it.each([
		'2027-02-29T00:00:00Z', '2027-13-01T00:00:00Z', '2027-01-01T24:00:00Z', '2027-01-01T00:00:60Z',
		'2027-01-01T00:00:00', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00+00:00', '2027-01-01',
		'2027-1-1T00:00:00Z', ' 2027-01-01T00:00:00Z', '+002027-01-01T00:00:00Z', '', null, undefined, 5
	])('%s is refused', (value) => {
		expect(() => parseTime(value)).toThrow(Problem);
	});
});

describe('PEM', () => {
	const one = pki.pem(hex('3000'));
	it('of one and of several is read', () => {
		expect(parsePem(one)).toEqual([new Uint8Array([0x30, 0])]);
		expect(parsePem(` \n${one}${one.replace(/\n/g, '\r\n')}\n\0`)).toHaveLength(2);
		expect(parsePem('')).toEqual([]);
	});
	it.each([
		['text before', `x${one}`],
		['text after', `${one}x`],
		['text between', `${one}x${one}`],
		['NULs', `${one}\0\0`],
		['another label', one.replaceAll('CERTIFICATE', 'X509 CRL')],
		['no end', one.replace(/-----END.*/, '')],
		['two beginnings', one.replace('\n', '\n-----BEGIN CERTIFICATE-----\n')],
		['no padding', one.replace('MAA=', 'MAA')],
		['bits after the end', one.replace('MAA=', 'MAB=')],
		['the other alphabet', one.replace('MAA=', 'MA_=')],
		['a header', one.replace('\n', '\nProc-Type: 4,ENCRYPTED\n')],
		['nine', one.repeat(9)]
	])('with %s is refused', (_name, text) => {
		expect(() => parsePem(text)).toThrow(Problem);
	});
});

describe('certificates', () => {
	type Who = 'root' | 'ca' | 'leaf' | 'signer';
	const make = (who: Who, change: Partial<CertificateSpec> = {}) =>
		parseCertificate(pki.makeCertificate({ ...pki.specs()[who], ...change }));
	const refusal = (run: () => unknown) => {
		try {
			run();
			return 'accepted';
		} catch (error) {
			expect(error).toBeInstanceOf(Problem);
			return (error as Problem).detail;
		}
	};
	const plain = seq(oid(pki.ECDSA_SHA256));
	const sha384 = seq(oid('2a8648ce3d040303'));
	const rsa = seq(oid('2a864886f70d01010b'), tlv(5));
	const p384 = pki.makePair('P-384');

	/** Replace one child of a constructed element. */
	const again = (at: number, edit: (child: Uint8Array) => Uint8Array) => (bytes: Buffer) => {
		const { tag, children } = parseDer(bytes);
		return tlv(tag, ...children.map(({ whole }, place) => (place === at ? edit(whole) : whole)));
	};

	it('hold what they say', () => {
		const { serial, path, usage, until, key } = make('ca');
		expect([serial, path, usage, until]).toEqual(['008102', 0, 6, NOW + 365 * 86_400]);
		expect(Buffer.from(key)).toEqual(keys.ca.point);
		expect(make('leaf').path).toBeNaN();
	});

	it.each<[string, Partial<CertificateSpec>, string]>([
		['SHA-384 outside', { outer: sha384 }, 'algorithm'],
		['SHA-384 inside', { inner: sha384 }, 'algorithm'],
		['SHA-384 on both sides', { inner: sha384, outer: sha384 }, 'algorithm'],
		['RSA', { inner: rsa, outer: rsa }, 'algorithm'],
		['parameters', { inner: seq(...[oid(pki.ECDSA_SHA256), tlv(5)]), outer: plain }, 'algorithm'],
		['version 1', { version: Buffer.of() }, 'DER tag'],
		['version 2', { version: tlv(0xa0, number(1)) }, 'version'],
		['a key on P-384', { spki: seq(seq(oid('2a8648ce3d0201'), oid('2b81040022')), bitString(p384.point)) }, 'key'],
		['a P-384 point as P-256', { spki: seq(pki.P256_SPKI, bitString(p384.point)) }, 'key'],
		['an Ed25519 key', { spki: seq(seq(oid('2b6570')), bitString(Buffer.alloc(32))) }, 'key'],
		['a compressed key', { spki: seq(pki.P256_SPKI, bitString(Buffer.concat([Buffer.of(2), keys.leaf.point.subarray(1, 33)]))) }, 'key'],
		['a hybrid key', { spki: seq(pki.P256_SPKI, bitString(Buffer.concat([Buffer.of(6), keys.leaf.point.subarray(1)]))) }, 'key'],
		['an explicit curve', { spki: seq(seq(oid('2a8648ce3d0201'), seq(number(1))), bitString(keys.leaf.point)) }, 'key'],
		['more in the key', { spki: seq(pki.P256_SPKI, bitString(keys.leaf.point), tlv(5)) }, 'DER has more'],
		['an unknown critical extension', { extensions: [extension('550304', tlv(5), true)] }, 'critical extension'],
		['critical name constraints', { extensions: [extension('551d1e', seq(), true)] }, 'critical extension'],
		['an extension twice', { extensions: [extension('551d0f', bitString(Buffer.of(6)), true)] }, 'extension'],
		['a critical that spells out FALSE', { extensions: [seq(oid('550304'), bool(0), pki.octets(tlv(5)))] }, 'extension'],
		['a CA that spells out FALSE', { constraints: seq(bool(0)) }, 'basicConstraints'],
		['a path length without a CA', { constraints: seq(number(0)) }, 'basicConstraints'],
		['a negative path length', { constraints: seq(bool(0xff), tlv(2, Buffer.of(0xff))) }, 'DER value'],
		['a huge path length', { constraints: seq(bool(0xff), tlv(2, Buffer.alloc(40, 1))) }, 'DER value'],
		['more in basicConstraints', { constraints: seq(bool(0xff), number(0), number(0)) }, 'DER has more'],
		['GeneralizedTime before 2050', { until: time(NOW + 10, 0x18) }, 'time'],
		['a date that is none', { from: tlv(0x17, Buffer.from('270230000000Z')) }, 'time'],
		['a time with an offset', { from: tlv(0x17, Buffer.from('270101000000+0000')) }, 'time'],
		['a time without seconds', { from: tlv(0x17, Buffer.from('2701010000Z')) }, 'time'],
		['a time of another type', { from: tlv(4, Buffer.from('270101000000Z')) }, 'DER tag'],
		['more in the signature', { whole: again(2, (sig) => bitString(seq(parseDer(sig.subarray(3)).content, number(1)))) }, 'DER has more'],
		['unused bits in the signature', { whole: again(2, (sig) => bitString(Buffer.concat([sig.subarray(3, -1), Buffer.of(0)]), 1)) }, 'DER value'],
		['more after the signature', { whole: (bytes) => seq(parseDer(bytes).content, tlv(5)) }, 'DER has more'],
		['a SET in place of a SEQUENCE', { whole: (bytes) => tlv(0x31, parseDer(bytes).content) }, 'DER tag'],
		['more in an extension', { extensions: [seq(oid('550304'), pki.octets(tlv(5)), tlv(5))] }, 'DER has more'],
		['more in the extensions', { tbs: again(7, (list) => tlv(0xa3, parseDer(list).content, tlv(5))) }, 'DER has more'],
		['a third time', { until: Buffer.concat([time(NOW), time(NOW)]) }, 'DER has more'],
		['a unique id', { tbs: (tbs) => seq(parseDer(tbs).content, tlv(0x81, Buffer.of(0, 1))) }, 'DER has more'],
		['a byte after it', { whole: (bytes) => Buffer.concat([bytes, Buffer.of(0)]) }, 'DER trailing bytes'],
		['a signature in BER', { whole: (bytes) => Buffer.concat([Buffer.of(0x30, 0x83, 0), bytes.subarray(2)]) }, 'DER length']
	])('with %s are refused', (_name, change, why) => {
		expect(refusal(() => make('leaf', change))).toBe(why);
	});

	it.each<[string, (raw: Buffer) => Buffer]>([
		['r of 0', (raw) => Buffer.concat([Buffer.alloc(32), raw.subarray(32)])],
		['s of 0', (raw) => Buffer.concat([raw.subarray(0, 32), Buffer.alloc(32)])],
		['r of the order', (raw) => Buffer.concat([hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'), raw.subarray(32)])],
		['s of all ones', (raw) => Buffer.concat([raw.subarray(0, 32), Buffer.alloc(32, 0xff)])],
		['s of 33 bytes', (raw) => Buffer.concat([raw.subarray(0, 32), Buffer.alloc(33, 1)])]
	])('with %s in the signature are refused', (_name, signature) => {
		expect(refusal(() => make('leaf', { signature }))).toBe('signature');
	});

	it('may have a GeneralizedTime from 2050 on', () => {
		const until = Date.UTC(2050, 0, 1) / 1000;
		expect(make('root', { until: time(until) }).until).toBe(until);
		expect(make('root', { until: time(until - 1) }).until).toBe(until - 1);
	});

	const chainOf = (changes: Partial<Record<Who, Partial<CertificateSpec>>>) =>
		(['leaf', 'ca', 'root'] as const).map((who) => make(who, changes[who]));
	const path = async (
		changes: Partial<Record<Who, Partial<CertificateSpec>>>,
		{ rootKey = keys.root.point, now = NOW } = {}
	) => {
		try {
			await verifyChain(subtle, chainOf(changes), rootKey, now);
			return 'accepted';
		} catch (error) {
			return (error as Problem).detail;
		}
	};
	const day = 86_400;

	it.each<[string, Parameters<typeof path>[0], Parameters<typeof path>[1], string]>([
		['that is good', {}, {}, 'accepted'],
		['without a path length', { root: { constraints: pki.ca() }, ca: { constraints: pki.ca() } }, {}, 'accepted'],
		['whose leaf says nothing', { leaf: { constraints: undefined, usage: undefined } }, {}, 'accepted'],
		['in its first second', {}, { now: NOW - day }, 'accepted'],
		['in its last second', {}, { now: NOW + 365 * day }, 'accepted'],
		['a second early', {}, { now: NOW - day - 1 }, 'not valid yet'],
		['a second late', {}, { now: NOW + 365 * day + 1 }, 'expired'],
		['with an expired root', { root: { until: time(NOW - 1) } }, {}, 'expired'],
		['with an expired CA', { ca: { until: time(NOW - 1) } }, {}, 'expired'],
		['to another root', {}, { rootKey: keys.other.point }, 'another root'],
		['to a root of the same name', { root: { holder: keys.other, spki: seq(pki.P256_SPKI, bitString(keys.other.point)), signer: keys.other } }, {}, 'another root'],
		['with a root that another one signed', { root: { signer: keys.other } }, {}, 'signature'],
		['with a leaf of another signer', { leaf: { signer: keys.other } }, {}, 'signature'],
		['with a CA of another signer', { ca: { signer: keys.other } }, {}, 'signature'],
		['with another issuer', { leaf: { issuer: 'platform CA' } }, {}, 'issuer'],
		['with a CA that is none', { ca: { constraints: seq() } }, {}, 'basicConstraints'],
		['with a CA that does not say so', { ca: { constraints: undefined } }, {}, 'basicConstraints'],
		['with a leaf that is a CA', { leaf: { constraints: pki.ca() } }, {}, 'basicConstraints'],
		['with a root for no CA below', { root: { constraints: pki.ca(0) } }, {}, 'basicConstraints'],
		['with a CA that signs no certificates', { ca: { usage: 0x02 } }, {}, 'keyUsage'],
		['with a CA without keyUsage', { ca: { usage: undefined } }, {}, 'keyUsage'],
		['with a root that signs no certificates', { root: { usage: 0x80 } }, {}, 'keyUsage'],
		['with a leaf that signs nothing', { leaf: { usage: 0x20 } }, {}, 'keyUsage']
	])('in a chain %s', async (_name, changes, asked, expected) => {
		expect(await path(changes, asked)).toBe(expected);
	});

	it('in no chain, or one without an end, are refused', async () => {
		const root = make('root');
		await expect(verifyChain(subtle, [], keys.root.point, NOW)).rejects.toThrow(Problem);
		await expect(verifyChain(subtle, Array(9).fill(root), keys.root.point, NOW)).rejects.toThrow(Problem);
	});

	it('are refused with any byte changed', async () => {
		const bytes = pki.makeCertificate(pki.specs().ca);
		const root = make('root');
		const results = await Promise.all(
			Array.from(bytes, async (_, at) => {
				const changed = Buffer.from(bytes);
				changed[at] ^= 1;
				try {
					await verifyChain(subtle, [parseCertificate(changed), root], keys.root.point, NOW);
					return at;
				} catch {
					return -1;
				}
			})
		);
		expect(results.filter((at) => at >= 0)).toEqual([]);
	});
});

describe('revocation lists', () => {
	const more = (bytes: Uint8Array) => seq(parseDer(bytes).content, tlv(5));
	const refusal = (change: Partial<ListSpec>) => {
		try {
			return parseRevocationList(pki.makeList({ ...pki.listSpec(), ...change })).revoked.size;
		} catch (error) {
			expect(error).toBeInstanceOf(Problem);
			return (error as Problem).detail;
		}
	};
	const entry = (...items: Uint8Array[]) => seq(number(9), time(NOW), ...items);
	/** The list's entries, or its extensions, replaced. */
	const inside = (at: number, ...items: Uint8Array[]) => ({
		revoked: [Buffer.of(9)],
		tbs: (bytes: Buffer) => {
			const { children } = parseDer(bytes);
			return seq(...children.slice(0, at).map(({ whole }) => whole), ...items);
		}
	});

	it('hold what they say', () => {
		const serials = Array.from({ length: 1500 }, (_, at) => Buffer.of(9, at >> 8, at & 0xff));
		expect(refusal({})).toBe(0);
		expect(refusal({ revoked: serials })).toBe(1500);
		expect(refusal(inside(5, seq(entry())))).toBe(1);
		expect(refusal(inside(5, seq(entry(seq(extension('551d15', tlv(10, Buffer.of(1))))))))).toBe(1);
	});

	it.each<[string, Partial<ListSpec>, string]>([
		['version 3', { version: [number(2)] }, 'version'],
		['another algorithm inside', { inner: seq(oid('2a8648ce3d040303')) }, 'algorithm'],
		['an entry without a date', inside(5, seq(seq(number(9)))), 'DER tag'],
		['an entry in another form', inside(5, seq(tlv(0x31, number(9), time(NOW)))), 'DER tag'],
		['more in an entry', inside(5, seq(entry(seq(), tlv(5)))), 'DER has more'],
		['more in the extensions', inside(5, seq(entry()), tlv(0xa0, seq(), tlv(5))), 'DER has more'],
		['more after the extensions', { tbs: more }, 'DER has more'],
		['more after the signature', { whole: more }, 'DER has more']
	])('with %s are refused', (_name, change, why) => {
		expect(refusal(change)).toBe(why);
	});
});

// --- the numbered steps ----------------------------------------------------------------------------

describe('a quote', () => {
	it.each<[string, Faults]>([
		['v4', {}],
		['v5', { version: 5 }],
		['v5 of TDX 1.5', { later: true }],
		['without authentication data', { authData: Buffer.of() }],
		['with 60,000 bytes of authentication data', { authData: Buffer.alloc(60_000) }]
	])('%s that is good passes every check', async (_name, faults) => {
		const result = await verify(faults);
		expect(told(result)).toEqual(IDS.map((id) => [id, 'pass', id === 'tcb-status' ? 'UpToDate' : '']));
		expect(result.tcb).toMatchObject({ status: 'UpToDate', advisories: [] });
		expect(result.expires).toBe(NOW + 30 * 86_400);
	});

	it('of the simulator passes under its root', async () => {
		const vectors = JSON.parse(readFileSync(file('../vectors/quotes.json'), 'utf8'));
		const { collateral: given, now } = vectors;
		const base64 = (name: string) => hex(given[name]).toString('base64');
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
		for (const { quote } of vectors.valid) {
			expect(accepted(await verifyWith(hex(quote), collateral, { now, rootKey: root.key }))).toBe(true);
			const intel = await verifyWith(hex(quote), collateral, { now, rootKey: fromBase64url(INTEL_ROOT_KEY) });
			expect(failing(intel)).toBe('collateral signer-chain: another root');
			expect(intel.tcb).toBeUndefined();
		}
	});

	const crl = (list: 'rootList' | 'pckList', change: Partial<ListSpec>): Faults => ({ [list]: change });
	const flip = (at: number) => (bytes: Buffer) => void (bytes[at] ^= 1);
	const p384 = pki.makePair('P-384');

	it.each<[string, Faults, string]>([
		// 1
		['of SGX', { header: (b) => void b.writeUInt32LE(0, 4) }, 'evidence-format quote-malformed: tee_type'],
		['of another vendor', { header: flip(12) }, 'evidence-format quote-malformed: vendor_id'],
		['of another key type', { header: flip(2) }, 'evidence-format quote-malformed: att_key_type'],
		['with a byte after it', { quote: (q) => Buffer.concat([q, Buffer.of(0)]) }, 'evidence-format quote-malformed: trailing bytes'],
		['that is too long', { quote: () => Buffer.alloc(70_000) }, 'evidence-format quote-malformed: size'],
		// 2
		['without a chain', { chain: () => '' }, 'quote-signature chain: length'],
		['without the root', { chain: ([a, b]) => pki.pem(a, b) }, 'quote-signature chain: length'],
		['with a chain the other way round', { chain: (all) => pki.pem(...all.reverse()) }, 'quote-signature chain: profile'],
		['with a certificate twice', { chain: ([a, b, c]) => pki.pem(a, b, b, c) }, 'quote-signature chain: length'],
		['with a forged PCK certificate', { leaf: { signer: keys.other } }, 'quote-signature chain: signature'],
		['with a forged CA', { ca: { signer: keys.other } }, 'quote-signature chain: signature'],
		['with an expired PCK certificate', { leaf: { until: time(NOW - 1) } }, 'quote-signature chain: expired'],
		['with a PCK certificate of tomorrow', { leaf: { from: time(NOW + 1) } }, 'quote-signature chain: not valid yet'],
		['with a CA that is none', { ca: { constraints: seq() } }, 'quote-signature chain: basicConstraints'],
		['with a CA that signs no lists', { ca: { usage: 0x04 } }, 'quote-signature chain: profile'],
		['with a PCK certificate that does not say what it is', { leaf: { constraints: undefined } }, 'quote-signature chain: profile'],
		['with a PCK certificate without keyUsage', { leaf: { usage: undefined } }, 'quote-signature chain: profile'],
		['with a PCK key on another curve', { leaf: { holder: p384, spki: seq(seq(oid('2a8648ce3d0201'), oid('2b81040022')), bitString(p384.point)) } }, 'quote-signature chain: key'],
		['without the SGX extension', { leaf: { extensions: [] } }, 'quote-signature chain: DER is cut off'],
		['with an FMSPC of 5 bytes', { platform: { fmspc: Buffer.alloc(5) } }, 'quote-signature pck-malformed: SGX extension 04'],
		['with a component too large', { platform: { components: Array(16).fill(0x100) } }, 'quote-signature chain: DER value'],
		['with 15 components', { platform: { components: Array(15).fill(1) } }, 'quote-signature pck-malformed: SGX extension 10'],
		['with an FMSPC twice', { platform: { more: [seq(oid(`${pki.SGX}04`), pki.octets(Buffer.alloc(6)))] } }, 'quote-signature pck-malformed: SGX extension'],
		['with a foreign entry in the SGX extension', { platform: { more: [seq(oid('550304'), tlv(5))] } }, 'quote-signature pck-malformed: SGX extension'],
		// 3
		['without a root list', { collateral: (c) => void (c.root_crl_der_b64 = '') }, 'collateral crl-invalid: DER is cut off'],
		['with no root list at all', { collateral: (c) => void delete c.root_crl_der_b64 }, 'collateral collateral-malformed: root_crl_der_b64'],
		['with no issuer of the PCK list', { collateral: (c) => void delete c.pck_crl_issuer_chain_pem }, 'collateral collateral-malformed: pck_crl_issuer_chain_pem'],
		['with a list in base64 with a line break', { collateral: (c) => void (c.pck_crl_der_b64 += '\n') }, 'collateral crl-invalid: base64'],
		['with the lists swapped', { collateral: (c) => void ([c.root_crl_der_b64, c.pck_crl_der_b64] = [c.pck_crl_der_b64, c.root_crl_der_b64]) }, 'collateral crl-invalid: issuer'],
		['with a forged root list', crl('rootList', { signer: keys.other }), 'collateral crl-invalid: signature'],
		['with a forged PCK list', crl('pckList', { signer: keys.other }), 'collateral crl-invalid: signature'],
		['with a PCK list that the root signed', crl('pckList', { signer: keys.root }), 'collateral crl-invalid: signature'],
		['with an ended root list', crl('rootList', { until: [time(NOW - 1)] }), 'collateral crl-expired'],
		['with a PCK list that just ends', crl('pckList', { until: [time(NOW)] }), 'collateral crl-expired'],
		['with a PCK list of tomorrow', crl('pckList', { from: time(NOW + 1) }), 'collateral collateral-early'],
		['with a list without an end', crl('pckList', { until: [] }), 'collateral crl-invalid: DER tag'],
		['with a list of version 1', crl('pckList', { version: [] }), 'collateral crl-invalid: DER tag'],
		['with a list of changes', crl('pckList', { extensions: [extension('551d1b', number(1), true)] }), 'collateral crl-invalid: critical extension'],
		['with a list for a part', crl('pckList', { extensions: [extension('551d1c', seq(), true)] }), 'collateral crl-invalid: critical extension'],
		['with an entry of another issuer', crl('pckList', { revoked: [Buffer.of(9)], entryExtensions: [extension('551d1d', seq(), true)] }), 'collateral crl-invalid: critical extension'],
		['with a list of another algorithm', crl('pckList', { outer: seq(oid('2a8648ce3d040303')) }), 'collateral crl-invalid: algorithm'],
		['with a byte after a list', crl('pckList', { whole: (b) => Buffer.concat([b, Buffer.of(0)]) }), 'collateral crl-invalid: DER trailing bytes'],
		['with a revoked PCK certificate', crl('pckList', { revoked: [Buffer.of(1), Buffer.of(0x81, 3)] }), 'collateral revoked: 008103'],
		['with a revoked CA', crl('rootList', { revoked: [Buffer.of(0x81, 2)] }), 'collateral revoked: 008102'],
		['with a revoked signer', crl('rootList', { revoked: [Buffer.of(0x81, 4)] }), 'collateral revoked: 008104'],
		['with a revoked root of its own', { ...crl('rootList', { revoked: [Buffer.of(5)] }), chain: ([a, b]) => pki.pem(a, b, pki.makeCertificate({ ...pki.specs().root, serial: Buffer.of(5) })) }, 'collateral revoked: 05'],
		['with a revoked root', crl('rootList', { revoked: [Buffer.of(0x81, 1)] }), 'collateral revoked: 008101'],
		// 4
		['with TCB info that is none', { collateral: (c) => void (c.tcb_info_json = '{}') }, 'collateral collateral-malformed: tcbInfo'],
		['with TCB info that is no text', { collateral: (c) => void (c.tcb_info_json = 7) }, 'collateral collateral-malformed: tcbInfo'],
		['with TCB info changed', { tcbInfoAnswer: (t) => t.replace('UpToDate', 'UptoDate') }, 'collateral tcb-info-forged'],
		['with a space in TCB info', { tcbInfoAnswer: (t) => t.replace('"id":', '"id": ') }, 'collateral tcb-info-forged'],
		['with a bit of its signature changed', { tcbInfoAnswer: (t) => t.replace(/.(?="}$)/, (d) => (d === '0' ? '1' : '0')) }, 'collateral tcb-info-forged'],
		['with a short signature', { tcbInfoAnswer: (t) => t.replace(/..(?="}$)/, '') }, 'collateral collateral-malformed: tcbInfo'],
		['with TCB info that names a key twice', { tcbInfoText: (t) => t.replace('"id":"TDX"', '"id":"TDX","id":"TDX"') }, 'collateral collateral-malformed: two id'],
		['with a second TCB info after it', { tcbInfoAnswer: (t) => t.replace('},"signature"', '},"tcbInfo":{},"signature"') }, 'collateral collateral-malformed: JSON'],
		['with TCB info beside the signed one', { tcbInfoAnswer: (t) => t.replace('{"tcbInfo":', '{"tcbInfo":{},"tcbInfo":') }, 'collateral collateral-malformed: JSON'],
		['with TCB info of SGX', { tcbInfo: (v) => void (v.id = 'SGX') }, 'collateral other-platform: tcbInfo'],
		['with TCB info of version 2', { tcbInfo: (v) => void (v.version = 2) }, 'collateral other-platform: tcbInfo'],
		['with TCB info of version "3"', { tcbInfo: (v) => void (v.version = '3') }, 'collateral other-platform: tcbInfo'],
		['with TCB info of tomorrow', { tcbInfo: (v) => void (v.issueDate = '2027-01-15T08:00:01Z') }, 'collateral collateral-early'],
		['with TCB info of yesterday', { tcbInfo: (v) => void (v.nextUpdate = '2027-01-15T07:59:59Z') }, 'collateral collateral-expired'],
		['with a date in another form', { tcbInfo: (v) => void (v.nextUpdate = '2027-02-15T07:59:59+00:00') }, 'collateral collateral-malformed: time'],
		['with a level without a date', { tcbInfo: (v) => void delete v.tcbLevels[0].tcbDate }, 'collateral collateral-malformed: time'],
		['with 15 TDX components', { tcbInfo: (v) => void v.tcbLevels[0].tcb.tdxtcbcomponents.pop() }, 'collateral collateral-malformed: tdxtcbcomponents'],
		['with an SVN of 256', { tcbInfo: (v) => void (v.tcbLevels[0].tcb.sgxtcbcomponents[3].svn = 256) }, 'collateral collateral-malformed: svn'],
		['with an SVN in quotes', { tcbInfo: (v) => void (v.tcbLevels[0].tcb.pcesvn = '1') }, 'collateral collateral-malformed: pcesvn'],
		['with a status that is no text', { tcbInfo: (v) => void (v.tcbLevels[0].tcbStatus = 0) }, 'collateral collateral-malformed: tcbStatus'],
		['with an advisory that is no text', { tcbInfo: (v) => void (v.tcbLevels[0].advisoryIDs = [5]) }, 'collateral collateral-malformed: advisoryIDs'],
		['without a TDX module', { tcbInfo: (v) => void delete v.tdxModule }, 'collateral collateral-malformed: encoding'],
		['with a short MRSIGNER of the module', { tcbInfo: (v) => void (v.tdxModule.mrsigner = '00') }, 'collateral collateral-malformed: mrsigner'],
		['with a forged signer', { signer: { signer: keys.other } }, 'collateral signer-chain: signature'],
		['with an expired signer', { signer: { until: time(NOW - 1) } }, 'collateral signer-chain: expired'],
		['with a signer that is a CA', { signer: { constraints: pki.ca(), usage: 0x86 } }, 'collateral signer-chain: basicConstraints'],
		['with the PCK chain as the signer\'s', { collateral: (c) => void (c.tcb_info_issuer_chain_pem = pki.pem(...(['leaf', 'ca', 'root'] as const).map((w) => pki.makeCertificate(pki.specs()[w])))) }, 'collateral signer-chain: length'],
		['with a signer under the platform CA', { signer: { signer: keys.ca, issuer: 'Platform CA' } }, 'collateral signer-chain: issuer'],
		['with no chain of the signer', { collateral: (c) => void delete c.tcb_info_issuer_chain_pem }, 'collateral signer-chain: PEM'],
		// 5
		['with an identity of the SGX QE', { qeIdentity: (v) => void (v.id = 'QE') }, 'collateral other-platform: enclaveIdentity'],
		['with an identity of version 1', { qeIdentity: (v) => void (v.version = 1) }, 'collateral other-platform: enclaveIdentity'],
		['with an expired identity', { qeIdentity: (v) => void (v.nextUpdate = '2027-01-15T07:59:59Z') }, 'collateral collateral-expired'],
		['with an identity of tomorrow', { qeIdentity: (v) => void (v.issueDate = '2027-01-15T08:00:01Z') }, 'collateral collateral-early'],
		['with a forged identity', { qeIdentityAnswer: (t) => t.replace('"isvsvn":4', '"isvsvn":3') }, 'collateral qe-identity-forged'],
		['with TCB info as the identity', { collateral: (c) => void (c.qe_identity_json = c.tcb_info_json) }, 'collateral collateral-malformed: enclaveIdentity'],
		// 6, 7
		['with a QE report of another key', { qeSigner: keys.other }, 'quote-signature qe-report-forged'],
		['with an attestation key that is not the QE\'s', { qeReport: flip(320) }, 'quote-signature attestation-key'],
		['with something after the hash', { qeReport: flip(352) }, 'quote-signature attestation-key'],
		['with authentication data that is not bound', { quote: (q) => (flip(q.indexOf(Buffer.alloc(32, 9)))(q), q) }, 'quote-signature attestation-key'],
		// 8
		['of another enclave', { qeReport: flip(130) }, 'quote-signature qe-unknown: MRSIGNER'],
		['of another product', { qeReport: flip(256) }, 'quote-signature qe-unknown: ISVPRODID'],
		['of an enclave with MISCSELECT', { qeReport: flip(16) }, 'quote-signature qe-unknown: MISCSELECT'],
		['of an enclave with other attributes', { qeReport: flip(49) }, 'quote-signature qe-unknown: ATTRIBUTES'],
		['of a debug enclave', { qeReport: (b) => void (b[48] |= 2) }, 'quote-signature qe-debug'],
		['of a debug enclave that the mask hides', { qeReport: (b) => void (b[48] |= 2), qeIdentity: (v) => void (v.attributesMask = '00'.repeat(16)) }, 'quote-signature qe-debug'],
		['of an enclave older than all', { qeReport: (b) => void (b[258] = 3) }, 'tcb-status qe-old: ISVSVN'],
		// 9
		['of another attestation key', { quoteSigner: keys.other }, 'quote-signature quote-forged'],
		['with the user data changed', { quote: (q) => (flip(40)(q), q) }, 'quote-signature quote-forged'],
		['with report data changed', { quote: (q) => (flip(600)(q), q) }, 'quote-signature quote-forged'],
		// 10
		['of another platform', { platform: { fmspc: Buffer.alloc(6) } }, 'collateral other-platform'],
		['of another PCE', { platform: { pceId: Buffer.of(1, 0) } }, 'collateral other-platform'],
		['of a PCE that is too old', { platform: { pceSvn: 12 } }, 'tcb-status tcb-unknown'],
		['of a component that is too old', { platform: { components: [4, 4, 2, 2, 4, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0] } }, 'tcb-status tcb-unknown'],
		['of a TDX component that is too old', { body: (b) => void (b[2] = 1) }, 'tcb-status tcb-unknown'],
		['without any level', { tcbInfo: (v) => void (v.tcbLevels = []) }, 'tcb-status tcb-unknown'],
		// 11
		['of a module that nobody knows', { body: (b) => void (b[1] = 9) }, 'tcb-status tdx-module: TDX_09'],
		['of a module without identities', { tcbInfo: (v) => void delete v.tdxModuleIdentities }, 'tcb-status tdx-module: TDX_01'],
		['of a module that somebody signed', { body: flip(64) }, 'tcb-status tdx-module: MRSIGNERSEAM'],
		['of a module with attributes', { body: flip(112) }, 'tcb-status tdx-module: SEAMATTRIBUTES'],
		['of a module with attributes outside the mask', { body: flip(112), tcbInfo: (v) => void (v.tdxModuleIdentities[0].attributesMask = '00'.repeat(8)) }, 'tcb-status tdx-module: SEAMATTRIBUTES'],
		['of a module that is too old', { body: (b) => void (b[0] = 4) }, 'tcb-status tdx-module: ISVSVN'],
		// 12
		['of a revoked platform', { tcbInfo: (v) => void (v.tcbLevels = [pki.goodLevel('Revoked')]) }, 'tcb-status tcb-revoked'],
		['with a status that nobody knows', { tcbInfo: (v) => void (v.tcbLevels[0].tcbStatus = 'Fine') }, 'tcb-status tcb-unknown'],
		['of a module with a status that nobody knows', { tcbInfo: (v) => void (v.tdxModuleIdentities[0].tcbLevels[0].tcbStatus = 'constructor') }, 'tcb-status tcb-unknown'],
		['of an outdated platform', { tcbInfo: (v) => void (v.tcbLevels = [pki.goodLevel('OutOfDate')]) }, 'tcb-status OutOfDate'],
		['of a revoked enclave', { qeIdentity: (v) => void (v.tcbLevels = [pki.ownLevel(4, 'Revoked')]) }, 'tcb-status tcb-revoked'],
		['of a revoked module', { tcbInfo: (v) => void (v.tdxModuleIdentities[0].tcbLevels = [pki.ownLevel(5, 'Revoked')]) }, 'tcb-status tcb-revoked'],
		// 13
		['of a TD under debug', { body: (b) => void (b[120] |= 1) }, 'td-attributes debug'],
		['of a TD with a reserved attribute', { body: (b) => void (b[121] |= 1) }, 'td-attributes reserved'],
		['of a TD without SEPT_VE_DISABLE', { body: (b) => void (b[123] = 0) }, 'td-attributes sept-ve'],
		['of a TD without the XFAM it must have', { body: (b) => void (b[128] &= 0xfe) }, 'td-attributes xfam'],
		['of a TD with an XFAM that none has', { body: (b) => void (b[131] |= 0x80) }, 'td-attributes xfam'],
		['of a TD with a service TD', { later: true, body: (b) => void (b[600] = 1) }, 'td-attributes service-td']
	])('%s is refused', async (_name, faults, expected) => {
		const result = await verify(faults);
		expect(failing(result)).toBe(expected);
		// What rests on a step that failed has not passed.
		const [check] = expected.split(' ');
		const all = outcomes(result);
		if (check === 'evidence-format') expect([all['quote-signature'], all['tcb-status'], all['td-attributes']]).toEqual([undefined, undefined, undefined]);
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
			{ tcbInfo: (v: any) => void (v.nextUpdate = text) },
			{ qeIdentity: (v: any) => void (v.nextUpdate = text) }
		] as Faults[]) {
			expect((await verify(faults)).expires).toBe(soon);
		}
	});

	it('with several faults reports every check', async () => {
		const result = await verify({
			pckList: { until: [time(NOW - 1)] },
			quoteSigner: keys.other,
			body: (b) => void ((b[120] |= 1), (b[2] = 0))
		});
		expect(told(result)).toEqual([
			['evidence-format', 'pass', ''],
			['collateral', 'fail', 'crl-expired'],
			['quote-signature', 'fail', 'quote-forged'],
			['tcb-status', 'fail', 'tcb-unknown'],
			['td-attributes', 'fail', 'debug']
		]);
	});

	it('keeps quiet about what could not be looked at', async () => {
		const { quote } = makeWorld();
		for (const collateral of [null, undefined, 5, 'x', [], {}]) {
			const result = await verifyWith(quote, collateral);
			expect(outcomes(result)).toEqual({ 'evidence-format': 'pass', collateral: 'fail' });
		}
	});
});

describe('TCB levels', () => {
	const old = Array(16).fill(0);
	it('are taken in the order given: the first that is met', async () => {
		const levels = (...names: string[]) => names.map((name) => pki.goodLevel(name));
		const tooHigh = pki.platformLevel([5, ...old.slice(1)], 0, old, 'UpToDate');
		const status = async (list: unknown[]) =>
			(await verify({ tcbInfo: (v) => void (v.tcbLevels = list) })).tcb?.status;
		expect(await status([tooHigh, ...levels('SWHardeningNeeded', 'UpToDate')])).toBe('SWHardeningNeeded');
		expect(await status([pki.platformLevel(old, 0, old, 'OutOfDate'), ...levels('UpToDate')])).toBe('OutOfDate');
	});

	it('do not look at the first two TDX components of a module with a version', async () => {
		const high = (v: any) => {
			for (const at of [0, 1]) v.tcbLevels[0].tcb.tdxtcbcomponents[at].svn = 9;
		};
		expect(accepted(await verify({ tcbInfo: high }))).toBe(true);
		const first = (b: Buffer) => void (b[1] = 0);
		expect(failing(await verify({ tcbInfo: high, body: first }))).toBe('tcb-status tcb-unknown');
		expect(accepted(await verify({ body: first }))).toBe(true);
	});

	it('compare module attributes under the mask', async () => {
		const [attributes, attributesMask] = ['FF'.repeat(8), '00'.repeat(8)];
		const masked = (v: any) => Object.assign(v.tdxModuleIdentities[0], { attributes, attributesMask });
		expect(accepted(await verify({ tcbInfo: masked }))).toBe(true);
	});

	it.each([
		['UpToDate', 'UpToDate', 'UpToDate', 'UpToDate'],
		['UpToDate', 'OutOfDate', 'UpToDate', 'OutOfDate'],
		['UpToDate', 'UpToDate', 'OutOfDate', 'OutOfDate'],
		['SWHardeningNeeded', 'UpToDate', 'UpToDate', 'SWHardeningNeeded'],
		['SWHardeningNeeded', 'OutOfDate', 'UpToDate', 'OutOfDate'],
		['ConfigurationNeeded', 'UpToDate', 'OutOfDate', 'OutOfDateConfigurationNeeded'],
		['ConfigurationNeeded', 'OutOfDate', 'OutOfDate', 'OutOfDateConfigurationNeeded'],
		['ConfigurationAndSWHardeningNeeded', 'UpToDate', 'UpToDate', 'ConfigurationAndSWHardeningNeeded'],
		['ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'UpToDate', 'OutOfDateConfigurationNeeded'],
		['ConfigurationNeeded', 'SWHardeningNeeded', 'UpToDate', 'ConfigurationAndSWHardeningNeeded'],
		['OutOfDateConfigurationNeeded', 'UpToDate', 'UpToDate', 'OutOfDateConfigurationNeeded'],
		['OutOfDate', 'UpToDate', 'UpToDate', 'OutOfDate'],
		['Revoked', 'OutOfDate', 'UpToDate', undefined],
		['UpToDate', 'UpToDate', 'Revoked', undefined]
	])('%s, %s and %s together are %s', async (platform, module, enclave, expected) => {
		const { tcb } = await verify({
			tcbInfo: (v) => {
				v.tcbLevels = [pki.goodLevel(platform, ['INTEL-SA-1', 'INTEL-SA-2'])];
				v.tdxModuleIdentities[0].tcbLevels = [pki.ownLevel(9), pki.ownLevel(5, module, ['INTEL-SA-2', 'INTEL-SA-3'])];
			},
			qeIdentity: (v) => void (v.tcbLevels = [pki.ownLevel(5), pki.ownLevel(4, enclave, ['INTEL-SA-4'])])
		});
		expect(tcb?.status).toBe(expected);
		const ids = expected && ['INTEL-SA-1', 'INTEL-SA-2', 'INTEL-SA-3', 'INTEL-SA-4'];
		expect(tcb?.advisories).toEqual(ids);
	});

	it('merge without regard to order, and never to something better', () => {
		const rank = ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded', 'Revoked'];
		const number = fc.constantFrom(0, 1, 2, 3, 4, 6, 8);
		const name = (status: number) => statusName(status) as string;
		fc.assert(
			fc.property(number, number, (a, b) => {
				const merged = name(a | b);
				expect(name(b | a)).toBe(merged);
				expect(rank.indexOf(merged)).toBeGreaterThanOrEqual(Math.max(rank.indexOf(name(a)), rank.indexOf(name(b))));
			})
		);
	});
});

describe('a policy', () => {
	const status = (name: string, ids: string[] = []): Faults => ({
		tcbInfo: (v) => void (v.tcbLevels = [pki.goodLevel(name, ids)])
	});
	const outcome = async (faults: Faults, value: object = {}) => {
		const { 'tcb-status': tcb, 'td-attributes': td } = outcomes(await verify(faults, { policy: policy(value) }));
		return [tcb, td];
	};

	it('says which statuses pass and which warn', async () => {
		expect(await outcome(status('SWHardeningNeeded'))).toEqual(['warn', 'pass']);
		expect(await outcome(status('OutOfDate'))).toEqual(['fail', 'pass']);
		expect(await outcome(status('OutOfDate'), { tcb: { warn: ['OutOfDate'] } })).toEqual(['warn', 'pass']);
		expect(await outcome(status('OutOfDate'), { tcb: { pass: ['OutOfDate'] } })).toEqual(['pass', 'pass']);
		expect(await outcome(status('UpToDate'), { tcb: { pass: [] } })).toEqual(['fail', 'pass']);
	});

	it('never accepts what is revoked', async () => {
		const loose: Policy = { ...DEFAULT_POLICY, tcb: { pass: ['Revoked'], warn: ['Revoked'] } };
		expect(failing(await verify(status('Revoked'), { policy: loose }))).toBe('tcb-status tcb-revoked');
	});

	it('bounds advisories and dates', async () => {
		const noted = status('UpToDate', ['INTEL-SA-00837']);
		expect(await outcome(noted)).toEqual(['pass', 'pass']);
		expect(await outcome(noted, { tcb: { advisories: [] } })).toEqual(['fail', 'pass']);
		expect(await outcome(noted, { tcb: { advisories: ['INTEL-SA-00837'] } })).toEqual(['pass', 'pass']);
		expect(await outcome({}, { tcb: { min_date: '2027-01-15T07:00:00Z' } })).toEqual(['pass', 'pass']);
		expect(await outcome({}, { tcb: { min_date: '2027-01-15T07:00:01Z' } })).toEqual(['fail', 'pass']);
	});

	it('rules on the attributes, but for debug', async () => {
		const debug: Faults = { body: (b) => void (b[120] = 1) };
		const off: Faults = { body: (b) => void (b[123] = 0) };
		const pks: Faults = { body: (b) => void (b[123] |= 0x40) };
		expect(await outcome(off, { td_attributes: { sept_ve_disable: 'allow' } })).toEqual(['pass', 'pass']);
		expect(await outcome(pks)).toEqual(['pass', 'pass']);
		expect(await outcome(pks, { td_attributes: { pks: 'forbid' } })).toEqual(['pass', 'fail']);
		expect(await outcome(debug, { td_attributes: { sept_ve_disable: 'allow' } })).toEqual(['pass', 'fail']);
		const service: Faults = { later: true, body: (b) => void b.fill(1, 600) };
		expect(await outcome(service, { reference_values: { mr_servicetd: ['01'.repeat(48)] } })).toEqual(['pass', 'pass']);
	});
});

// --- any input -------------------------------------------------------------------------------------

describe('any input', () => {
	const world = makeWorld({ later: true });
	const { quote, collateral } = world;
	const names = Object.keys(collateral) as Array<keyof typeof collateral>;
	const needed = names.filter((name) => name !== 'pck_crl_issuer_chain_pem');

	/** Steps and uses of WebCrypto that a verification takes. */
	const measure = async (bytes: Uint8Array, given: unknown) => {
		let calls = 0;
		const counting = {
			importKey: (...args: Parameters<SubtleCrypto['importKey']>) => (calls++, subtle.importKey(...args)),
			verify: (...args: Parameters<SubtleCrypto['verify']>) => (calls++, subtle.verify(...args)),
			digest: (...args: Parameters<SubtleCrypto['digest']>) => (calls++, subtle.digest(...args))
		} as unknown as SubtleCrypto;
		const before = work.steps;
		const result = await verifyWith(bytes, given, { subtle: counting });
		return { result, steps: work.steps - before, calls };
	};
	const sizeOf = (bytes: Uint8Array, given: object) => bytes.length + JSON.stringify(given).length;

	const check = async (bytes: Uint8Array, given: Record<string, unknown>) => {
		const { result, steps, calls } = await measure(bytes, given);
		expect(accepted(result)).toBe(false);
		expect(result.tcb).toBeUndefined();
		expect(steps).toBeLessThanOrEqual(sizeOf(bytes, given));
		expect(calls).toBeLessThanOrEqual(30);
	};

	it('that is random never throws, never passes, and costs no more than its size', async () => {
		await fc.assert(
			fc.asyncProperty(fc.uint8Array({ maxLength: 6000 }), fc.constantFrom(...needed), fc.string({ maxLength: 500 }), async (bytes, name, text) => {
				await check(bytes, { ...collateral });
				await check(Buffer.concat([quote.subarray(0, 700), bytes]), { ...collateral });
				await check(quote, { ...collateral, [name]: text });
				await check(quote, { ...collateral, [name]: Buffer.from(bytes).toString('base64') });
			}),
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
		const der = (name: 'root_crl_der_b64' | 'pck_crl_der_b64') => Buffer.from(collateral[name], 'base64');
		for (const name of ['root_crl_der_b64', 'pck_crl_der_b64'] as const) {
			for (let at = 0; at < der(name).length; at++) {
				const changed = der(name);
				changed[at] ^= 1;
				await check(quote, { ...collateral, [name]: changed.toString('base64') });
			}
		}
		for (const name of ['tcb_info_json', 'qe_identity_json'] as const) {
			for (let at = 0; at < collateral[name].length; at += 5) {
				const text = collateral[name];
				const other = String.fromCharCode(text.charCodeAt(at) ^ 1);
				await check(quote, { ...collateral, [name]: text.slice(0, at) + other + text.slice(at + 1) });
			}
		}
	});

	it('twice as long takes at most twice the steps', async () => {
		const revoked = (count: number): Faults => ({
			pckList: { revoked: Array.from({ length: count }, (_, at) => Buffer.of(9, at >> 8, at & 0xff)) }
		});
		const levels = (count: number): Faults => ({
			tcbInfo: (v) => void (v.tcbLevels = [...Array(count).fill(pki.platformLevel(Array(16).fill(255), 1, Array(16).fill(1))), pki.goodLevel()])
		});
		const identities = (count: number): Faults => ({
			tcbInfo: (v) => v.tdxModuleIdentities.push(...Array(count).fill(v.tdxModuleIdentities[0]))
		});
		for (const grow of [revoked, levels, identities]) {
			const [few, many] = [100, 200].map((count) => makeWorld(grow(count)));
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
	const sample = file('../../../shared/data/trustee_tdx_quote_v4.bin');
	const present = existsSync(sample);
	/** Within the validity of its PCK certificate. */
	const now = Date.UTC(2024, 5, 1) / 1000;
	const rootKey = fromBase64url(INTEL_ROOT_KEY);
	const ask = (bytes: Uint8Array) => verifyWith(bytes, {}, { now, rootKey });

	it('has a root that is pinned by its public key', () => {
		// Intel SGX Root CA, x and y as they are published
		const x = '0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5';
		const y = '67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394';
		expect(Buffer.from(rootKey).toString('hex')).toBe(`04${x}${y}`);
	});

	it('has a chain to Intel, and breaks with any byte of its signed parts', async () => {
		if (!present) {
			console.warn('skipped: ../shared/data is not beside the project');
			return;
		}
		const quote = readFileSync(sample);
		const { signed, chain } = parseQuote(quote);
		// Without collateral nothing can pass, but all that the quote itself shows is looked at.
		expect(failing(await ask(quote))).toMatch(/^collateral /);
		expect(outcomes(await ask(quote))['quote-signature']).toBeUndefined();
		const refused = async (at: number) => {
			const changed = Buffer.from(quote);
			changed[at] ^= 1;
			const { 'evidence-format': format, 'quote-signature': signature } = outcomes(await ask(changed));
			return format === 'fail' || signature === 'fail' ? [] : [at];
		};
		const start = quote.indexOf(chain.slice(0, 60), 0, 'latin1');
		const isBase64 = (at: number) => /[A-Za-z\d+/]/.test(String.fromCharCode(quote[at]));
		const places = [
			...Array.from({ length: signed.length }, (_, at) => at), // header and body
			...Array.from({ length: start - signed.length }, (_, at) => signed.length + at), // up to the chain
			...Array.from({ length: chain.length }, (_, at) => start + at).filter((at) => at % 5 === 0 && isBase64(at))
		];
		const survived: number[] = [];
		for (let from = 0; from < places.length; from += 64) {
			const results = await Promise.all(places.slice(from, from + 64).map(refused));
			survived.push(...results.flat());
		}
		expect(survived).toEqual([]);
		expect(places.length).toBeGreaterThan(1900);
	});
});
