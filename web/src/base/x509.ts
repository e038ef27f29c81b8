import * as der from './der';
import { fields, parseDer, type Element, type Fields } from './der';
import { fromHex, latin1, strictBase64, toHex } from './encoding';
import { Problem } from './problem';

/**
 * X.509 certificates and revocation lists (RFC 5280), as far as Intel's provisioning PKI and pinned
 * signers of tokens need them: ECDSA P-256 with SHA-256 and nothing else.
 */
interface Signed {
	/** The signed bytes, and raw r || s over them. */
	tbs: Uint8Array<ArrayBuffer>;
	signature: Uint8Array<ArrayBuffer>;
	/** The issuer's name: its DER, compared byte by byte. */
	issuer: string;
	/** Seconds since 1970 between which it counts. */
	from: number;
	until: number;
}

export interface Certificate extends Signed {
	subject: string;
	serial: string;
	/** The uncompressed P-256 point, 65 bytes. */
	key: Uint8Array<ArrayBuffer>;
	/** How many CAs may follow below, Infinity for no bound; NaN where this is no CA. */
	path: number;
	/** The first byte of keyUsage. */
	usage: number;
	/** The subject's name, taken apart. */
	name: Element;
	/** Values of all extensions by their OID's bytes in hex. */
	extensions: Map<string, Uint8Array<ArrayBuffer>>;
}

export interface RevocationList extends Signed {
	/** Its number, in decimal digits. */
	number: string;
	revoked: Set<string>;
	/** As of a certificate. */
	extensions: Map<string, Uint8Array<ArrayBuffer>>;
}

/** AlgorithmIdentifiers as they must stand: RFC 5758 section 3.2, RFC 5480 section 2.1. */
const ECDSA_SHA256 = '300a06082a8648ce3d040302';
const P256_KEY = '301306072a8648ce3d020106082a8648ce3d030107';
/** The order of P-256's base point (SEC 2). */
const ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';

/** What an uncompressed point begins with (SEC 1, section 2.3.3). */
export const UNCOMPRESSED = 0x04;

export const KEY_USAGE = '551d0f';
export const CRL_NUMBER = '551d14';
const CRL_REASON = '551d15';
/** The one number up to 10 that is no reason (RFC 5280 section 5.3.1). */
const UNUSED_REASON = 7;
export const SUBJECT_KEY_ID = '551d0e';
export const AUTHORITY_KEY_ID = '551d23';
export const DISTRIBUTION_POINTS = '551d1f';
export const BASIC_CONSTRAINTS = '551d13';
/** Bits of keyUsage. */
const DIGITAL_SIGNATURE = 0x80;
const CERT_SIGN = 4;
export const CRL_SIGN = 2;
/** Values with explicit tags: version 3 of a certificate, version 2 of a list. */
const V3 = 'a003020102';
const V2 = '020101';

/** Certificates that a chain may have. */
const CHAIN_LIMIT = 8;

const refuse = (what: string): never => {
	throw new Problem('internal', what);
};

/** What must be these bytes and no others. */
const exactly = (element: Element, hex: string, name: string): void => {
	if (toHex(element.whole) !== hex) refuse(name);
};

/**
 * `YYYY-MM-DDThh:mm:ssZ` in seconds since 1970. Throws `internal` for another form, and for a moment
 * that no calendar has.
 */
export const parseTime = (text: unknown): number => {
	if (typeof text !== 'string') return refuse('time');
	const date = new Date(text);
	// Only the one spelling that comes back as it went in; the calendar begins with year 1.
	const same = !isNaN(date.getTime()) && date.toISOString().replace(/\.\d+Z$/, 'Z') === text;
	return same && text > '0001' ? date.getTime() / 1000 : refuse('time');
};

/**
 * UTCTime up to 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5), both in whole seconds UTC.
 * `earliest` is the first year in the latter form.
 */
