import type { Finding } from '../base/checks';
import { fromHex } from '../base/encoding';
import { parseObject, type JsonObject } from '../base/json';
import { asProblem, Problem } from '../base/problem';
import SCHEMA from './policy.schema.json';
import { violation } from './schema';
import type { WorkloadPolicy } from './workload';

type Rule = 'require' | 'allow' | 'forbid';

/** The bits of TD_ATTRIBUTES that a policy may rule on (Intel TDX module ABI). */
const RULED = [
	['icssd', 16n],
	['servtd_ext', 17n],
	['lass', 27n],
	['sept_ve_disable', 28n],
	['migratable', 29n],
	['pks', 30n],
	['key_locker', 31n],
	['tpa', 62n],
	['perfmon', 63n]
] as const;
type Ruled = (typeof RULED)[number][0];

/** What a PCK certificate says of its machine, with the names that attestation services have for it. */
const FLAGS = [
	['dynamic_platform', 'is_dynamic_platform'],
	['cached_keys', 'is_cached_keys'],
	['smt', 'is_smt_enabled']
] as const;
type Flag = (typeof FLAGS)[number][0];

/** Fields of a quote of which a policy can hold some bits. */
const MASKED = ['td_attributes', 'xfam'] as const;
type Masked = (typeof MASKED)[number];

/** What the relying party accepts (policy.schema.json), with every default filled in. */
export interface Policy {
	/** TCB statuses; one that is in neither list fails, one that is in both passes. */
	tcb: {
		pass: string[];
		warn: string[];
		advisories?: string[];
		/** Advisories that may not apply, whatever the others. */
		refused_advisories?: string[];
		/** Seconds after its date that a platform which is out of date still warns only. */
		grace?: number;
		min_date?: string;
		/** The lowest `tcbEvaluationDataNumber` of the documents by which it was judged. */
		min_evaluation?: number;
	};
	td_attributes: Record<Ruled, Rule>;
	platform: Record<Flag, 'allow' | 'forbid'>;
	/** Seconds after its end that collateral still counts, with a warning. */
	collateral: { grace: number };
	/** Hex as in the quote: the bits in `mask` have to be those of `value`. */
	masked_values: Partial<Record<Masked, { mask: string; value: string }>>;
	/** A body field's name, and the values (lower-case hex) of which the quote's must be one. */
	reference_values: Record<string, string[]>;
	/** The RTMRs that the event logs must account for; none where it does not say. */
	explained_registers?: string[];
	/** 5: the quote has to name the service TD. */
	min_quote_version: number;
	/** Seconds that a result counts. */
	max_age: number;
	/** Does a quote that binds no key fail? */
	require_sealed: boolean;
	/** What is asked of what runs there; nothing where it does not say. */
	workload?: WorkloadPolicy;
}

/** Characters, as of every text in the settings. */
export const TEXT_LIMIT = 1 << 16;

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
		servtd_ext: 'forbid',
		lass: 'forbid',
		migratable: 'forbid',
		tpa: 'forbid'
	},
	platform: { dynamic_platform: 'allow', cached_keys: 'allow', smt: 'allow' },
	collateral: { grace: 0 },
	masked_values: {},
	reference_values: {},
	min_quote_version: 4,
	max_age: 3600,
	require_sealed: false
};

const read = (text: string): JsonObject => {
	try {
		if (text.length > TEXT_LIMIT) throw new Problem('internal', 'size');
		return parseObject(text);
	} catch (error) {
		throw new Problem('policy-malformed', asProblem(error).detail);
	}
};

/** A little-endian number in hex. */
const little = (hex: string): bigint =>
	fromHex(hex).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/**
 * `Date.parse` takes the 31st of any month: only a date that comes back as it went in is one. The
 * calendar begins with year 1.
 */
const isDate = (text: string): boolean => {
	const date = new Date(text);
	const same = !isNaN(date.getTime()) && date.toISOString().slice(0, 19) === text.slice(0, 19);
	return same && text > '0001';
};

const lowered = (values: Policy['reference_values']): Policy['reference_values'] =>
	Object.fromEntries(
		Object.entries(values).map(([name, items]) => [name, items.map((item) => item.toLowerCase())])
	);

