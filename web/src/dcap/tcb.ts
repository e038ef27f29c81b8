import { work } from '../base/der';
import { fromHex, toHex, toUtf8 } from '../base/encoding';
import { own, parseObject } from '../base/json';
import { Problem } from '../base/problem';
import { parseTime } from '../base/x509';
import type { BodyField } from '../evidence/quote';
import type { Platform } from './pck';

/**
 * TCB info and QE identity: what Intel says about the security versions of platforms, TDX modules
 * and quoting enclaves ("SGX and TDX Provisioning Certification Service API" version 4).
 */

/** A status in bits: 1 software hardening, 2 configuration, 4 out of date, 8 revoked, 16 unknown. */
type Status = number;

/**
 * Names by that number. So two statuses are merged by `|`, and the worst wins: what is out of date
 * is so whatever hardening it needs, and what needs configuration as well keeps saying so.
 */
const NAMES = [
	'UpToDate',
	'SWHardeningNeeded',
	'ConfigurationNeeded',
	'ConfigurationAndSWHardeningNeeded',
	'OutOfDate',
	'OutOfDate',
	'OutOfDateConfigurationNeeded',
	'OutOfDateConfigurationNeeded',
	'Revoked'
];

const UNKNOWN = 16;

/** Undefined for what Intel has added since: nobody here can say what it means. */
export const statusName = (status: Status): string | undefined =>
	status < UNKNOWN ? NAMES[Math.min(status, 8)] : undefined;

/** What each status with which a TD was started is called where the host is up to date by now. */
const RELAUNCH = new Map([
	['OutOfDate', 'TDRelaunchAdvised'],
	['OutOfDateConfigurationNeeded', 'TDRelaunchAdvisedConfigurationNeeded']
]);

/**
 * The status of a TD that was started with one status, by TEE_TCB_SVN, and runs under another one
 * by now, by TEE_TCB_SVN2: where the host was updated under it, the TD has to be started anew
 * (Intel's quote verification library 1.27).
 */
export const relaunched = (launch: string, current: string | undefined): string =>
	current === undefined || RELAUNCH.has(current) ? launch : (RELAUNCH.get(launch) ?? launch);

/** What a level of anything says. */
export interface Level {
	status: Status;
	advisories: string[];
	/** RFC 3339. */
	date: string;
	/** The security version that it begins with: of a module, of an enclave, or a platform's PCE. */
	svn: number;
}

interface PlatformLevel extends Level {
	sgx: number[];
	tdx: number[];
}

/** Who a TDX module or a quoting enclave must be; its levels with the highest first. */
interface Identity {
	signer: string;
	attributes: Uint8Array<ArrayBuffer>;
	mask: Uint8Array<ArrayBuffer>;
	levels: Level[];
}

/** A signed document; the fields that both kinds have. */
interface Signed {
	/** The exact bytes that are signed, and raw r || s over them. */
	signed: Uint8Array<ArrayBuffer>;
	signature: Uint8Array<ArrayBuffer>;
	/** Seconds since 1970 between which it counts. */
	from: number;
	until: number;
	/** `tcbEvaluationDataNumber`: it grows with every TCB recovery. */
	evaluation: number;
}

export interface TcbInfo extends Signed {
	fmspc: string;
	pceId: string;
	/** The highest first. */
	levels: PlatformLevel[];
	/** The TDX module of version 0, and the others. */
	module: Identity;
	identities: (Identity & { id: string })[];
}

export interface QeIdentity extends Signed, Identity {
	miscselect: Uint8Array<ArrayBuffer>;
	miscselectMask: Uint8Array<ArrayBuffer>;
	product: number;
}

const refuse = (what: string): never => {
	throw new Problem('internal', what);
};

const bytesOf = (value: unknown, name: string, length: number): Uint8Array<ArrayBuffer> => {
	const bytes = fromHex(own(value, name));
	return bytes.length === length ? bytes : refuse(name);
};

const numberOf = (value: unknown, name: string, max = 0xffff): number => {
	const number = own(value, name);
	if (typeof number !== 'number' || !Number.isInteger(number)) return refuse(name);
	return number >= 0 && number <= max ? number : refuse(name);
};

const listOf = (value: unknown, name: string, optional = false): unknown[] => {
	const list = own(value, name);
	if (list === undefined && optional) return [];
	return Array.isArray(list) ? list : refuse(name);
};

const statusOf = (name: string): Status => {
	const status = NAMES.indexOf(name);
	return status >= 0 ? status : UNKNOWN;
};

