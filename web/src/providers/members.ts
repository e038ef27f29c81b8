import type { CheckId } from '../base/checks';
import { isObject, own, type JsonObject } from '../base/json';
import type { ReasonCode } from '../base/reasons';
import TABLE from './claims.json';

/*
 * Which members a service's token has, and what each has to be: `claims.json`, which cczoo-verify
 * reads as well (verifier/services/members.py says what it means).
 */

/** What one member has to be; a code that is not there means that nothing follows. */
interface Rule {
	type: keyof typeof TYPES;
	role?: 'status' | 'vector' | 'evidence' | 'words';
	/** The check that it counts for. */
	check?: CheckId;
	/** The code that follows where it is not there, or is of another type. */
	missing?: ReasonCode;
	other?: ReasonCode;
}
type Rules = Record<string, Rule>;

/** The names of one kind of token, in its payload and in each of its submodules. */
export interface Generation {
	profiles: readonly string[];
	old_statuses: boolean;
	payload: Rules;
	submodule: Rules;
}

const { generations, platform, old_statuses, in_date, policy, tiers } = TABLE as {
	generations: Record<'trustee' | '04' | 'simple', Generation>;
	platform: Rules;
	old_statuses: Record<string, string>;
	in_date: string;
	policy: string;
	tiers: string[];
};

/** Trustee's older token, which Alibaba Cloud's service has too. */
export const SIMPLE = generations.simple;

/** `collateral_expiration_status` where all of it is in date. */
export const IN_DATE = in_date;

/**
 * The policy that a service applies where it is asked for none, as it is here. Another one was chosen by
 * whoever passed the request on.
 */
export const ASKED_POLICY = policy;

const isText = (value: unknown): value is string => typeof value === 'string';

const MOMENT = /^([1-9]\d{3}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.\d{1,9})?(?:Z|\+00:00)$/;

/**
 * Milliseconds since 1970 of a date with a time in UTC (RFC 3339), or NaN. Parts of seconds do not
 * count; nor does a date that no calendar has, which JavaScript would take for a later one.
 */
export const momentOf = (value: unknown): number => {
	const [, text = ''] = (isText(value) && MOMENT.exec(value)) || [];
	const date = new Date(`${text}Z`);
	const isDate = !isNaN(date.getTime()) && date.toISOString().startsWith(text);
	return isDate ? date.getTime() : NaN;
};

/** A trustworthiness vector (draft-ietf-rats-ar4si, section 2.3): claims from -128 to 127. */
const isVector = (value: unknown): boolean =>
	isObject(value) &&
	Object.entries(value).every(
		([name, claim]) =>
			/^[a-z][a-z-]{0,31}$/.test(name) &&
			Number.isInteger(claim) &&
			Number(claim) >= -128 &&
			Number(claim) <= 127
	);

const TYPES = {
	any: () => true,
	boolean: (value) => typeof value === 'boolean',
	count: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
	list: (value) => Array.isArray(value),
	moment: (value) => !isNaN(momentOf(value)),
	object: isObject,
	policies: (value) =>
		Array.isArray(value) && value.length > 0 && value.every((each) => each === ASKED_POLICY),
	policy: (value) => value === ASKED_POLICY,
	text: isText,
	texts: (value) => Array.isArray(value) && value.every(isText),
	tier: (value) => isText(value) && tiers.includes(value),
	vector: isVector
} satisfies Record<string, (value: unknown) => boolean>;

/** The code that follows from a member as it is, or undefined where it is in order. */
export const verdictOn = (
	holder: JsonObject,
	name: string,
	{ type, missing, other }: Rule
): ReasonCode | undefined => {
	if (!Object.hasOwn(holder, name)) return missing;
	return TYPES[type](holder[name]) ? undefined : other;
};

/** The submodules' member with this role; empty where there is none. */
export const named = ({ submodule }: Generation, role: Rule['role']): string =>
	Object.keys(submodule).find((name) => submodule[name]?.role === role) ?? '';

const namesIn = ({ payload, submodule }: Generation): string[] => [
	...Object.keys(payload),
	...Object.keys(submodule)
];

/** Every name that belongs to one kind of token, and to no other. */
const NAMES = Object.values(generations).flatMap(namesIn);

/** The names that an EAR has to keep to; the newer ones where it has both. */
export const generationOf = (payload: JsonObject, submods: readonly unknown[]): Generation => {
	const newer = generations['04'];
	const profile = own(payload, 'eat_profile');
	const has = [payload, ...submods.filter(isObject)].some((holder) =>
		namesIn(newer).some((name) => Object.hasOwn(holder, name))
	);
	return has || (isText(profile) && newer.profiles.includes(profile)) ? newer : generations.trustee;
};

/** The first name that may not be in an object, or that is not what it must be. */
const faultIn = (
	holder: JsonObject,
	rules: Rules,
	refused: readonly string[]
): string | undefined => {
	const foreign = Object.keys(holder).find((name) => refused.includes(name));
	if (foreign !== undefined) return foreign;
	const wrong = Object.entries(rules).find(
		([name, rule]) => verdictOn(holder, name, rule) === 'token-claim'
	);
	return wrong?.[0];
};

/**
 * The first member that makes this no token of one kind, or undefined where there is none.
 *
 * Names of two generations, a verdict outside of the submodules or inside one of them: of two
 * readers each could find another status.
 */
export const firstFault = (
	payload: JsonObject,
	submods: readonly unknown[],
	generation: Generation
): string | undefined => {
	const own = namesIn(generation);
	const outside = NAMES.filter((name) => !Object.hasOwn(generation.payload, name));
	const inside = ['submods', ...NAMES.filter((name) => !own.includes(name))];
	const faults = [
		faultIn(payload, generation.payload, outside),
		...submods.filter(isObject).map((part) => faultIn(part, generation.submodule, inside))
	];
	return faults.find((name) => name !== undefined);
};

/** What a service tells of platform and collateral, by Trustee's names. */
export interface Told {
	/** Those of the type that counts. */
	values: JsonObject;
	/** The names of judged ones of another type. */
	wrong: readonly string[];
	/** One that is told twice, and differently. */
	differing?: string;
}

/** What is told in any of these objects. */
export const readPlatform = (places: readonly unknown[], generation: Generation): Told => {
	const holders = places.filter(isObject);
	const values: JsonObject = {};
	const wrong: string[] = [];
	let differing: string | undefined;
	for (const [name, { type, other }] of Object.entries(platform)) {
		const [first, ...more] = holders.filter((holder) => Object.hasOwn(holder, name));
		if (!first) continue;
		const text = JSON.stringify(first[name]);
		if (more.some((holder) => JSON.stringify(holder[name]) !== text)) differing ??= name;
		else if (TYPES[type](first[name])) values[name] = first[name];
		else if (other) wrong.push(name);
	}
	const status = values.tcb_status;
	if (generation.old_statuses && isText(status)) {
		values.tcb_status = own(old_statuses, status) ?? status;
	}
	return { values, wrong, differing };
};

/** The first wrong one that a check is about, with the code that follows. */
export const wrongFor = ({ wrong }: Told, check: CheckId): string[] =>
	wrong.filter((name) => platform[name]?.check === check);

/** The code that follows where a judged member is of another type. */
export const codeOfWrong = (name: string): ReasonCode => platform[name]?.other ?? 'not-told';