/** Does a masked value want bits that its mask leaves out? Nothing could ever have it. */
const wantsOutside = (wanted?: { mask: string; value: string }): boolean =>
	wanted !== undefined && (little(wanted.value) & ~little(wanted.mask)) !== 0n;

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
	const { tcb, reference_values, masked_values = {}, ...given } = value as Partial<Policy>;
	if (tcb?.min_date !== undefined && !isDate(tcb.min_date)) {
		throw new Problem('policy-malformed', '/tcb/min_date');
	}
	const { not_after } = given.workload?.release ?? {};
	if (not_after !== undefined && !isDate(not_after)) {
		throw new Problem('policy-malformed', '/workload/release/not_after');
	}
	const idle = MASKED.find((name) => wantsOutside(masked_values[name]));
	if (idle) throw new Problem('policy-malformed', `/masked_values/${idle}`);
	const { min_quote_version, max_age, require_sealed, explained_registers, workload } = given;
	return {
		tcb: { ...DEFAULT_POLICY.tcb, ...tcb },
		td_attributes: { ...DEFAULT_POLICY.td_attributes, ...given.td_attributes },
		platform: { ...DEFAULT_POLICY.platform, ...given.platform },
		collateral: { ...DEFAULT_POLICY.collateral, ...given.collateral },
		masked_values,
		reference_values: lowered(reference_values ?? {}),
		...(explained_registers && { explained_registers }),
		...(workload && { workload }),
		min_quote_version: min_quote_version ?? DEFAULT_POLICY.min_quote_version,
		max_age: max_age ?? DEFAULT_POLICY.max_age,
		require_sealed: require_sealed ?? DEFAULT_POLICY.require_sealed
	};
};

/** A platform's TCB as far as it is known: a service may name no more than a part of it. */
export interface Tcb {
	status?: string;
	advisories?: string[];
	/** RFC 3339: the earliest date of all that it was judged by. */
	date?: string;
	/** `tcbEvaluationDataNumber` of the documents by which it was judged, the lower one. */
	evaluation?: number;
	/** What of it is not up to date, part by part, where that is known. */
	short?: string[];
	/** What its PCK certificate says of the machine; null where that has no word on it. */
	platform?: Partial<Record<Flag, boolean>> | null;
}

/** The statuses of a host that was updated while the TD ran. */
const RELAUNCH = ['TDRelaunchAdvised', 'TDRelaunchAdvisedConfigurationNeeded'];
/** The statuses that a policy can bear for a time after a recovery of Intel's TCB. */
const GRACED = ['OutOfDate', 'OutOfDateConfigurationNeeded'];

/** The flags that a policy forbids. */
const forbidden = ({ platform }: Policy) => FLAGS.filter(([flag]) => platform[flag] === 'forbid');

/** What a policy asks for and nobody says, by Trustee's names. */
const untold = (policy: Policy, { status, advisories, date, evaluation, platform }: Tcb) => {
	const { tcb } = policy;
	const wanted: (readonly [name: string, asked: unknown, told: unknown])[] = [
		['tcb_status', true, status],
		['advisory_ids', tcb.advisories ?? tcb.refused_advisories, advisories],
		['tcb_date', tcb.min_date, date],
		['tcb_eval_num', tcb.min_evaluation, evaluation],
		...forbidden(policy).map(([flag, name]) => [name, true, platform && platform[flag]] as const)
	];
	return wanted
		.filter(([, asked, told]) => asked !== undefined && told === undefined)
		.map(([name]) => name);
};

/** Seconds since 1970 up to when a policy bears this TCB; NaN where it does not. Parts do not count. */
const graceEnd = ({ tcb }: Policy, { status = '', date = '' }: Tcb): number =>
	GRACED.includes(status) ? Math.floor(Date.parse(date) / 1000) + (tcb.grace ?? NaN) : NaN;

