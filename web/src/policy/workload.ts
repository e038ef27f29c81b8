import type { Finding } from '../base/checks';
import { Problem } from '../base/problem';
import type { Fact, Present } from '../evidence/facts';
import {
	READING,
	STORES_ASKED,
	type Code,
	type Digests,
	type Sections,
	type Store
} from '../evidence/statement';

/** What runs, each by its digests. */
const MEASURED = [
	['kit', 'kit'],
	['open_webui', 'open-webui'],
	['front_end', 'front-end'],
	['page', 'page'],
	['environment', 'environment']
] as const;
/** Whose versions a policy can name. */
const VERSIONED = [
	['open_webui', 'open-webui'],
	['kit', 'kit']
] as const;

type Rule =
	| 'no-model-outside'
	| 'no-unlisted-function'
	| 'storage-encrypted'
	| 'no-administrator-reads'
	| 'environment-without-unlisted';

/** Which signed releases may say what runs. The page reads none: cczoo-verify fills a policy in. */
interface ReleasePolicy {
	keys: readonly string[];
	min_serial?: number;
	/** When the values end that came from a release; undefined where none came yet. */
	not_after?: string;
}

/** What a policy asks of what runs here (policy.schema.json, member `workload`). */
export interface WorkloadPolicy extends Partial<
	Record<(typeof MEASURED)[number][0] | 'python' | 'models' | 'functions', readonly string[]>
> {
	versions?: Partial<Record<(typeof VERSIONED)[number][0], readonly string[]>>;
	require?: readonly Rule[];
	release?: ReleasePolicy;
}

/** A member of the policy, what it is about, and what was found; both are anybody's words. */
export type Violation = readonly [member: string, subject: string, found: string];

/** Everything that the check goes by. */
export interface Workload {
	/** Of the statement that the quote binds; undefined where it states nothing. */
	digests: Digests | undefined;
	/** Undefined where they are withheld. */
	sections: Sections | undefined;
	/** What the application's log says, where it leads to the quote's register; null where none does. */
	log: Present | null;
	policy: WorkloadPolicy | undefined;
	/** Do reference values, the policy's, cover all that the firmware and the boot measured? */
	covered: boolean;
	/** Does anything differ from what is remembered of this origin? */
	changed: boolean;
}

/** The ways by which models are asked for what is no chat. */
const TASKS = ['task-model', 'task-model-for-others', 'summary-model'];
export const isTask = (kind: string): boolean => TASKS.includes(kind);

const isIn = (list: readonly string[] = [], text: unknown): boolean =>
	typeof text === 'string' && list.includes(text);

/** Is all of it listed? What was left out is not known. */
export const areModelsKnown = ({ models }: Sections): boolean =>
	models?.listed === true && models.left_out === 0 && models.offered !== undefined;
export const areWaysKnown = ({ connections }: Sections): boolean =>
	connections?.left_out === 0 && connections.ways !== undefined;
export const isCodeKnown = ({ functions }: Sections): boolean =>
	functions?.listed === true && functions.left_out === 0 && functions.present !== undefined;

/** Is what lies there kept from others? */
export const isSecret = ({ kind, secrecy }: Store): boolean =>
	kind === 'none' || secrecy === 'kept';

/** Functions and tools that run, and that no policy lists. */
const unlisted = ({ functions }: Sections, policy?: WorkloadPolicy): Code[] =>
	(functions?.present ?? []).filter(
		({ active, digest }) => active && !isIn(policy?.functions, digest)
	);

/** The names of what could read keys, an empty one for what nobody knows. */
export const readersOf = (sections: Sections, policy?: WorkloadPolicy): string[] => [
	...(isCodeKnown(sections) ? [] : ['']),
	...unlisted(sections, policy).map(({ id }) => id)
];

/** The content of the one fact of a kind, without members where it is not there. */
export const factOf = ({ measured }: Sections, kind: string): Fact['content'] =>
	measured?.facts?.find((fact) => fact.kind === kind)?.content ?? {};

/** The digest of no compiled module: nothing runs but what the sources say. */
const NO_BYTECODE = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const found = (value: unknown): string => (typeof value === 'string' ? value : 'not-known');

/** What nobody knows violates whatever asks about it. */
const unless = (isKnown: boolean) => (isKnown ? [] : ([['', 'not-known']] as const));

const RULES: Readonly<
	Record<
		Rule,
		(sections: Sections, policy: WorkloadPolicy) => (readonly [subject: string, found: string])[]
	>
> = {
	'no-model-outside': (sections) => [
		...(sections.models?.offered ?? [])
			.filter(({ where }) => where !== 'inside')
			.map(({ id, where, address }) => [id, `${where} ${address ?? ''}`] as const),
		...(sections.connections?.ways ?? [])
			.filter(({ kind, where }) => isTask(kind) && where !== 'inside' && where !== 'off')
			.map(({ kind, where, address }) => [kind, `${where} ${address ?? ''}`] as const),
		...unless(areModelsKnown(sections) && areWaysKnown(sections))
	],
	'no-unlisted-function': (sections, policy) => [
		...unlisted(sections, policy).map(({ id, digest }) => [id, found(digest)] as const),
		...unless(isCodeKnown(sections))
	],
	'storage-encrypted': ({ storage }) =>
		STORES_ASKED.flatMap((name) => {
			const store = storage?.[name];
			return store && isSecret(store) ? [] : [[name, found(store?.secrecy)] as const];
		}),
	'no-administrator-reads': ({ people }) =>
		READING.flatMap((name) =>
			people?.[name] === false ? [] : [[name, String(people?.[name] ?? 'not-known')] as const]
		),
	'environment-without-unlisted': (sections) => {
		const { unlisted_files, bytecode } = factOf(sections, 'environment');
		if (unlisted_files === 0) return bytecode === NO_BYTECODE ? [] : [['', found(bytecode)]];
		return [['', typeof unlisted_files === 'number' ? String(unlisted_files) : 'not-known']];
	}
};

