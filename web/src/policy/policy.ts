import type { Finding } from '../base/checks';
import { fromHex } from '../base/encoding';
import { isObject, parseObject, type JsonObject } from '../base/json';
import { asProblem, Problem } from '../base/problem';
import SCHEMA from './policy.schema.json';

type Rule = 'require' | 'allow' | 'forbid';

/** The bits of TD_ATTRIBUTES that a policy may rule on (Intel TDX module ABI). */
const RULED = [
	['icssd', 16n],
	['lass', 27n],
	['sept_ve_disable', 28n],
	['migratable', 29n],
	['pks', 30n],
	['key_locker', 31n],
	['tpa', 62n],
	['perfmon', 63n]
] as const;
type Ruled = (typeof RULED)[number][0];

/** What the relying party accepts (policy.schema.json), with every default filled in. */
export interface Policy {
	/** TCB statuses; one that is in neither list fails, one that is in both passes. */
	tcb: {
		pass: string[];
		warn: string[];
		advisories?: string[];
		min_date?: string;
		/** The lowest `tcbEvaluationDataNumber` of the documents by which it was judged. */
		min_evaluation?: number;
	};
	td_attributes: Record<Ruled, Rule>;
	/** A body field's name, and the values (lower-case hex) of which the quote's must be one. */
	reference_values: Record<string, string[]>;
	/** The RTMRs that the event logs must account for; none where it does not say. */
	explained_registers?: string[];
	/** 5: the quote has to name the service TD. */
	min_quote_version: number;
	/** Seconds that a result counts. */
	max_age: number;
}

/** Characters, as of every text in the settings. */
const TEXT_LIMIT = 1 << 16;

export const DEFAULT_POLICY: Policy = {
	tcb: {
		pass: ['UpToDate'],
		warn: ['SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded']
	},
	td_attributes: {
		sept_ve_disable: 'require',
		pks: 'allow',
		key_locker: 'allow',
		perfmon: 'allow',
		icssd: 'forbid',
		lass: 'forbid',
		migratable: 'forbid',
		tpa: 'forbid'
	},
	reference_values: {},
	min_quote_version: 4,
	max_age: 3600
};

/** The part of JSON Schema (2020-12) that the schema uses; a test holds it to that. */
export interface Schema {
	type?: string;
	const?: unknown;
	enum?: unknown[];
	pattern?: string;
	minimum?: number;
	maximum?: number;
	items?: Schema;
	minItems?: number;
	maxItems?: number;
	uniqueItems?: boolean;
	properties?: Record<string, Schema>;
	patternProperties?: Record<string, Schema>;
	required?: string[];
	additionalProperties?: boolean;
}

const typeOf = (value: unknown): string => {
	if (Array.isArray(value)) return 'array';
	if (value === null) return 'null';
	return Number.isInteger(value) ? 'integer' : typeof value;
};

const matches = (pattern: string, text: string): boolean => new RegExp(pattern, 'u').test(text);

/** Is a number, or a length, outside of what the schema allows? A bound that is not there is none. */
const isOutside = (value: number, min = -Infinity, max = Infinity): boolean =>
	!(value >= min && value <= max);

/** Does the schema refuse the value by itself, whatever is inside it? */
const refuses = (wanted: Schema, value: unknown): boolean => {
	if (wanted.type !== undefined && typeOf(value) !== wanted.type) return true;
	if ('const' in wanted && value !== wanted.const) return true;
	if (wanted.enum && !wanted.enum.includes(value)) return true;
	if (typeof value === 'string') {
		return wanted.pattern !== undefined && !matches(wanted.pattern, value);
	}
	if (typeof value === 'number') return isOutside(value, wanted.minimum, wanted.maximum);
	if (!Array.isArray(value)) return false;
	if (wanted.uniqueItems && new Set(value).size < value.length) return true;
	return isOutside(value.length, wanted.minItems, wanted.maxItems);
};

/** The schema of a member by its name, or undefined where none is said to be there. */
const memberOf = (
	{ properties = {}, patternProperties = {} }: Schema,
	name: string
): Schema | undefined => {
	if (Object.hasOwn(properties, name)) return properties[name];
	return Object.entries(patternProperties).find(([pattern]) => matches(pattern, name))?.[1];
};

/** The path of the first member of an object that the schema refuses; null: all is well. */
const violationInObject = (value: object, wanted: Schema, path: string): string | null => {
	const missing = wanted.required?.find((name) => !Object.hasOwn(value, name));
	if (missing !== undefined) return `${path}/${missing}`;
	for (const [name, member] of Object.entries(value)) {
		const inside = memberOf(wanted, name);
		const below = `${path}/${name}`;
		if (!inside && wanted.additionalProperties === false) return below;
		const found = inside ? violation(member, inside, below) : null;
		if (found !== null) return found;
	}
	return null;
};

