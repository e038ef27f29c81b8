/**
 * A software TD with a PKI of its own, like the simulator's but with every byte up to the test:
 * certificates, lists and documents are written from plain values, any of which can be replaced.
 */
import { generateKeyPairSync, sign as nodeSign, type KeyObject } from 'node:crypto';
import type { Collateral } from '../../src/dcap/collateral';
import { sha256, u16, u32, type Bytes } from './bytes';
import type { Json } from './json';

// --- DER -----------------------------------------------------------------------------------------

export const tlv = (tag: number, ...contents: Uint8Array[]): Bytes => {
	const content = Buffer.concat(contents);
	const size = content.length;
	const length =
		size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
	return Buffer.concat([Buffer.of(tag, ...length), content]);
};
export const seq = (...items: Uint8Array[]) => tlv(0x30, ...items);
/** A positive INTEGER from big-endian bytes of any length. */
export const integer = (bytes: Uint8Array): Bytes => {
	const first = bytes.findIndex((byte) => byte !== 0);
	const short = bytes.subarray(first < 0 ? -1 : first);
	const [high = 0] = short;
	return tlv(2, high > 0x7f ? Buffer.of(0) : Buffer.of(), short);
};
export const number = (value: number) => integer(Buffer.of(value >> 8, value & 0xff));
export const oid = (hex: string) => tlv(6, Buffer.from(hex, 'hex'));
export const bool = (value: number) => tlv(1, Buffer.of(value));
export const octets = (bytes: Uint8Array) => tlv(4, bytes);
export const bitString = (bytes: Uint8Array, unused = 0) => tlv(3, Buffer.of(unused), bytes);
export const time = (seconds: number, tag?: number): Bytes => {
	const text = new Date(seconds * 1000).toISOString().replace(/[-:T]|\.000/g, '');
	const utc = tag ? tag === 0x17 : text < '2050';
	return tlv(tag ?? (utc ? 0x17 : 0x18), Buffer.from(utc ? text.slice(2) : text));
};
export const name = (common: string) =>
	seq(tlv(0x31, seq(oid('550403'), tlv(0x0c, Buffer.from(common)))));
