import { fromHex } from './encoding';
import { isObject, own, parseObject } from './json';
import { additionalProperties, properties, required, type } from './policy.schema.json';
import { Problem } from './problem';
import type { Finding } from './providers/provider';

type Rule = 'require' | 'allow' | 'forbid';

/** What the relying party accepts (policy.schema.json), with every default filled in. */
export interface Policy {
	/** TCB statuses; one that is in neither list fails, one that is in both passes. */
	tcb: { pass: string[]; warn: string[]; advisories?: string[]; min_date?: string };
	td_attributes: Record<keyof typeof ATTRIBUTES, Rule>;
	/** A body field's name, and the values (lower-case hex) of which the quote's must be one. */
	reference_values: Record<string, string[]>;
	/** Seconds that a result counts. */
	max_age: number;
}

/** Characters, as of every text in the settings. */
const TEXT_LIMIT = 1 << 16;

/** The bits of TD_ATTRIBUTES that a policy may rule on (Intel TDX module ABI). */
const ATTRIBUTES = { sept_ve_disable: 28, pks: 30, key_locker: 31, perfmon: 63 };

export const DEFAULT_POLICY: Policy = {
	tcb: {
		pass: ['UpToDate'],
		warn: ['SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded']
	},
	td_attributes: { sept_ve_disable: 'require', pks: 'allow', key_locker: 'allow', perfmon: 'allow' },
	reference_values: {},
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

/** Without its notes, which need not weigh on the page. */
const SCHEMA: Schema = { additionalProperties, properties, required, type };

const typeOf = (value: unknown): string => {
	if (Array.isArray(value)) return 'array';
	if (value === null) return 'null';
	return Number.isInteger(value) ? 'integer' : typeof value;
};

/** Does the schema refuse the value by itself, whatever is inside it? */
const refuses = (wanted: Schema, value: unknown): boolean => {
	if (wanted.type !== undefined && typeOf(value) !== wanted.type) return true;
	if ('const' in wanted && value !== wanted.const) return true;
	if (wanted.enum && !wanted.enum.includes(value)) return true;
	const { minimum = -Infinity, maximum = Infinity, minItems = 0, maxItems = Infinity } = wanted;
	if (typeof value === 'string') {
		return wanted.pattern !== undefined && !new RegExp(wanted.pattern, 'u').test(value);
	}
	if (typeof value === 'number') return !(value >= minimum && value <= maximum);
	if (!Array.isArray(value)) return false;
	const repeated = wanted.uniqueItems && new Set(value).size < value.length;
	return repeated || value.length < minItems || value.length > maxItems;
};

/** The schema of a member by its name, or undefined where none is said to be there. */
const memberOf = ({ properties, patternProperties = {} }: Schema, name: string): unknown =>
	own(properties, name) ??
	Object.entries(patternProperties).find(([pattern]) => new RegExp(pattern, 'u').test(name))?.[1];

/** The path of the first member that the schema refuses, as a JSON pointer; null: all is well. */
export const violation = (value: unknown, wanted: Schema, path = ''): string | null => {
	if (refuses(wanted, value)) return path || '/';
	const missing = isObject(value) && wanted.required?.find((name) => own(value, name) === undefined);
	if (missing) return `${path}/${missing}`;
	const inner = typeof value === 'object' && value !== null ? value : {};
	for (const [name, member] of Object.entries(inner)) {
		const inside = Array.isArray(value) ? wanted.items : memberOf(wanted, name);
		const unknown = isObject(value) && !inside && wanted.additionalProperties === false;
		const below = `${path}/${name}`;
		const found = unknown ? below : violation(member, (inside ?? {}) as Schema, below);
		if (found !== null) return found;
	}
	return null;
};

/**
 * Read a policy's JSON text; throws `policy-malformed` with the path of the member that is wrong.
 *
 * A member that is not known is wrong too: a typo must not loosen anything.
 */
export const parsePolicy = (text: string): Policy => {
	let value: Partial<Policy>;
	try {
		if (text.length > TEXT_LIMIT) throw new Problem('internal', 'size');
		value = parseObject(text) as Partial<Policy>;
	} catch (error) {
		throw new Problem('policy-malformed', (error as Problem).detail);
	}
	const { tcb, td_attributes, reference_values, max_age } = value;
	const wrong = violation(value, SCHEMA) ?? impossibleDate(tcb?.min_date);
	if (wrong !== null) throw new Problem('policy-malformed', wrong);
	const lowered = Object.entries(reference_values ?? {}).map(([name, values]) => [
		name,
		values.map((item) => item.toLowerCase())
	]);
	return {
		tcb: { ...DEFAULT_POLICY.tcb, ...tcb },
		td_attributes: { ...DEFAULT_POLICY.td_attributes, ...td_attributes },
		reference_values: Object.fromEntries(lowered),
		max_age: max_age ?? DEFAULT_POLICY.max_age
	};
};

/** `Date.parse` takes the 31st of any month: only a date that comes back as it went in is one. */
const impossibleDate = (text?: string): string | null => {
	if (text === undefined) return null;
	const date = new Date(text);
	const same = !isNaN(date.getTime()) && date.toISOString().slice(0, 19) === text.slice(0, 19);
	return same ? null : '/tcb/min_date';
};

/** A platform's TCB as far as it is known: a service may name no more than the status. */
export interface Tcb {
	status: string;
	advisories?: string[];
	/** RFC 3339, of the platform's TCB level. */
	date?: string;
}

/** tcb-status under a policy; throws `tcb-status`. What the policy asks for and nobody says fails. */
export const appraiseTcb = ({ tcb }: Policy, { status, advisories, date }: Tcb): Finding => {
	const detail = [status, ...(advisories ?? [])].join(' ');
	const pass = tcb.pass.includes(status);
	if (!pass && !tcb.warn.includes(status)) throw new Problem('tcb-status', detail);
	const allowed = tcb.advisories;
	if (allowed && !advisories?.every((id) => allowed.includes(id))) {
		throw new Problem('tcb-advisory', detail);
	}
	if (tcb.min_date && !(Date.parse(date ?? '') >= Date.parse(tcb.min_date))) {
		throw new Problem('tcb-old', date ?? '');
	}
	return pass ? { outcome: 'pass', detail } : { outcome: 'warn', code: 'tcb-status', detail };
};

/** A measured body in hex, as in the quote. */
type Body = Partial<Record<string, string>>;

const little = (hex: string): bigint => fromHex(hex).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

const fail = (detail: string) => {
	throw new Problem('td-attributes', detail);
};

/** The TD_ATTRIBUTES bit that lets the host read the TD's memory. */
const DEBUG = 1n;
/** XFAM bits that a TD must have, and all that it may have (Intel TDX module ABI). */
const XFAM_FIXED = 0x3n;
const XFAM_ALLOWED = 0x6dbe7n;

/**
 * td-attributes under a policy; throws `td-attributes`.
 *
 * Nothing but the four bits that a policy rules on may be set: the lowest byte puts a TD under
 * debug or profiling, the others are reserved.
 */
export const appraiseAttributes = ({ td_attributes }: Policy, body: Body): void => {
	const bits = little(body.td_attributes as string);
	const rules = Object.entries(ATTRIBUTES).map(([name, at]) => [name, 1n << BigInt(at)] as const);
	if (bits & DEBUG) fail('debug');
	if (rules.reduce((rest, [, bit]) => rest & ~bit, bits)) fail('reserved');
	for (const [name, bit] of rules) {
		if (td_attributes[name as keyof typeof ATTRIBUTES] === (bits & bit ? 'forbid' : 'require')) {
			fail(name === 'sept_ve_disable' ? 'sept-ve' : `attributes-refused: ${name}`);
		}
	}
	const xfam = little(body.xfam as string);
	if ((xfam & XFAM_FIXED) !== XFAM_FIXED || xfam & ~XFAM_ALLOWED) fail('xfam');
};

/**
 * The other part of td-attributes, where no attestation service judges: a service TD that is bound
 * to this one must be named by the policy, for it could do with it what its code does.
 */
export const appraiseServiceTd = ({ reference_values }: Policy, { mr_servicetd }: Body): void => {
	if (/[^0]/.test(mr_servicetd ?? '') && !reference_values.mr_servicetd) fail('service-td');
};

/**
 * reference-values under a policy that has some, with the names of the fields that agree.
 * Throws `reference-values` with the fields that do not; one that the quote lacks does not agree.
 */
export const appraiseReferences = ({ reference_values }: Policy, body: Body): Finding => {
	const names = Object.keys(reference_values);
	// Attestation services, and so the parsed quote, call this one by a shorter name.
	const value = (name: string) => body[name === 'tee_tcb_svn' ? 'tcb_svn' : name] ?? '';
	const differing = names.filter((name) => !reference_values[name].includes(value(name)));
	if (differing.length > 0) {
		throw new Problem('reference-values', differing.map((n) => `${n} ${value(n)}`).join(', '));
	}
	return { outcome: 'pass', detail: names.join(', ') };
};