const readTime = (validity: Fields, earliest = '2050'): number => {
	const utc = validity.maybe(der.UTC_TIME);
	const digits = latin1((utc ?? validity.take(der.GENERALIZED_TIME)).content);
	const century = digits < '5' ? '20' : '19';
	const full = utc ? century + digits : digits;
	if (!/^\d{14}Z$/.test(full) || (!utc && full < earliest)) refuse('time');
	return parseTime(full.replace(/(....)(..)(..)(..)(..)/, '$1-$2-$3T$4:$5:'));
};

/** r and s of an ECDSA-Sig-Value, each from 1 to the order minus 1, as raw r || s. */
const rawSignature = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
	const pair = fields(parseDer(bytes));
	const takeNumber = (): string => {
		const number = pair.take(der.INTEGER);
		const hex = toHex(number.content).replace(/^00/, '').padStart(64, '0');
		const inRange = hex.length === 64 && hex < ORDER && /[^0]/.test(hex);
		return inRange && !der.isNegative(number) ? hex : refuse('signature');
	};
	const r = takeNumber();
	const s = takeNumber();
	pair.end();
	return fromHex(r + s);
};

/**
 * What certificates and lists have around them, opened; `own` says whether their signature is
 * anybody's concern.
 */
const openSigned = (bytes: Uint8Array<ArrayBuffer>, own = true) => {
	const outer = fields(parseDer(bytes));
	const tbs = outer.take(der.SEQUENCE);
	const algorithm = outer.take(der.SEQUENCE);
	const bits = der.bits(outer.take(der.BIT_STRING));
	outer.end();
	if (own) exactly(algorithm, ECDSA_SHA256, 'algorithm');
	const signature = own ? rawSignature(bits) : new Uint8Array();
	return { tbs: tbs.whole, signature, algorithm, inside: fields(tbs) };
};

/** The algorithm inside must be the one outside: the outer one is not signed. */
const takeAlgorithm = (inside: Fields, own = true): void => {
	const algorithm = inside.take(der.SEQUENCE);
	if (own) exactly(algorithm, ECDSA_SHA256, 'algorithm');
};

const takeSerial = (inside: Fields) => toHex(inside.take(der.INTEGER).content);

/** An extension, whatever it means. */
const readExtension = (item: Element) => {
	const extension = fields(item);
	const oid = toHex(extension.take(der.OID).content);
	const critical = extension.maybe(der.BOOLEAN);
	const { content } = extension.take(der.OCTET_STRING);
	extension.end();
	// FALSE is the default, and DER leaves defaults out.
	if (critical && !critical.content[0]) refuse('extension');
	return { oid, critical: critical !== undefined, content };
};

/** Extensions by OID; one that is critical and not among the `known` ones refuses the whole. */
const readExtensions = (
	list: Element | undefined,
	known: string[]
): Map<string, Uint8Array<ArrayBuffer>> => {
	const found = new Map<string, Uint8Array<ArrayBuffer>>();
	for (const { oid, critical, content } of list?.children.map(readExtension) ?? []) {
		if (critical && !known.includes(oid)) refuse('critical extension');
		if (found.has(oid)) refuse('extension');
		found.set(oid, content);
	}
	return found;
};

/** The list of extensions in the element that says that there are some. */
const unwrap = (wrapped: Element): Element => {
	const inside = fields(wrapped, wrapped.tag);
	const list = inside.take(der.SEQUENCE);
	inside.end();
	return list;
};

/** cA and pathLenConstraint in one number. */
const readPath = (value: Uint8Array<ArrayBuffer> | undefined): number => {
	if (!value) return NaN;
	const constraints = fields(parseDer(value));
	const ca = constraints.maybe(der.BOOLEAN);
	const length = constraints.maybe(der.INTEGER);
	constraints.end();
	if (!ca) return length ? refuse('basicConstraints') : NaN;
	if (!ca.content[0]) refuse('basicConstraints');
	return length ? der.small(length, 0xffff) : Infinity;
};

