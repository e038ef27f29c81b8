import { describe, expect, it } from 'vitest';
import { parseDer } from '../../src/base/der';
import { Problem } from '../../src/base/problem';
import {
	parseCertificate,
	parsePem,
	parseRevocationList,
	parseTime,
	verifyChain
} from '../../src/base/x509';
import { flipped, hex, type Bytes } from '../support/bytes';
import * as pki from '../support/pki';
import {
	bitString,
	bool,
	extension,
	keys,
	NOW,
	number,
	oid,
	seq,
	time,
	tlv,
	type CertificateSpec,
	type ListSpec
} from '../support/pki';
import { problemIn, problemOf } from '../support/problems';

const { subtle } = crypto;

describe('times', () => {
	it.each(['2027-01-15T08:00:00Z', '1970-01-01T00:00:00Z', '2028-02-29T23:59:59Z'])(
		'%s is read',
		(text) => {
			expect(parseTime(text)).toBe(Date.parse(text) / 1000);
		}
	);
	it.each([
		'2027-02-29T00:00:00Z',
		'2027-13-01T00:00:00Z',
		'2027-01-01T24:00:00Z',
		'2027-01-01T00:00:60Z',
		'2027-01-01T00:00:00',
		'2027-01-01T00:00:00.000Z',
		'2027-01-01T00:00:00+00:00',
		'2027-01-01',
		'2027-1-1T00:00:00Z',
		' 2027-01-01T00:00:00Z',
		'+002027-01-01T00:00:00Z',
		'',
		null,
		undefined,
		5
	])('%s is refused', (value) => {
		expect(() => parseTime(value)).toThrow(Problem);
	});
});