/** The path of the first member that the schema refuses, as a JSON pointer; null: all is well. */
export const violation = (value: unknown, wanted: Schema, path = ''): string | null => {
	if (refuses(wanted, value)) return path || '/';
	if (isObject(value)) return violationInObject(value, wanted, path);
	const items: unknown[] = Array.isArray(value) ? value : [];
	for (const [at, item] of items.entries()) {
		const found = wanted.items ? violation(item, wanted.items, `${path}/${at}`) : null;
		if (found !== null) return found;
	}
	return null;
};

const read = (text: string): JsonObject => {
	try {
		if (text.length > TEXT_LIMIT) throw new Problem('internal', 'size');
		return parseObject(text);
	} catch (error) {
		throw new Problem('policy-malformed', asProblem(error).detail);
	}
};

/** `Date.parse` takes the 31st of any month: only a date that comes back as it went in is one. */
const isDate = (text: string): boolean => {
	const date = new Date(text);
	return !isNaN(date.getTime()) && date.toISOString().slice(0, 19) === text.slice(0, 19);
};

const lowered = (values: Policy['reference_values']): Policy['reference_values'] =>
	Object.fromEntries(
		Object.entries(values).map(([name, items]) => [name, items.map((item) => item.toLowerCase())])
	);

/**
 * Read a policy's JSON text; throws `policy-malformed` with the path of the member that is wrong.
 *
 * A member that is not known is wrong too: a typo must not loosen anything.
 */
export const parsePolicy = (text: string): Policy => {
	const value = read(text);
	const wrong = violation(value, SCHEMA);
	if (wrong !== null) throw new Problem('policy-malformed', wrong);
	// The schema vouches for the shape.
	const { tcb, td_attributes, reference_values, explained_registers, min_quote_version, max_age } =
		value as Partial<Policy>;
	if (tcb?.min_date !== undefined && !isDate(tcb.min_date)) {
		throw new Problem('policy-malformed', '/tcb/min_date');
	}
	return {
		tcb: { ...DEFAULT_POLICY.tcb, ...tcb },
		td_attributes: { ...DEFAULT_POLICY.td_attributes, ...td_attributes },
		reference_values: lowered(reference_values ?? {}),
		...(explained_registers && { explained_registers }),
		min_quote_version: min_quote_version ?? DEFAULT_POLICY.min_quote_version,
		max_age: max_age ?? DEFAULT_POLICY.max_age
	};
};

/** A platform's TCB as far as it is known: a service may name no more than a part of it. */
export interface Tcb {
	status?: string;
	advisories?: string[];
	/** RFC 3339, of the platform's TCB level. */
	date?: string;
	/** `tcbEvaluationDataNumber` of the documents by which it was judged, the lower one. */
	evaluation?: number;
}

/** The statuses of a host that was updated while the TD ran. */
const RELAUNCH = ['TDRelaunchAdvised', 'TDRelaunchAdvisedConfigurationNeeded'];

/** What a policy asks for and nobody says, by Trustee's names. */
const untold = ({ tcb }: Policy, { status, advisories, date, evaluation }: Tcb): string[] => {
	const wanted = [
		['tcb_status', true, status],
		['advisory_ids', tcb.advisories, advisories],
		['tcb_date', tcb.min_date, date],
		['tcb_eval_num', tcb.min_evaluation, evaluation]
	] as const;
	return wanted
		.filter(([, asked, told]) => asked !== undefined && told === undefined)
		.map(([name]) => name);
};

/** tcb-status under a policy; throws `not-told` or what is wrong. */
export const appraiseTcb = (policy: Policy, told: Tcb): Finding => {
	const missing = untold(policy, told);
	if (missing.length > 0) throw new Problem('not-told', missing.join(', '));
	const { tcb } = policy;
	const { status = '', advisories, date, evaluation = -1 } = told;
	const detail = [status, ...(advisories ?? [])].join(' ');
	const code = RELAUNCH.includes(status) ? 'tcb-relaunch' : 'tcb-status';
	const pass = tcb.pass.includes(status);
	if (!pass && !tcb.warn.includes(status)) throw new Problem(code, detail);
	const allowed = tcb.advisories;
	if (allowed && !advisories?.every((id) => allowed.includes(id))) {
		throw new Problem('tcb-advisory', detail);
	}
	if (tcb.min_date && !(Date.parse(date ?? '') >= Date.parse(tcb.min_date))) {
		throw new Problem('tcb-old', date ?? '');
	}
	if (tcb.min_evaluation !== undefined && evaluation < tcb.min_evaluation) {
		throw new Problem('tcb-evaluation', String(evaluation));
	}
	return pass ? { outcome: 'pass', detail } : { outcome: 'warn', code, detail };
};