const onModels = (sections: Sections, allowed: readonly string[]): Violation[] => [
	...(sections.models?.offered ?? [])
		// Where one runs that is outside is another rule's matter.
		.filter(
			({ where, digest }) => where !== 'outside' && !(where === 'inside' && isIn(allowed, digest))
		)
		.map(({ id, digest }) => ['models', id, found(digest)] as const),
	...unless(areModelsKnown(sections)).map((one) => ['models', ...one] as const)
];

/** All that a policy asks for and has not, in the order of its members. */
export const violationsOf = (policy: WorkloadPolicy, sections: Sections): Violation[] => {
	const all: Violation[] = [];
	/** One value that must be among those of a list, where there is a list. */
	const demand = (member: string, wanted: readonly string[] | undefined, value: unknown): void => {
		if (wanted && !isIn(wanted, value)) all.push([member, '', found(value)]);
	};
	for (const [member, kind] of MEASURED) {
		demand(member, policy[member], factOf(sections, kind).digest);
	}
	demand('python', policy.python, factOf(sections, 'environment').python);
	if (policy.models) all.push(...onModels(sections, policy.models));
	for (const [name, kind] of VERSIONED) {
		demand(`versions/${name}`, policy.versions?.[name], factOf(sections, kind).version);
	}
	for (const rule of policy.require ?? []) {
		all.push(...RULES[rule](sections, policy).map((one) => [rule, ...one] as const));
	}
	return all;
};

/** Text from outside, in a list of such: nothing in it can hide what is beside it. */
export const quoted = (text: string): string =>
	JSON.stringify(text).replace(
		/[^ -~]/g,
		(unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
	);

const worded = ([member, subject, found]: Violation): string =>
	`${member}${subject && ` ${quoted(subject)}`}: ${quoted(found)}`;

const skipped = (code: 'not-stated' | 'statement-withheld' | 'own-word'): Finding => ({
	outcome: 'skipped',
	code
});

/** Does a policy ask for anything that only the sections tell? */
const asks = (policy: WorkloadPolicy | undefined): boolean =>
	policy !== undefined && Object.keys(policy).length > 0;

/** Does the log tell other facts than the statement? */
const contradicts = ({ measured }: Sections, { facts }: Present): boolean =>
	JSON.stringify(normal(measured?.facts ?? [])) !== JSON.stringify(normal(facts));

/** Facts whose members stand in the order of their names. */
const normal = (facts: readonly Fact[]): unknown =>
	facts.map(({ kind, content }) => [
		kind,
		Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1))
	]);

/** When values that came from a release end, in seconds since 1970; throws where they are not there now. */
const endOfValues = ({ release }: WorkloadPolicy, now: number): number | undefined => {
	if (!release) return undefined;
	const { not_after } = release;
	if (not_after === undefined) throw new Problem('release-missing');
	const end = Date.parse(not_after) / 1000;
	if (!(now < end)) throw new Problem('release-expired', not_after);
	return end;
};

/** What is there to say where no policy is violated. */
const appraiseUnviolated = (workload: Workload, sections: Sections): Finding => {
	const { log, policy, covered, changed } = workload;
	if (sections.measured?.log === 'written' && !log)
		return { outcome: 'warn', code: 'log-withheld' };
	const readers = readersOf(sections, policy);
	if (readers.length > 0) {
		const detail = readers.filter(Boolean).map(quoted).join(', ');
		return { outcome: 'warn', code: 'unlisted-function', detail };
	}
	if (changed) return { outcome: 'warn', code: 'workload-changed' };
	if (covered) return { outcome: 'pass' };
	return policy ? { outcome: 'warn', code: 'own-word' } : skipped('own-word');
};

/**
 * The check `workload` at a time (seconds since 1970); throws `not-stated`, `statement-withheld`,
 * `measured-mismatch`, `release-missing`, `release-expired` or `workload-policy`. What has the wrong
 * form was refused before.
 *
 * A policy that is violated fails whether the log is there or not: whoever held it back would
 * otherwise make a failure a warning.
 */
export const appraiseWorkload = (workload: Workload, now: number): Finding => {
	const { digests, sections, log, policy } = workload;
	if (!digests) {
		if (policy) throw new Problem('not-stated');
		return skipped('not-stated');
	}
	if (!sections) {
		if (asks(policy)) throw new Problem('statement-withheld');
		return skipped('statement-withheld');
	}
	if (sections.measured?.log === 'written' && log && contradicts(sections, log)) {
		throw new Problem('measured-mismatch');
	}
	const until = policy && endOfValues(policy, now);
	const violations = policy ? violationsOf(policy, sections) : [];
	if (violations.length > 0) {
		throw new Problem('workload-policy', violations.map(worded).join('; '));
	}
	return { ...appraiseUnviolated(workload, sections), ...(until !== undefined && { until }) };
};