/** A leaf may leave it out; nobody is a CA without it (RFC 5280 section 4.2.1.3). */
const readUsage = (value: Uint8Array<ArrayBuffer> | undefined): number => {
	if (!value) return DIGITAL_SIGNATURE;
	const { tag, content } = parseDer(value);
	return tag === der.BIT_STRING ? (content[1] ?? 0) : refuse('keyUsage');
};

/** The uncompressed P-256 point in a SubjectPublicKeyInfo. */
const takeKey = (inside: Fields): Uint8Array<ArrayBuffer> => {
	const info = fields(inside.take(der.SEQUENCE));
	exactly(info.take(der.SEQUENCE), P256_KEY, 'key');
	const key = der.bits(info.take(der.BIT_STRING));
	info.end();
	// Compressed points, and points of other curves' lengths, are not even tried.
	return key.length === 65 && key[0] === UNCOMPRESSED ? key : refuse('key');
};

/** The characters of a PrintableString (X.680, section 41.4). */
const PRINTABLE = /^[A-Za-z\d '()+,\-./:=?]*$/;

/** One part of a name: what it is about, in hex, and its text; throws `internal` where it is none. */
export const readPart = (part: Element): readonly [type: string, text: string] => {
	const set = fields(part, der.SET);
	const attribute = fields(set.take(der.SEQUENCE));
	set.end();
	const type = toHex(attribute.take(der.OID).content);
	const utf8 = attribute.maybe(der.UTF8_STRING);
	const text = latin1((utf8 ?? attribute.take(der.PRINTABLE_STRING)).content);
	attribute.end();
	return utf8 || PRINTABLE.test(text) ? [type, text] : refuse('name');
};

/** What a certificate says before its extensions; `own` as in `openSigned`. */
const takeHolder = (inside: Fields, own: boolean) => {
	exactly(inside.take(der.explicit(0)), V3, 'version');
	const serial = takeSerial(inside);
	takeAlgorithm(inside, own);
	const issuer = inside.take(der.SEQUENCE);
	const validity = fields(inside.take(der.SEQUENCE));
	const from = readTime(validity);
	const until = readTime(validity);
	validity.end();
	const name = inside.take(der.SEQUENCE);
	return { serial, issuer, from, until, name, key: takeKey(inside) };
};

/**
 * The key of a root certificate, by which alone it counts; throws `internal`.
 *
 * What else it says is nobody's concern. But all of it must be as both verifiers read it, so that
 * neither takes a root that the other cannot.
 */
export const readRoot = async (
	subtle: SubtleCrypto,
	bytes: Uint8Array<ArrayBuffer>
): Promise<Uint8Array<ArrayBuffer>> => {
	const { algorithm, inside } = openSigned(bytes, false);
	exactly(algorithm, ECDSA_SHA256, 'algorithm');
	const { issuer, name, key } = takeHolder(inside, true);
	[...issuer.children, ...name.children].forEach(readPart);
	const wrapped = inside.maybe(der.explicit(3));
	if (wrapped) unwrap(wrapped).children.forEach(readExtension);
	inside.end();
	return (await isPoint(subtle, key)) ? key : refuse('key');
};

/** Read a certificate; `own` as in `openSigned`. */
const readCertificate = (bytes: Uint8Array<ArrayBuffer>, own: boolean): Certificate => {
	const { tbs, signature, inside } = openSigned(bytes, own);
	const { issuer, ...holder } = takeHolder(inside, own);
	const list = unwrap(inside.take(der.explicit(3)));
	inside.end();
	const extensions = readExtensions(list, [KEY_USAGE, BASIC_CONSTRAINTS]);
	const path = readPath(extensions.get(BASIC_CONSTRAINTS));
	const usage = readUsage(extensions.get(KEY_USAGE));
	const names = { issuer: latin1(issuer.whole), subject: latin1(holder.name.whole) };
	return { tbs, signature, ...holder, ...names, path, usage, extensions };
};

/** Parse a certificate; throws `internal`. Nothing is verified yet. */
export const parseCertificate = (bytes: Uint8Array<ArrayBuffer>): Certificate =>
	readCertificate(bytes, true);

/** The same of one that is pinned: nobody asks who signed it, and how. Its signature is left out. */
export const parsePinned = (bytes: Uint8Array<ArrayBuffer>): Certificate =>
	readCertificate(bytes, false);

/** An INTEGER of any size that is not negative. */
const decimal = ({ content }: Element): string => BigInt(`0x${toHex(content)}`).toString();

/**
 * An entry says whom it revokes, and perhaps why (RFC 5280 section 5.3.1), as Intel's do. One with
 * more to say could be about another issuer's certificate.
 */
const checkEntry = (extensions: Map<string, Uint8Array<ArrayBuffer>>): void => {
	for (const [oid, value] of extensions) {
		const reason = parseDer(value);
		const code = reason.tag === der.ENUMERATED ? der.small(reason, 10) : NaN;
		if (oid !== CRL_REASON || Number.isNaN(code) || code === UNUSED_REASON) refuse('entry');
	}
};

/** Parse a revocation list; throws `internal`. Lists of changes or for other issuers are refused. */
export const parseRevocationList = (bytes: Uint8Array<ArrayBuffer>): RevocationList => {
	const { tbs, signature, inside } = openSigned(bytes);
	exactly(inside.take(der.INTEGER), V2, 'version');
	takeAlgorithm(inside);
	const issuer = latin1(inside.take(der.SEQUENCE).whole);
	const from = readTime(inside);
	const until = readTime(inside);
	const revoked = new Set<string>();
	for (const item of inside.maybe(der.SEQUENCE)?.children ?? []) {
		const entry = fields(item);
		const serial = entry.take(der.INTEGER);
		if (der.isNegative(serial)) refuse('serial number');
		revoked.add(toHex(serial.content));
		// Nobody asks when, so the form is nobody's concern.
		if (readTime(entry, '1970') < 0) refuse('time');
		checkEntry(readExtensions(entry.maybe(der.SEQUENCE), []));
		entry.end();
	}
	const extensions = readExtensions(unwrap(inside.take(der.explicit(0))), []);
	inside.end();
	// Every list has a number, and says whose key signed it (RFC 5280 sections 5.2.1 and 5.2.3).
	const said = (oid: string, what: string): Element =>
		parseDer(extensions.get(oid) ?? refuse(what));
	const number = said(CRL_NUMBER, 'CRL number');
	if (number.tag !== der.INTEGER || der.isNegative(number)) refuse('CRL number');
	const authority = said(AUTHORITY_KEY_ID, 'authority key');
	if (authority.tag !== der.SEQUENCE) refuse('authority key');
	return { tbs, signature, issuer, from, until, revoked, number: decimal(number), extensions };
};

/** White space, as PEM has it: JavaScript's own kind has more of it. */
const BLANK = /^[ \t\r\n]*$/;
const BODY = /^[ \t\r\n][A-Za-z\d+/= \t\r\n]*$/;

/**
 * The DER of the certificates, or of what `label` says, in a PEM text (RFC 7468), which must hold
 * nothing else but white space. Throws `internal`.
 */
export const parsePem = (text: string, label = 'CERTIFICATE'): Uint8Array<ArrayBuffer>[] => {
	const blocks = text.split(`-----END ${label}-----`);
	const rest = blocks.pop() ?? '';
	if (blocks.length > CHAIN_LIMIT || !BLANK.test(rest)) refuse('PEM');
	return blocks.map((block) => {
		const [before = '', body = '', more] = block.split(`-----BEGIN ${label}-----`);
		if (!BLANK.test(before) || !BODY.test(body) || more !== undefined) refuse('PEM');
		return strictBase64(body.replace(/[ \t\r\n]/g, ''));
	});
};

/** ECDSA P-256 with SHA-256: `key` is an uncompressed point, `signature` raw r || s. */
export const verifyEcdsa = async (
	subtle: SubtleCrypto,
	key: Uint8Array<ArrayBuffer>,
	signature: Uint8Array<ArrayBuffer>,
	data: Uint8Array<ArrayBuffer>
): Promise<boolean> => {
	const params = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
	try {
		const imported = await subtle.importKey('raw', key, params, false, ['verify']);
		return await subtle.verify(params, imported, signature, data);
	} catch {
		return false; // not a point of the curve
	}
};

/** Is this an uncompressed point of P-256? */
const isPoint = async (subtle: SubtleCrypto, key: Uint8Array<ArrayBuffer>): Promise<boolean> => {
	try {
		await subtle.importKey('raw', key, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
		return true;
	} catch {
		return false;
	}
};

/**
 * Is it in force? Throws `internal`, with these words. The comparisons are such that a clock that
 * says NaN is never within anything.
 */
export const checkTime = (
	{ from, until }: { from: number; until: number },
	now: number,
	early: string,
	late: string
): void => {
	if (!(now >= from)) refuse(early);
	if (!(now <= until)) refuse(late);
};

/**
 * May a certificate stand `at` this place in a chain, 0 being the leaf's? Throws `internal`.
 *
 * A CA is no leaf, and a leaf is no CA: without this every PCK could issue certificates. A root
 * alone is its own leaf.
 */
const checkPlace = ({ path, usage }: Certificate, at: number, length: number): void => {
	const isCa = path >= 0;
	const mayIssueAbove = path >= at - 1; // so many CAs are below
	if (at === 0 ? isCa && length > 1 : !mayIssueAbove) refuse('basicConstraints');
	if ((usage & (at > 0 ? CERT_SIGN : DIGITAL_SIGNATURE)) === 0) refuse('keyUsage');
};

/**
 * Verify a chain, leaf first, whose last certificate is the self-signed root with exactly the
 * pinned key. Throws `internal`, naming what is wrong. Where the whole last certificate is pinned
 * it need not be self-signed.
 *
 * RFC 5280 section 6, without what no chain of ours has (policies, name constraints): whoever
 * needs those marks them critical, and then the certificate was refused when it was parsed.
 */
export const verifyChain = async (
	subtle: SubtleCrypto,
	chain: readonly Certificate[],
	rootKey: Uint8Array<ArrayBuffer>,
	now: number,
	selfSigned = true
): Promise<void> => {
	const root = chain.at(-1);
	if (!root || chain.length > CHAIN_LIMIT) return refuse('length');
	// The root counts by its key: a name, or a certificate of the same name, anybody can make.
	if (toHex(root.key) !== toHex(rootKey)) refuse('another root');
	/** Each certificate whose signature counts, and who made it. */
	const signed: { certificate: Certificate; issuer: Certificate }[] = [];
	for (const [at, certificate] of chain.entries()) {
		checkTime(certificate, now, 'not valid yet', 'expired');
		const issuer = chain[at + 1] ?? (selfSigned ? certificate : undefined);
		if (issuer) {
			if (certificate.issuer !== issuer.subject) refuse('issuer');
			signed.push({ certificate, issuer });
		}
		checkPlace(certificate, at, chain.length);
	}
	const [leaf] = chain;
	if (!leaf || !(await isPoint(subtle, leaf.key))) refuse('key');
	const good = await Promise.all(
		signed.map(({ certificate: { signature, tbs }, issuer }) =>
			verifyEcdsa(subtle, issuer.key, signature, tbs)
		)
	);
	if (good.includes(false)) refuse('signature');
};

/**
 * Verify a revocation list of this CA, which may have ended `grace` seconds ago. Throws `internal`,
 * naming what is wrong.
 */
export const verifyRevocationList = async (
	subtle: SubtleCrypto,
	list: RevocationList,
	ca: Certificate,
	now: number,
	grace = 0
): Promise<void> => {
	// The list of another CA, correctly signed, says nothing about ours.
	if (list.issuer !== ca.subject) refuse('issuer');
	if (!(await verifyEcdsa(subtle, ca.key, list.signature, list.tbs))) refuse('signature');
	// The moment of the next list is no longer this one's.
	checkTime({ ...list, until: list.until - 1 + grace }, now, 'collateral-early', 'crl-expired');
};