/** Fields of a quote's body in lower-case hex, by their names there. */
type Body = Partial<Record<string, string>>;

/** A little-endian number in hex. */
const little = (hex: string): bigint =>
	fromHex(hex).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

const fail = (detail: string): never => {
	throw new Problem('td-attributes', detail);
};

/** The TD_ATTRIBUTES bit that lets the host read the TD's memory. */
const DEBUG = 1n;
/** XFAM bits that a TD must have, and all that it may have (Intel TDX module ABI). */
const XFAM_FIXED = 0x3n;
const XFAM_ALLOWED = 0x6dbe7n;
/** The version of quotes that can say, with a body of TDX 1.5, which service TD is bound. */
const NAMES_SERVICE_TD = 5;
const UNKNOWN_SERVICE_TD = 'service-td-unknown';

/**
 * td-attributes under a policy; throws `td-attributes`.
 *
 * Nothing but the bits that a policy rules on may be set: the lowest byte puts a TD under debug or
 * profiling, the others are reserved. A quote of a kind that names no service TD is told, as the
 * host chooses the kind, and could hide one by it.
 */
export const appraiseAttributes = (
	{ td_attributes: rules, min_quote_version }: Policy,
	body: { td_attributes: string; xfam: string; mr_servicetd?: string }
): Finding => {
	const bits = little(body.td_attributes);
	const known = RULED.reduce((all, [, at]) => all | (1n << at), 0n);
	if ((bits & DEBUG) !== 0n) fail('debug');
	if ((bits & ~known) !== 0n) fail('reserved');
	for (const [name, at] of RULED) {
		const isSet = (bits & (1n << at)) !== 0n;
		const broken = isSet ? 'forbid' : 'require';
		if (rules[name] !== broken) continue;
		fail(name === 'sept_ve_disable' ? 'sept-ve' : `attributes-refused: ${name}`);
	}
	const xfam = little(body.xfam);
	if ((xfam & XFAM_FIXED) !== XFAM_FIXED || (xfam & ~XFAM_ALLOWED) !== 0n) fail('xfam');
	if (body.mr_servicetd !== undefined) return { outcome: 'pass' };
	if (min_quote_version >= NAMES_SERVICE_TD) throw new Problem('td-attributes', UNKNOWN_SERVICE_TD);
	return { outcome: 'pass', code: UNKNOWN_SERVICE_TD };
};

/**
 * The other part of td-attributes, where no attestation service judges: a service TD that is bound
 * to this one must be named by the policy, for it could do with it what its code does.
 */
export const appraiseServiceTd = (
	{ reference_values }: Policy,
	{ mr_servicetd = '' }: Body
): void => {
	if (/[^0]/.test(mr_servicetd) && !reference_values.mr_servicetd) fail('service-td');
};

/** Where the event logs lead: see evidence/eventlog.ts. */
interface Replayed {
	explained: readonly string[];
	unexplained: readonly string[];
}

/**
 * event-log under a policy, null where there is no log; throws `log-unexplained` with the registers
 * that a log should account for and does not.
 *
 * Without such a policy they are told: a log that was held back would say less, and must not be
 * better.
 */
export const appraiseLogs = (
	{ explained_registers = [] }: Policy,
	replayed: Replayed | null
): Finding => {
	const { explained = [], unexplained = [] } = replayed ?? {};
	const missing = explained_registers.filter((name) => !explained.includes(name));
	if (missing.length > 0) throw new Problem('log-unexplained', missing.join(', '));
	if (!replayed) return { outcome: 'skipped', code: 'no-log' };
	return unexplained.length > 0
		? { outcome: 'pass', code: 'log-unexplained', detail: unexplained.join(', ') }
		: { outcome: 'pass', detail: explained.join(', ') };
};

/**
 * reference-values under a policy that has some, with the names of the fields that agree.
 * Throws `reference-values` with the fields that do not; one that the quote lacks does not agree.
 */
export const appraiseReferences = ({ reference_values }: Policy, body: Body): Finding => {
	// Attestation services, and so the parsed quote, call this one by a shorter name.
	const actual = (name: string) => body[name === 'tee_tcb_svn' ? 'tcb_svn' : name] ?? '';
	const differing = Object.entries(reference_values)
		.filter(([name, values]) => !values.includes(actual(name)))
		.map(([name]) => `${name} ${actual(name)}`);
	if (differing.length > 0) throw new Problem('reference-values', differing.join(', '));
	return { outcome: 'pass', detail: Object.keys(reference_values).join(', ') };
};