/** The status under a policy, as of now; throws `tcb-relaunch` or `tcb-status`. */
const appraiseStatus = (policy: Policy, told: Tcb, now: number): Finding => {
	const { status = '', advisories = [], short = [] } = told;
	// What a person can have mended comes first: the end may be cut off.
	const wanting = short.length > 0 ? [`(${short.join(', ')})`] : [];
	const detail = [status, ...wanting, ...advisories].join(' ');
	const code = RELAUNCH.includes(status) ? 'tcb-relaunch' : 'tcb-status';
	if (policy.tcb.pass.includes(status)) return { outcome: 'pass', detail };
	if (policy.tcb.warn.includes(status)) return { outcome: 'warn', code, detail };
	const until = graceEnd(policy, told);
	if (!(until >= now)) throw new Problem(code, detail);
	const end = new Date(until * 1000).toISOString().slice(0, 19);
	return { outcome: 'warn', code: 'tcb-grace', detail: `${end}Z ${detail}`, until };
};

/** tcb-status under a policy, as of now (seconds since 1970); throws `not-told` or what is wrong. */
export const appraiseTcb = (policy: Policy, told: Tcb, now: number): Finding => {
	const missing = untold(policy, told);
	if (missing.length > 0) throw new Problem('not-told', missing.join(', '));
	const { tcb } = policy;
	const { advisories = [], date = '', evaluation = -1, platform } = told;
	const refused = forbidden(policy).filter(([flag]) => platform?.[flag] !== false);
	if (refused.length > 0) {
		throw new Problem('platform-refused', refused.map(([flag]) => flag).join(', '));
	}
	const finding = appraiseStatus(policy, told, now);
	const isTolerated = (id: string) =>
		(tcb.advisories?.includes(id) ?? true) && tcb.refused_advisories?.includes(id) !== true;
	if (!advisories.every(isTolerated)) throw new Problem('tcb-advisory', finding.detail);
	if (tcb.min_date && !(Date.parse(date) >= Date.parse(tcb.min_date))) {
		throw new Problem('tcb-old', date);
	}
	if (tcb.min_evaluation !== undefined && evaluation < tcb.min_evaluation) {
		throw new Problem('tcb-evaluation', String(evaluation));
	}
	return finding;
};

/** Fields of a quote's body in lower-case hex, by their names there. */
type Body = Partial<Record<string, string>>;
type TdBody = Body & { td_attributes: string; xfam: string };

/** Is a field there, and says something? */
const isBeyondZero = (hex = ''): boolean => /[^0]/.test(hex);

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
 * profiling, the others are reserved. A nested guest is another one than the measured TD. A quote of
 * a kind that names no service TD is told, as the host chooses the kind, and could hide one by it.
 */
export const appraiseAttributes = (policy: Policy, body: TdBody): Finding => {
	const { td_attributes: rules, masked_values, reference_values, min_quote_version } = policy;
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
	for (const name of MASKED) {
		const { mask = '', value = '' } = masked_values[name] ?? {};
		if ((little(body[name]) & little(mask)) !== little(value)) fail(`values-masked: ${name}`);
	}
	if (isBeyondZero(body.vmid) && !reference_values.vmid) fail('nested-guest');
	if (body.mr_servicetd !== undefined) return { outcome: 'pass' };
	if (min_quote_version >= NAMES_SERVICE_TD) throw new Problem('td-attributes', UNKNOWN_SERVICE_TD);
	return { outcome: 'pass', code: UNKNOWN_SERVICE_TD };
};

/** What a quote says of service TDs: at the start, and now. */
const SERVICE_TD_ATTRIBUTES = ['init_server_td_attr', 'curr_server_td_attr'];
const SERVICE_TDS = ['mr_servicetd', 'init_server_td_hash', 'curr_server_td_hash'];

/**
 * The other part of td-attributes, where no attestation service judges: a service TD that is bound
 * to this one, or was, must be named by the policy, for it could do with it what its code does.
 */
export const appraiseServiceTd = ({ reference_values }: Policy, body: Body): void => {
	const isUnnamed = (name: string) => isBeyondZero(body[name]) && !reference_values[name];
	const attributes = SERVICE_TD_ATTRIBUTES.find(isUnnamed);
	if (attributes) fail(`service-td-attributes: ${attributes}`);
	const bound = SERVICE_TDS.find(isUnnamed);
	if (bound) fail(`service-td: ${bound}`);
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
