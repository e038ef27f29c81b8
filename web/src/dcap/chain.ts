import * as der from '../base/der';
import * as x509 from '../base/x509';
import { refuse } from './steps';

/*
 * Chains as Intel has them ("SGX PCK Certificate and CRL Profile Specification" 1.5): of one length,
 * each certificate with the common name of its role, and with word on what it is for, on the keys
 * above it and in it, and on where its revocation list lies.
 */

/** A chain, leaf first. */
export type Chain = readonly [leaf: x509.Certificate, ...above: x509.Certificate[]];

const ROOT = 'SGX Root CA';
/** What the common name of each certificate says, leaf first: of a PCK, and of who signs documents. */
export const PCK_CHAIN = ['SGX PCK Certificate', 'CA', ROOT];
export const SIGNER_CHAIN = ['SGX TCB Signing', ROOT];

type Extensions = x509.Certificate['extensions'];

/** Says what a key is for, but nothing of half of an agreement (bits 7 and 8). */
const isUsage = ({ tag, content: [, first = 0, second = 0] }: der.Element): boolean =>
	tag === der.BIT_STRING && (first & 0x01) === 0 && (second & 0x80) === 0;

/** Names an authority's key by its id, and by nothing else. */
const isKeyId = ({ tag, children }: der.Element): boolean =>
	tag === der.SEQUENCE && children.length === 1 && children[0]?.tag === KEY_ID;

/** Has addresses, and nothing else: `[0] { [0] { URI, ... } }`. */
const isAddress = (point: der.Element): boolean => {
	const [place, ...more] = point.children;
	const [names, ...others] = place?.children ?? [];
	const isPlace = point.tag === der.SEQUENCE && place?.tag === der.explicit(0);
	if (!isPlace || names?.tag !== der.explicit(0)) return false;
	const isUri = ({ tag, content }: der.Element) => tag === URI && content.every((at) => at < 0x80);
	return (
		more.length + others.length === 0 && names.children.length > 0 && names.children.every(isUri)
	);
};

/** CAs below one that says how many there may be: Intel's say 0 and 1. */
const LONGEST = 0x7f;
/** Numbers of lists have at most 20 octets (RFC 5280, section 5.2.3). */
const NUMBERS = 1n << (8n * 20n - 1n);

/** Hex digits of a serial number: 20 octets too (section 4.1.2.2), besides a zero in front. */
const SERIAL_DIGITS = 40;

/** Tags within the extensions: keyIdentifier, uniformResourceIdentifier. */
const KEY_ID = 0x80;
const URI = 0x86;

/** The forms of the extensions that every certificate has (RFC 5280, section 4.2.1). */
const REQUIRED: [oid: string, isForm: (value: der.Element) => boolean][] = [
	[x509.BASIC_CONSTRAINTS, ({ tag }) => tag === der.SEQUENCE],
	[x509.KEY_USAGE, isUsage],
	[x509.SUBJECT_KEY_ID, ({ tag }) => tag === der.OCTET_STRING],
	[x509.AUTHORITY_KEY_ID, isKeyId],
	[
		x509.DISTRIBUTION_POINTS,
		({ tag, children }) => tag === der.SEQUENCE && children.length > 0 && children.every(isAddress)
	]
];

/** Where extensions have a meaning that others define, and that Intel's have not: 2.5.29, PKIX, ... */
const FOREIGN = ['551d', '2b0601050507', '2b06010401d679', '2b060104018237', '2b24'];

const isForeign = (extensions: Extensions, known: string[]): boolean =>
	[...extensions.keys()].some(
		(oid) => !known.includes(oid) && FOREIGN.some((arcs) => oid.startsWith(arcs))
	);

/** Does a revocation list have the extensions of the profile, and none that others define? */
export const checkListProfile = ({ extensions, from, number }: x509.RevocationList): void => {
	const known = [x509.AUTHORITY_KEY_ID, x509.CRL_NUMBER];
	const authority = der.parseDer(extensions.get(x509.AUTHORITY_KEY_ID) ?? new Uint8Array());
	const fits = from >= 0 && BigInt(number) < NUMBERS;
	if (!fits || isForeign(extensions, known) || !isKeyId(authority)) refuse('profile');
};

/** What a name says, and the longest that each may be: CN, C, L, ST and O, in hex under 2.5.4. */
const NAME_PARTS = new Map([
	['550403', /^[ -~]{1,127}$/],
	['550406', /^[ -~]{2}$/],
	['550407', /^[ -~]{1,127}$/],
	['550408', /^[ -~]{1,127}$/],
	['55040a', /^[ -~]{1,127}$/]
]);
const COMMON_NAME = '550403';
/** Parts of a name; Intel's have five. */
const NAME_LENGTH = 16;
/** A part of a name; throws `internal` for one that no name of Intel's has. */
const readPart = (part: der.Element): readonly [type: string, text: string] => {
	const [type, text] = x509.readPart(part);
	return NAME_PARTS.get(type)?.test(text) ? [type, text] : refuse('name');
};

const isNamed = ({ name }: x509.Certificate, role: string): boolean => {
	if (name.children.length > NAME_LENGTH) return false;
	const common = name.children.map(readPart).filter(([oid]) => oid === COMMON_NAME);
	return common.length === 1 && common[0]?.[1].includes(role) === true;
};

const isOfProfile = (certificate: x509.Certificate, role: string): boolean => {
	const { extensions, serial, from, path } = certificate;
	const isPositive = /^[0-7]/.test(serial) && /[^0]/.test(serial);
	const fits = serial.replace(/^00/, '').length <= SERIAL_DIGITS;
	const known = REQUIRED.map(([oid]) => oid);
	if (from < 0 || (path > LONGEST && path < Infinity)) return false;
	if (!isPositive || !fits || !isNamed(certificate, role) || isForeign(extensions, known))
		return false;
	return REQUIRED.every(([oid, isForm]) => {
		const value = extensions.get(oid);
		return value !== undefined && isForm(der.parseDer(value));
	});
};

/** Read a chain of these roles from PEM; throws `internal`. Nothing is verified yet. */
export const parseChain = (pem: string, roles: readonly string[]): Chain => {
	const [leaf, ...above] = x509.parsePem(pem).map(x509.parseCertificate);
	if (leaf === undefined || above.length + 1 !== roles.length) return refuse('length');
	const signsLists = ({ usage }: x509.Certificate) => (usage & x509.CRL_SIGN) !== 0;
	const fits = [leaf, ...above].every((certificate, at) =>
		isOfProfile(certificate, roles[at] ?? '')
	);
	if (!fits || !above.every(signsLists)) refuse('profile');
	return [leaf, ...above];
};