export const pem = (...certificates: Uint8Array[]) =>
	certificates
		.map((bytes) =>
			Buffer.from(bytes)
				.toString('base64')
				.replace(/.{64}(?!$)/g, '$&\n')
		)
		.map((text) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`)
		.join('');

export const ECDSA_SHA256 = '2a8648ce3d040302';
export const P256_SPKI = seq(oid('2a8648ce3d0201'), oid('2a8648ce3d030107'));
export const SGX = '2a864886f84d010d01';

// --- keys ----------------------------------------------------------------------------------------

export interface Pair {
	key: KeyObject;
	/** Uncompressed point. */
	point: Bytes;
}

export const makePair = (namedCurve = 'P-256'): Pair => {
	const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
	const { x, y } = publicKey.export({ format: 'jwk' });
	const coordinates = [x, y].map((part) => Buffer.from(part as string, 'base64url'));
	return { key: privateKey, point: Buffer.concat([Buffer.of(4), ...coordinates]) };
};

export const signRaw = ({ key }: Pair, data: Uint8Array, hash = 'sha256'): Bytes =>
	Buffer.from(nodeSign(hash, data, { key, dsaEncoding: 'ieee-p1363' }));

/** Raw r || s as ECDSA-Sig-Value. */
export const derSignature = (raw: Uint8Array) =>
	seq(integer(raw.subarray(0, 32)), integer(raw.subarray(32)));

// --- certificates and lists ------------------------------------------------------------------------

export interface CertificateSpec {
	subject: string;
	issuer: string;
	holder: Pair;
	signer: Pair;
	serial: Uint8Array;
	from: Bytes;
	until: Bytes;
	/** Undefined leaves basicConstraints out; an empty SEQUENCE is a leaf's. */
	constraints?: Bytes;
	usage?: number;
	/** What every certificate of Intel's profile has besides. */
	profile: Bytes[];
	/** More of them, as whole Extensions. */
	extensions: Bytes[];
	version: Bytes;
	inner: Bytes;
	outer: Bytes;
	spki: Bytes;
	/** The last word on the signed bytes, the raw signature and the whole. */
	tbs: (bytes: Bytes) => Bytes;
	signature: (raw: Bytes) => Bytes;
	whole: (bytes: Bytes) => Bytes;
}

export type Change<T> = Partial<T>;

const DAY = 86_400;
export const NOW = 1_800_000_000;
const same = <T>(value: T): T => value;

export const extension = (id: string, value: Uint8Array, critical = false) =>
	seq(oid(id), ...(critical ? [bool(0xff)] : []), octets(value));

export const ca = (path?: number) => seq(bool(0xff), ...(path === undefined ? [] : [number(path)]));

/** The keys above and in a certificate, and where its list lies (RFC 5280, section 4.2.1). */
export const KEY_ABOVE = extension('551d23', seq(tlv(0x80, Buffer.alloc(20, 7))));
export const KEY_INSIDE = extension('551d0e', octets(Buffer.alloc(20, 8)));
export const LIST_AT = extension(
	'551d1f',
	seq(seq(tlv(0xa0, tlv(0xa0, tlv(0x86, Buffer.from('https://pki.test/root.crl'))))))
);
export const profileExtensions = (): Bytes[] => [KEY_ABOVE, KEY_INSIDE, LIST_AT];

/** Common names, with the words of their roles. */
export const NAMES = {
	root: 'Test SGX Root CA',
	ca: 'Test SGX PCK Platform CA',
	leaf: 'Test SGX PCK Certificate',
	signer: 'Test SGX TCB Signing'
};

const algorithm = () => seq(oid(ECDSA_SHA256));

export const makeCertificate = (spec: CertificateSpec): Bytes => {
	const { constraints, usage, profile, extensions } = spec;
	const all = [
		...(constraints ? [extension('551d13', constraints, true)] : []),
		...(usage === undefined ? [] : [extension('551d0f', bitString(Buffer.of(usage)), true)]),
		...profile,
		...extensions
	];
	const tbs = spec.tbs(
		seq(
			spec.version,
			integer(spec.serial),
			spec.inner,
			name(spec.issuer),
			seq(spec.from, spec.until),
			name(spec.subject),
			spec.spki,
			tlv(0xa3, seq(...all))
		)
	);
	const signature = derSignature(spec.signature(signRaw(spec.signer, tbs)));
	return spec.whole(seq(tbs, spec.outer, bitString(signature)));
};

export interface ListSpec {
	issuer: string;
	signer: Pair;
	from: Bytes;
	until: Bytes[];
	revoked: Uint8Array[];
	entryExtensions: Bytes[];
	extensions: Bytes[];
	version: Bytes[];
	inner: Bytes;
	outer: Bytes;
	tbs: (bytes: Bytes) => Bytes;
	signature: (raw: Bytes) => Bytes;
	whole: (bytes: Bytes) => Bytes;
}

export const makeList = (spec: ListSpec): Bytes => {
	const entries = spec.revoked.map((serial) =>
		seq(
			integer(serial),
			spec.from,
			...(spec.entryExtensions.length ? [seq(...spec.entryExtensions)] : [])
		)
	);
	const tbs = spec.tbs(
		seq(
			...spec.version,
			spec.inner,
			name(spec.issuer),
			spec.from,
			...spec.until,
			...(entries.length ? [seq(...entries)] : []),
			tlv(0xa0, seq(...spec.extensions))
		)
	);
	const signature = derSignature(spec.signature(signRaw(spec.signer, tbs)));
	return spec.whole(seq(tbs, spec.outer, bitString(signature)));
};

// --- the SGX extension -----------------------------------------------------------------------------

export const FMSPC = '53494d000000';
const arc = (arcs: string, value: Bytes) => seq(oid(SGX + arcs), value);
const hex2 = (value: number) => value.toString(16).padStart(2, '0');

export interface PlatformSpec {
	fmspc: Bytes;
	pceId: Bytes;
	components: number[];
	pceSvn: number;
	cpuSvn: Bytes;
	type: Bytes;
	/** Entries 6 and 7, which a platform CA's certificates have. */
	machine: Bytes[];
	more: Bytes[];
}

/** Entries 6 and 7: one machine, and dynamic platform, cached keys and SMT of it. */
export const machine = (...flags: number[]): Bytes[] => [
	arc('06', octets(Buffer.alloc(16, 6))),
	arc('07', seq(...flags.map((flag, at) => arc(`07${hex2(at + 1)}`, bool(flag)))))
];

export const sgxExtension = (spec: PlatformSpec): Bytes =>
	seq(
		arc('01', octets(Buffer.alloc(16, 1))),
		arc(
			'02',
			seq(
				...spec.components.map((svn, at) => arc(`02${hex2(at + 1)}`, number(svn))),
				arc('0211', number(spec.pceSvn)),
				arc('0212', octets(spec.cpuSvn))
			)
		),
		arc('03', octets(spec.pceId)),
		arc('04', octets(spec.fmspc)),
		arc('05', spec.type),
		...spec.machine,
		...spec.more
	);

// --- everything together ---------------------------------------------------------------------------

const COMPONENTS = [4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
const TDX = [5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const MRSIGNER = Buffer.alloc(32, 0xe5);

const date = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');

const dates = () => ({ issueDate: date(NOW - 3600), nextUpdate: date(NOW + 30 * DAY) });
const level = (tcb: Json, status = 'UpToDate', advisoryIDs: string[] = []) => ({
	tcb,
	tcbDate: date(NOW - 3600),
	tcbStatus: status,
	advisoryIDs
});
const svns = (list: number[]) => list.map((svn) => ({ svn }));

export const platformLevel = (
	sgx: number[],
	pcesvn: number,
	tdx: number[],
	status?: string,
	ids?: string[]
) => level({ sgxtcbcomponents: svns(sgx), pcesvn, tdxtcbcomponents: svns(tdx) }, status, ids);
export const ownLevel = (isvsvn: number, status?: string, ids?: string[]) =>
	level({ isvsvn }, status, ids);

export const goodLevel = (status?: string, ids?: string[]) =>
	platformLevel(COMPONENTS, 13, [0, 0, ...TDX.slice(2)], status, ids);

const module = {
	mrsigner: '00'.repeat(48),
	attributes: '00'.repeat(8),
	attributesMask: 'FF'.repeat(8)
};

const goodTcbInfo = (): Json => ({
	id: 'TDX',
	version: 3,
	...dates(),
	fmspc: FMSPC.toUpperCase(),
	pceId: '0000',
	tcbType: 0,
	tcbEvaluationDataNumber: 17,
	tdxModule: { ...module },
	tdxModuleIdentities: [{ id: 'TDX_01', ...module, tcbLevels: [ownLevel(5)] }],
	tcbLevels: [goodLevel()]
});

const goodQeIdentity = (): Json => ({
	id: 'TD_QE',
	version: 2,
	...dates(),
	tcbEvaluationDataNumber: 17,
	miscselect: '00000000',
	miscselectMask: 'FFFFFFFF',
	attributes: '11000000000000000000000000000000',
	attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
	mrsigner: MRSIGNER.toString('hex').toUpperCase(),
	isvprodid: 2,
	tcbLevels: [ownLevel(4)]
});

/** What a test replaces; a function gets the good value and edits or replaces it. */
export interface Faults {
	version?: 4 | 5;
	later?: boolean;
	/** With a body of type 4. */
	extended?: boolean;
	root?: Change<CertificateSpec>;
	ca?: Change<CertificateSpec>;
	leaf?: Change<CertificateSpec>;
	signer?: Change<CertificateSpec>;
	platform?: Change<PlatformSpec>;
	rootList?: Change<ListSpec>;
	pckList?: Change<ListSpec>;
	tcbInfo?: (value: object) => void;
	qeIdentity?: (value: object) => void;
	/** The documents' text before it is signed, and after. */
	tcbInfoText?: (text: string) => string;
	qeIdentityText?: (text: string) => string;
	tcbInfoAnswer?: (text: string) => string;
	qeIdentityAnswer?: (text: string) => string;
	/** Edits in place. */
	header?: (bytes: Bytes) => void;
	body?: (bytes: Bytes) => void;
	qeReport?: (bytes: Bytes) => void;
	authData?: Bytes;
	/** Who signs instead of whom it should be. */
	qeSigner?: Pair;
	quoteSigner?: Pair;
	/** The chain in the quote, from leaf, CA and root. */
	chain?: (certificates: [leaf: Bytes, ca: Bytes, root: Bytes]) => string;
	collateral?: (collateral: Collateral) => void;
	/** The finished quote. */
	quote?: (quote: Bytes) => Bytes;
}

export const keys = {
	root: makePair(),
	ca: makePair(),
	leaf: makePair(),
	signer: makePair(),
	attestation: makePair(),
	other: makePair()
};

const spec = (
	subject: string,
	issuer: string,
	holder: Pair,
	signer: Pair,
	serial: number
): CertificateSpec => ({
	subject,
	issuer,
	holder,
	signer,
	serial: Buffer.of(0x81, serial),
	from: time(NOW - DAY),
	until: time(NOW + 365 * DAY),
	constraints: seq(),
	usage: 0xc0,
	profile: profileExtensions(),
	extensions: [],
	version: tlv(0xa0, Buffer.of(2, 1, 2)),
	inner: algorithm(),
	outer: algorithm(),
	spki: seq(P256_SPKI, bitString(holder.point)),
	tbs: same,
	signature: same,
	whole: same
});

/** A list's number, and the key that signed it: what every list says (RFC 5280 section 5.2). */
export const listExtensions = (value = number(1)): Bytes[] => [
	extension('551d14', value),
	KEY_ABOVE
];

export const listSpec = (issuer = NAMES.ca, signer = keys.ca): ListSpec => ({
	issuer,
	signer,
	from: time(NOW - 3600),
	until: [time(NOW + 30 * DAY)],
	revoked: [],
	entryExtensions: [],
	extensions: listExtensions(),
	version: [number(1)],
	inner: algorithm(),
	outer: algorithm(),
	tbs: same,
	signature: same,
	whole: same
});

/** Specs of the good chain, to build variations from. */
export const specs = () => ({
	root: {
		...spec(NAMES.root, NAMES.root, keys.root, keys.root, 1),
		constraints: ca(1),
		usage: 0x06
	},
	ca: {
		...spec(NAMES.ca, NAMES.root, keys.ca, keys.root, 2),
		constraints: ca(0),
		usage: 0x06
	},
	leaf: spec(NAMES.leaf, NAMES.ca, keys.leaf, keys.ca, 3),
	signer: spec(NAMES.signer, NAMES.root, keys.signer, keys.root, 4)
});

export interface Case {
	quote: Bytes;
	collateral: Collateral;
	rootKey: Bytes;
}

/** A quote and collateral that verify at NOW under `rootKey`, but for the faults. */
export const makeCase = (faults: Faults = {}): Case => {
	const base = specs();
	const platform = sgxExtension({
		fmspc: Buffer.from(FMSPC, 'hex'),
		pceId: Buffer.alloc(2),
		components: COMPONENTS,
		pceSvn: 13,
		cpuSvn: Buffer.from(COMPONENTS),
		type: tlv(10, Buffer.of(1)),
		machine: [],
		more: [],
		...faults.platform
	});
	const root = makeCertificate({ ...base.root, ...faults.root });
	const intermediate = makeCertificate({ ...base.ca, ...faults.ca });
	const leaf = makeCertificate({
		...base.leaf,
		extensions: [extension(SGX, platform)],
		...faults.leaf
	});
	const signer = makeCertificate({ ...base.signer, ...faults.signer });

	const type = faults.extended ? 4 : faults.later ? 3 : 2;
	const body = Buffer.alloc({ 2: 584, 3: 648, 4: 885 }[type]);
	Buffer.from(TDX).copy(body, 0);
	body.fill(0x5e, 16, 64);
	body[120 + 3] = 0x10; // td_attributes: SEPT_VE_DISABLE
	Buffer.from('e702060000000000', 'hex').copy(body, 128); // xfam
	body.fill(0x7d, 136, 584);
	if (type > 2) Buffer.from(TDX).copy(body, 584); // the module was not updated
	faults.body?.(body);
	const { version = type > 2 ? 5 : 4 } = faults;
	const header = Buffer.concat([
		u16(version),
		u16(2),
		u32(0x81),
		Buffer.alloc(4),
		Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'),
		Buffer.alloc(20)
	]);
	faults.header?.(header);
	const descriptor = version === 5 ? [u16(type), u32(body.length)] : [];
	const signed = Buffer.concat([header, ...descriptor, body]);

	const authData = faults.authData ?? Buffer.alloc(32, 9);
	const attestationKey = keys.attestation.point.subarray(1);
	const qeReport = Buffer.alloc(384);
	qeReport[48] = 0x11;
	MRSIGNER.copy(qeReport, 128);
	qeReport.writeUInt16LE(2, 256);
	qeReport.writeUInt16LE(4, 258);
	sha256(attestationKey, authData).copy(qeReport, 320);
	faults.qeReport?.(qeReport);

	const chain = Buffer.from((faults.chain ?? ((all) => pem(...all)))([leaf, intermediate, root]));
	const certified = Buffer.concat([
		qeReport,
		signRaw(faults.qeSigner ?? keys.leaf, qeReport),
		u16(authData.length),
		authData,
		u16(5),
		u32(chain.length),
		chain
	]);
	const data = Buffer.concat([
		signRaw(faults.quoteSigner ?? keys.attestation, signed),
		attestationKey,
		u16(6),
		u32(certified.length),
		certified
	]);
	const quote = Buffer.concat([signed, u32(data.length), data]);

	const answer = (member: string, value: Json, edit = same as (text: string) => string) => {
		const text = edit(JSON.stringify(value));
		const signature = signRaw(keys.signer, Buffer.from(text)).toString('hex');
		return `{"${member}":${text},"signature":"${signature}"}`;
	};
	const tcbInfo = goodTcbInfo();
	faults.tcbInfo?.(tcbInfo);
	const qeIdentity = goodQeIdentity();
	faults.qeIdentity?.(qeIdentity);
	const rootList = makeList({ ...listSpec(NAMES.root, keys.root), ...faults.rootList });
	const pckList = makeList({ ...listSpec(NAMES.ca, keys.ca), ...faults.pckList });
	const collateral: Collateral = {
		tcb_info_json: (faults.tcbInfoAnswer ?? same)(answer('tcbInfo', tcbInfo, faults.tcbInfoText)),
		qe_identity_json: (faults.qeIdentityAnswer ?? same)(
			answer('enclaveIdentity', qeIdentity, faults.qeIdentityText)
		),
		pck_crl_der_b64: pckList.toString('base64'),
		root_crl_der_b64: rootList.toString('base64'),
		tcb_info_issuer_chain_pem: pem(signer, root),
		qe_identity_issuer_chain_pem: pem(signer, root),
		pck_crl_issuer_chain_pem: pem(intermediate, root)
	};
	faults.collateral?.(collateral);
	return { quote: (faults.quote ?? same)(quote), collateral, rootKey: keys.root.point };
};
