import { work } from '../base/der';
import { fromHex, toHex, toUtf8 } from '../base/encoding';
import { own, parseDocument, withoutBlanks, type JsonObject } from '../base/json';
import { parseTime, verifyEcdsa } from '../base/x509';
import { OWN_STATUSES, PLATFORM_STATUSES, statusOf, type Status } from './status';
import { refuse } from './steps';

/**
 * TCB info and QE identity: what Intel says about the security versions of platforms, TDX modules
 * and quoting enclaves ("SGX and TDX Provisioning Certification Service API" version 4).
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** What a level of anything says. */
export interface Level {
	status: Status;
	advisories: string[];
	/** RFC 3339. */
	date: string;
	/** The security version that it begins with: of a module, of an enclave, or a platform's PCE. */
	svn: number;
}

/** One of the components that a platform's level asks for. */
export interface Component {
	svn: number;
	/** Whose it is and what it is, as far as Intel says so, such as `BIOS, Early Microcode Update`. */
	name: string;
}

export interface PlatformLevel extends Level {
	sgx: Component[];
	tdx: Component[];
}

/** Who a TDX module or a quoting enclave must be; its levels with the highest first. */
export interface Identity {
	signer: string;
	attributes: Bytes;
	mask: Bytes;
	levels: Level[];
}

/** What both kinds of documents have. */
interface Edition {
	/** Seconds since 1970 between which it counts. */
	from: number;
	until: number;
	/** `tcbEvaluationDataNumber`: it grows with every TCB recovery. */
	evaluation: number;
}

export interface TcbInfo extends Edition {
	fmspc: string;
	pceId: string;
	/** The highest first. */
	levels: PlatformLevel[];
	/** The TDX module of version 0, and the others. */
	module: Identity;
	identities: (Identity & { id: string })[];
}

export interface QeIdentity extends Edition, Identity {
	miscselect: Bytes;
	miscselectMask: Bytes;
	product: number;
}

// --- who signed it -----------------------------------------------------------------------------

/** A document as it came: the text of its object, and raw r || s over that. Nothing is read yet. */
export interface Opened {
	inner: string;
	signature: Bytes;
}

/** White space, as JSON has it: JavaScript's own kind has more of it. */
const BLANK = '[ \\t\\r\\n]*';

/** Take `{"<name>":{...},"signature":"..."}` apart, in either order; throws `internal`. */
export const openDocument = (text: string, name: string): Opened => {
	const pair = (key: string, value: string) => `${BLANK}"${key}"${BLANK}:${BLANK}${value}${BLANK}`;
	const member = pair(name, '(\\{[^]*\\})');
	const beside = pair('signature', '"([\\da-fA-F]{128})"');
	const whole = `^${BLANK}\\{(?:${member},${beside}|${beside},${member})\\}${BLANK}$`;
	const found = new RegExp(whole).exec(text);
	const inner = found?.[1] ?? found?.[4];
	const signature = found?.[2] ?? found?.[3];
	return inner === undefined ? refuse(name) : { inner, signature: fromHex(signature) };
};

/**
 * The text that this key signed, or undefined where it signed none: the object's text as it stands,
 * or the same without the white space that somebody on the way put in. Only this text may be read.
 */
export const signedText = async (
	subtle: SubtleCrypto,
	{ inner, signature }: Opened,
	key: Bytes
): Promise<string | undefined> => {
	for (const text of new Set([inner, withoutBlanks(inner)])) {
		if (await verifyEcdsa(subtle, key, signature, toUtf8(text))) return text;
	}
	return undefined;
};

// --- its members -------------------------------------------------------------------------------

const bytesOf = (value: unknown, name: string, length: number): Bytes => {
	const text = own(value, name);
	if (typeof text !== 'string' || !/^[\da-f]*$/i.test(text)) return refuse(name);
	return text.length === 2 * length ? fromHex(text) : refuse(name);
};

const numberOf = (value: unknown, name: string, max = 0xffff): number => {
	const number = own(value, name);
	if (typeof number !== 'number' || !Number.isInteger(number)) return refuse(name);
	return number >= 0 && number <= max ? number : refuse(name);
};

const listOf = (value: unknown, name: string): unknown[] => {
	const list = own(value, name);
	return Array.isArray(list) ? list : refuse(name);
};

/** A list that says something where it is there at all. */
const filledListOf = (value: unknown, name: string): unknown[] => {
	const list = listOf(value, name);
	return list.length > 0 ? list : refuse(name);
};

const has = (value: unknown, name: string): boolean => own(value, name) !== undefined;

/** A name as Intel gives them, of characters that every reader has alike. */
const isName = (value: unknown): value is string =>
	typeof value === 'string' && /^[ -~]*$/.test(value);

/** A date since 1970, as it stands. */
const dateOf = (value: unknown, name: string): string => {
	const text = own(value, name);
	return typeof text === 'string' && parseTime(text) >= 0 ? text : refuse('time');
};