describe('PEM', () => {
	const one = pki.pem(hex('3000'));
	it('of one and of several is read', () => {
		expect(parsePem(one)).toEqual([new Uint8Array([0x30, 0])]);
		expect(parsePem(` \n${one}${one.replace(/\n/g, '\r\n')}\n`)).toHaveLength(2);
		expect(parsePem('')).toEqual([]);
	});
	it.each([
		['text before', `x${one}`],
		['text after', `${one}x`],
		['text between', `${one}x${one}`],
		['a NUL', `${one}\0`],
		['white space that PEM does not have', `${one}\u00a0`],
		['white space of that kind before', `\ufeff${one}`],
		['white space of that kind inside', one.replace('MAA=', 'MAA=\u2028')],
		['no white space after the beginning', one.replace('-----\nMAA=', '-----MAA=')],
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
	const refusal = (run: () => unknown) => problemOf(run)?.detail ?? 'accepted';
	const plain = seq(oid(pki.ECDSA_SHA256));
	const sha384 = seq(oid('2a8648ce3d040303'));
	const rsa = seq(oid('2a864886f70d01010b'), tlv(5));
	const p384 = pki.makePair('P-384');

	/** Replace one child of a constructed element. */
	const again =
		(at: number, edit: (child: Uint8Array<ArrayBuffer>) => Uint8Array) => (bytes: Bytes) => {
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
		[
			'a key on P-384',
			{ spki: seq(seq(oid('2a8648ce3d0201'), oid('2b81040022')), bitString(p384.point)) },
			'key'
		],
		['a P-384 point as P-256', { spki: seq(pki.P256_SPKI, bitString(p384.point)) }, 'key'],
		['an Ed25519 key', { spki: seq(seq(oid('2b6570')), bitString(Buffer.alloc(32))) }, 'key'],
		[
			'a compressed key',
			{
				spki: seq(
					pki.P256_SPKI,
					bitString(Buffer.concat([Buffer.of(2), keys.leaf.point.subarray(1, 33)]))
				)
			},
			'key'
		],
		[
			'a hybrid key',
			{
				spki: seq(
					pki.P256_SPKI,
					bitString(Buffer.concat([Buffer.of(6), keys.leaf.point.subarray(1)]))
				)
			},
			'key'
		],
		[
			'an explicit curve',
			{ spki: seq(seq(oid('2a8648ce3d0201'), seq(number(1))), bitString(keys.leaf.point)) },
			'key'
		],
		[
			'more in the key',
			{ spki: seq(pki.P256_SPKI, bitString(keys.leaf.point), tlv(5)) },
			'DER has more'
		],
		[
			'an unknown critical extension',
			{ extensions: [extension('550304', tlv(5), true)] },
			'critical extension'
		],
		[
			'critical name constraints',
			{ extensions: [extension('551d1e', seq(), true)] },
			'critical extension'
		],
		[
			'an extension twice',
			{ extensions: [extension('551d0f', bitString(Buffer.of(6)), true)] },
			'extension'
		],
		[
			'a critical that spells out FALSE',
			{ extensions: [seq(oid('550304'), bool(0), pki.octets(tlv(5)))] },
			'extension'
		],
		['a CA that spells out FALSE', { constraints: seq(bool(0)) }, 'basicConstraints'],
		['a path length without a CA', { constraints: seq(number(0)) }, 'basicConstraints'],
		[
			'a negative path length',
			{ constraints: seq(bool(0xff), tlv(2, Buffer.of(0xff))) },
			'DER value'
		],
		[
			'a huge path length',
			{ constraints: seq(bool(0xff), tlv(2, Buffer.alloc(40, 1))) },
			'DER value'
		],
		[
			'more in basicConstraints',
			{ constraints: seq(bool(0xff), number(0), number(0)) },
			'DER has more'
		],
		['GeneralizedTime before 2050', { until: time(NOW + 10, 0x18) }, 'time'],
		['a date that is none', { from: tlv(0x17, Buffer.from('270230000000Z')) }, 'time'],
		['a time with an offset', { from: tlv(0x17, Buffer.from('270101000000+0000')) }, 'time'],
		['a time without seconds', { from: tlv(0x17, Buffer.from('2701010000Z')) }, 'time'],
		['a time of another type', { from: tlv(4, Buffer.from('270101000000Z')) }, 'DER tag'],
		[
			'more in the signature',
			{ whole: again(2, (sig) => bitString(seq(parseDer(sig.subarray(3)).content, number(1)))) },
			'DER has more'
		],
		[
			'unused bits in the signature',
			{
				whole: again(2, (sig) => bitString(Buffer.concat([sig.subarray(3, -1), Buffer.of(0)]), 1))
			},
			'DER value'
		],
		[
			'more after the signature',
			{ whole: (bytes) => seq(parseDer(bytes).content, tlv(5)) },
			'DER has more'
		],
		[
			'a SET in place of a SEQUENCE',
			{ whole: (bytes) => tlv(0x31, parseDer(bytes).content) },
			'DER tag'
		],
		[
			'more in an extension',
			{ extensions: [seq(oid('550304'), pki.octets(tlv(5)), tlv(5))] },
			'DER has more'
		],
		[
			'more in the extensions',
			{ tbs: again(7, (list) => tlv(0xa3, parseDer(list).content, tlv(5))) },
			'DER has more'
		],
		['a third time', { until: Buffer.concat([time(NOW), time(NOW)]) }, 'DER has more'],
		[
			'a unique id',
			{ tbs: (tbs) => seq(parseDer(tbs).content, tlv(0x81, Buffer.of(0, 1))) },
			'DER has more'
		],
		[
			'a byte after it',
			{ whole: (bytes) => Buffer.concat([bytes, Buffer.of(0)]) },
			'DER trailing bytes'
		],
		[
			'a signature in BER',
			{ whole: (bytes) => Buffer.concat([Buffer.of(0x30, 0x83, 0), bytes.subarray(2)]) },
			'DER length'
		]
	])('with %s are refused', (_name, change, why) => {
		expect(refusal(() => make('leaf', change))).toBe(why);
	});

	it.each<[string, (raw: Bytes) => Bytes]>([
		['r of 0', (raw) => Buffer.concat([Buffer.alloc(32), raw.subarray(32)])],
		['s of 0', (raw) => Buffer.concat([raw.subarray(0, 32), Buffer.alloc(32)])],
		[
			'r of the order',
			(raw) =>
				Buffer.concat([
					hex('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'),
					raw.subarray(32)
				])
		],
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
		const problem = await problemIn(() => verifyChain(subtle, chainOf(changes), rootKey, now));
		return problem?.detail ?? 'accepted';
	};
	const day = 86_400;

	it.each<[string, Parameters<typeof path>[0], Parameters<typeof path>[1], string]>([
		['that is good', {}, {}, 'accepted'],
		[
			'without a path length',
			{ root: { constraints: pki.ca() }, ca: { constraints: pki.ca() } },
			{},
			'accepted'
		],
		[
			'whose leaf says nothing',
			{ leaf: { constraints: undefined, usage: undefined } },
			{},
			'accepted'
		],
		['in its first second', {}, { now: NOW - day }, 'accepted'],
		['in its last second', {}, { now: NOW + 365 * day }, 'accepted'],
		['a second early', {}, { now: NOW - day - 1 }, 'not valid yet'],
		['a second late', {}, { now: NOW + 365 * day + 1 }, 'expired'],
		['with an expired root', { root: { until: time(NOW - 1) } }, {}, 'expired'],
		['with an expired CA', { ca: { until: time(NOW - 1) } }, {}, 'expired'],
		['to another root', {}, { rootKey: keys.other.point }, 'another root'],
		[
			'to a root of the same name',
			{
				root: {
					holder: keys.other,
					spki: seq(pki.P256_SPKI, bitString(keys.other.point)),
					signer: keys.other
				}
			},
			{},
			'another root'
		],
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
		await expect(verifyChain(subtle, Array(9).fill(root), keys.root.point, NOW)).rejects.toThrow(
			Problem
		);
	});

	it('are refused with any byte changed', async () => {
		const bytes = pki.makeCertificate(pki.specs().ca);
		const root = make('root');
		const results = await Promise.all(
			Array.from(bytes, async (_, at) => {
				const verify = async () => {
					const certificate = parseCertificate(flipped(bytes, at));
					await verifyChain(subtle, [certificate, root], keys.root.point, NOW);
				};
				return (await problemIn(verify)) ? [] : [at];
			})
		);
		expect(results.flat()).toEqual([]);
	});
});

describe('revocation lists', () => {
	const more = (bytes: Bytes) => seq(parseDer(bytes).content, tlv(5));
	const refusal = (change: Partial<ListSpec>) => {
		let size: number | undefined;
		const problem = problemOf(() => {
			size = parseRevocationList(pki.makeList({ ...pki.listSpec(), ...change })).revoked.size;
		});
		return problem?.detail ?? size;
	};
	const entry = (...items: Bytes[]) => seq(number(9), time(NOW), ...items);
	/** The list's entries, or its extensions, replaced. */
	const inside = (at: number, ...items: Bytes[]) => ({
		revoked: [Buffer.of(9)],
		tbs: (bytes: Bytes) => {
			const { children } = parseDer(bytes);
			return seq(...children.slice(0, at).map(({ whole }) => whole), ...items);
		}
	});

	const rest = tlv(0xa0, seq(...pki.listExtensions()));

	it('hold what they say', () => {
		const serials = Array.from({ length: 1500 }, (_, at) => Buffer.of(9, at >> 8, at & 0xff));
		expect(refusal({})).toBe(0);
		expect(refusal({ revoked: serials })).toBe(1500);
		expect(refusal(inside(5, seq(entry()), rest))).toBe(1);
		const reason = seq(extension('551d15', tlv(10, Buffer.of(1))));
		expect(refusal(inside(5, seq(entry(reason)), rest))).toBe(1);
	});

	it.each<[string, Partial<ListSpec>, string]>([
		['version 3', { version: [number(2)] }, 'version'],
		['another algorithm inside', { inner: seq(oid('2a8648ce3d040303')) }, 'algorithm'],
		['an entry without a date', inside(5, seq(seq(number(9)))), 'DER tag'],
		['an entry in another form', inside(5, seq(tlv(0x31, number(9), time(NOW)))), 'DER tag'],
		['more in an entry', inside(5, seq(entry(seq(), tlv(5)))), 'DER has more'],
		['more in the extensions', inside(5, seq(entry()), tlv(0xa0, seq(), tlv(5))), 'DER has more'],
		['no extensions', inside(5), 'DER tag'],
		['empty extensions', { extensions: [] }, 'CRL number'],
		['no number', { extensions: pki.listExtensions().slice(1) }, 'CRL number'],
		['nobody’s key', { extensions: pki.listExtensions().slice(0, 1) }, 'authority key'],
		['a number that is none', { extensions: [extension('551d14', tlv(5))] }, 'CRL number'],
		['more after the extensions', { tbs: more }, 'DER has more'],
		['more after the signature', { whole: more }, 'DER has more']
	])('with %s are refused', (_name, change, why) => {
		expect(refusal(change)).toBe(why);
	});
});