const readLevel = (value: unknown, svn: string): Level => {
	work.steps += 1;
	const name = own(value, 'tcbStatus');
	const date = own(value, 'tcbDate');
	const advisories = listOf(value, 'advisoryIDs', true);
	if (typeof date !== 'string') return refuse('time');
	parseTime(date);
	if (typeof name !== 'string') return refuse('tcbStatus');
	if (!advisories.every((id) => typeof id === 'string')) return refuse('advisoryIDs');
	return { status: statusOf(name), advisories, date, svn: numberOf(own(value, 'tcb'), svn) };
};

/** What a level asks for, so that the higher of two comes first. */
const compare = (one: readonly number[], other: readonly number[]): number => {
	const at = one.findIndex((svn, index) => svn !== other[index]);
	return at < 0 ? refuse('two levels') : (other[at] ?? 0) - (one[at] ?? 0);
};

/**
 * Levels with the highest first, whatever the order in the document: the first one that is reached
 * is then the one. Two that ask for the same are refused: either could be meant.
 */
const sorted = <T extends Level>(levels: T[], asked: (level: T) => number[]): T[] =>
	levels.sort((one, other) => compare(asked(one), asked(other)));

/** A level of a TDX module or an enclave. */
const readOwnLevel = (value: unknown): Level => readLevel(value, 'isvsvn');

const readPlatformLevel = (value: unknown): PlatformLevel => {
	const components = (name: string) => {
		const list = listOf(own(value, 'tcb'), name).map((item) => numberOf(item, 'svn', 0xff));
		// A shorter list would leave components unchecked.
		return list.length === 16 ? list : refuse(name);
	};
	return {
		...readLevel(value, 'pcesvn'),
		sgx: components('sgxtcbcomponents'),
		tdx: components('tdxtcbcomponents')
	};
};

const readOwnLevels = (value: unknown): Level[] =>
	sorted(listOf(value, 'tcbLevels').map(readOwnLevel), ({ svn }) => [svn]);

const readIdentity = (value: unknown, signer: number, attributes: number): Identity => ({
	signer: toHex(bytesOf(value, 'mrsigner', signer)),
	attributes: bytesOf(value, 'attributes', attributes),
	mask: bytesOf(value, 'attributesMask', attributes),
	levels: []
});

const readModuleIdentity = (value: unknown): Identity & { id: string } => {
	const id = own(value, 'id');
	if (typeof id !== 'string') return refuse('id');
	return { ...readIdentity(value, 48, 8), id: id.toUpperCase(), levels: readOwnLevels(value) };
};

/** White space, as JSON has it: JavaScript's own kind has more of it. */
const BLANK = '[ \\t\\r\\n]*';

/** Texts of JSON are skipped; what is a fraction or has an exponent then stands outside of them. */
const hasFraction = (json: string): boolean =>
	/\d[.eE]/.test(json.replace(/"(?:[^"\\]|\\.)*"/g, ''));

/**
 * Open `{"<name>":{...},"signature":"..."}`, in either order. The signature is over the inner object's
 * bytes as they stand, and only those bytes are parsed: nothing that was not signed is looked at.
 * All numbers are whole, and are written so: 1.0 and 1 are the same to some readers only.
 */
const openDocument = (text: unknown, name: string, id: string, version: number) => {
	const pair = (key: string, value: string) => `${BLANK}"${key}"${BLANK}:${BLANK}${value}${BLANK}`;
	const member = pair(name, '(\\{[^]*\\})');
	const beside = pair('signature', '"([\\da-fA-F]{128})"');
	const inside = `\\{(?:${member},${beside}|${beside},${member})\\}`;
	const whole = new RegExp(`^${BLANK}${inside}${BLANK}$`);
	const found = whole.exec(typeof text === 'string' ? text : '');
	const inner = found?.[1] ?? found?.[4];
	const signature = found?.[2] ?? found?.[3];
	if (inner === undefined) return refuse(name);
	const value = parseObject(inner);
	if (hasFraction(inner)) refuse('number');
	if (value.id !== id || value.version !== version) refuse(`other-platform: ${name}`);
	const signed = { signed: toUtf8(inner), signature: fromHex(signature) };
	const times = { from: parseTime(value.issueDate), until: parseTime(value.nextUpdate) };
	const evaluation = numberOf(value, 'tcbEvaluationDataNumber', 0xffffffff);
	return { value, document: { ...signed, ...times, evaluation } };
};