const readLevel = (value: unknown, svn: string, statuses: readonly string[]): Level => {
	work.steps += 1;
	const advisories = has(value, 'advisoryIDs') ? listOf(value, 'advisoryIDs') : [];
	const date = dateOf(value, 'tcbDate');
	const status = statusOf(own(value, 'tcbStatus'), statuses);
	if (status === undefined) return refuse('a status that this level cannot have');
	if (!advisories.every(isName)) return refuse('advisoryIDs');
	return { status, advisories, date, svn: numberOf(own(value, 'tcb'), svn) };
};

/** Characters of a word about a component. */
const WORD_MAX = 64;

const readComponent = (value: unknown): Component => {
	const words = [own(value, 'category'), own(value, 'type')];
	const isWord = (word: unknown) => isName(word) && word !== '' && word.length <= WORD_MAX;
	return { svn: numberOf(value, 'svn', 0xff), name: words.filter(isWord).join(', ') };
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

const readPlatformLevel = (value: unknown): PlatformLevel => {
	const components = (name: string) => {
		const list = listOf(own(value, 'tcb'), name).map(readComponent);
		// A shorter list would leave components unchecked.
		return list.length === 16 ? list : refuse(name);
	};
	return {
		...readLevel(value, 'pcesvn', PLATFORM_STATUSES),
		sgx: components('sgxtcbcomponents'),
		tdx: components('tdxtcbcomponents')
	};
};

/** Levels of a TDX module or an enclave. */
const readOwnLevels = (value: unknown): Level[] => {
	const levels = filledListOf(value, 'tcbLevels');
	return sorted(
		levels.map((level) => readLevel(level, 'isvsvn', OWN_STATUSES)),
		({ svn }) => [svn]
	);
};

const readIdentity = (value: unknown, signer: number, attributes: number): Identity => ({
	signer: toHex(bytesOf(value, 'mrsigner', signer)),
	attributes: bytesOf(value, 'attributes', attributes),
	mask: bytesOf(value, 'attributesMask', attributes),
	levels: []
});

const readModuleIdentity = (value: unknown): Identity & { id: string } => {
	const id = own(value, 'id');
	if (!isName(id)) return refuse('id');
	return { ...readIdentity(value, 48, 8), id: id.toUpperCase(), levels: readOwnLevels(value) };
};

/** Identities of TDX modules; of two with the same id either could be meant. */
const readModuleIdentities = (value: unknown): TcbInfo['identities'] => {
	if (!has(value, 'tdxModuleIdentities')) return [];
	const identities = filledListOf(value, 'tdxModuleIdentities').map(readModuleIdentity);
	const ids = new Set(identities.map(({ id }) => id));
	return ids.size === identities.length ? identities : refuse('two identities');
};

/** What is of another kind, or a later version, has members of which we know nothing. */
const readDocument = (text: string, name: string, id: string, version: number): JsonObject => {
	const value = parseDocument(text);
	const isOurs = value.id === id && value.version === version;
	return isOurs ? value : refuse(`other-platform: ${name}`);
};

const readEdition = (value: JsonObject): Edition => ({
	from: parseTime(dateOf(value, 'issueDate')),
	until: parseTime(dateOf(value, 'nextUpdate')),
	evaluation: numberOf(value, 'tcbEvaluationDataNumber', 0xffffffff)
});

/** Read TCB info of TDX; throws `internal`. */
export const parseTcbInfo = (text: string): TcbInfo => {
	const value = readDocument(text, 'tcbInfo', 'TDX', 3);
	// The only way of composing a TCB level that the interface describes.
	if (value.tcbType !== 0) refuse('tcbType');
	return {
		...readEdition(value),
		fmspc: toHex(bytesOf(value, 'fmspc', 6)),
		pceId: toHex(bytesOf(value, 'pceId', 2)),
		// In this order Intel's library sorts by them.
		levels: sorted(filledListOf(value, 'tcbLevels').map(readPlatformLevel), ({ sgx, svn, tdx }) => [
			...sgx.map((component) => component.svn),
			svn,
			...tdx.map((component) => component.svn)
		]),
		module: readIdentity(own(value, 'tdxModule'), 48, 8),
		identities: readModuleIdentities(value)
	};
};

/** Read the identity of the TD quoting enclave; throws `internal`. */
export const parseQeIdentity = (text: string): QeIdentity => {
	const value = readDocument(text, 'enclaveIdentity', 'TD_QE', 2);
	return {
		...readEdition(value),
		...readIdentity(value, 32, 16),
		miscselect: bytesOf(value, 'miscselect', 4),
		miscselectMask: bytesOf(value, 'miscselectMask', 4),
		product: numberOf(value, 'isvprodid'),
		levels: readOwnLevels(value)
	};
};