/** Parse TCB info of TDX; throws `internal`. Nothing is verified yet. */
export const parseTcbInfo = (text: unknown): TcbInfo => {
	const { value, document } = openDocument(text, 'tcbInfo', 'TDX', 3);
	// The only way of composing a TCB level that the interface describes.
	if (value.tcbType !== 0) refuse('tcbType');
	return {
		...document,
		fmspc: toHex(bytesOf(value, 'fmspc', 6)),
		pceId: toHex(bytesOf(value, 'pceId', 2)),
		// In this order Intel's library sorts by them.
		levels: sorted(listOf(value, 'tcbLevels').map(readPlatformLevel), ({ sgx, svn, tdx }) => [
			...sgx,
			svn,
			...tdx
		]),
		module: readIdentity(own(value, 'tdxModule'), 48, 8),
		identities: listOf(value, 'tdxModuleIdentities', true).map(readModuleIdentity)
	};
};

/** Parse the identity of the TD quoting enclave; throws `internal`. Nothing is verified yet. */
export const parseQeIdentity = (text: unknown): QeIdentity => {
	const { value, document } = openDocument(text, 'enclaveIdentity', 'TD_QE', 2);
	return {
		...document,
		...readIdentity(value, 32, 16),
		miscselect: bytesOf(value, 'miscselect', 4),
		miscselectMask: bytesOf(value, 'miscselectMask', 4),
		product: numberOf(value, 'isvprodid'),
		levels: readOwnLevels(value)
	};
};

/** The bits of a value that a mask of the same length lets through. */
const masked = (value: Uint8Array, mask: Uint8Array): Uint8Array =>
	value.map((byte, at) => byte & (mask[at] ?? 0xff));

/** Does `actual` agree with `expected` in the bits of `mask`? */
export const agrees = (actual: Uint8Array, expected: Uint8Array, mask: Uint8Array): boolean =>
	actual.length === mask.length && toHex(masked(actual, mask)) === toHex(masked(expected, mask));

/** The level of a security version: the highest that it reaches. */
export const levelOf = ({ levels }: Identity, svn: number): Level | undefined =>
	levels.find((level) => svn >= level.svn);

/** Is every component, from one on, at least as new as the level wants it? */
const reaches = (svns: ArrayLike<number>, level: number[], from: number): boolean =>
	level.every((svn, at) => at < from || (svns[at] ?? -1) >= svn);

/** The platform's level with these TDX SVNs: the highest of which everything is reached. */
export const platformLevel = (
	{ levels }: TcbInfo,
	{ components, pceSvn }: Platform,
	tdx: Uint8Array
): PlatformLevel | undefined =>
	levels.find((level) => {
		work.steps += 1;
		// A module with an identity of its own is judged by that: its first two numbers are not to be
		// compared across versions.
		const first = (tdx[1] ?? 0) > 0 ? 2 : 0;
		const platform = reaches(components, level.sgx, 0) && pceSvn >= level.svn;
		return platform && reaches(tdx, level.tdx, first);
	});

/** The identity of a module with these SVNs; throws `internal` where Intel describes none. */
const moduleOf = ({ module, identities }: TcbInfo, tdx: Uint8Array): Identity => {
	const version = tdx[1] ?? 0;
	if (version === 0) return module;
	const wanted = `TDX_${toHex(Uint8Array.of(version)).toUpperCase()}`;
	return identities.find(({ id }) => id === wanted) ?? refuse(wanted);
};

/**
 * Is the TDX module one that Intel signed? Throws `internal` where it is not signed by whom Intel
 * names, or has attributes that Intel does not expect.
 */
export const checkModule = (info: TcbInfo, body: Record<BodyField, string>): void => {
	const identity = moduleOf(info, fromHex(body.tcb_svn));
	if (body.mrsigner_seam !== identity.signer) refuse('MRSIGNERSEAM');
	// Bits outside the mask must be zero: Intel has given them no meaning yet.
	const expected = toHex(masked(identity.attributes, identity.mask));
	if (body.seam_attributes !== expected) refuse('SEAMATTRIBUTES');
};

/**
 * The level of a TDX module with these SVNs, or null for the first version, which has none of its
 * own. Throws `internal` for one that Intel does not describe, or that is older than all it knows.
 */
export const moduleLevel = (info: TcbInfo, tdx: Uint8Array): Level | null => {
	const [svn = 0, version = 0] = tdx;
	return version > 0 ? (levelOf(moduleOf(info, tdx), svn) ?? refuse('ISVSVN')) : null;
};
