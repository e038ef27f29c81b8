import {
	causesOf,
	complete,
	deriveStatus,
	type Check,
	type CheckId,
	type Finding,
	type Findings,
	type Status
} from '../base/checks';
import type { Environment } from '../base/environment';
import { request } from '../base/http';
import { isJson } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import { replay } from '../evidence/eventlog';
import type { Present } from '../evidence/facts';
import type { LogRow } from '../evidence/eventtext';
import {
	fetchEvidence,
	refusalBy,
	verifyBinding,
	type Evidence,
	type RuntimeData
} from '../evidence/evidence';
import { LATER_FIELDS, namesSimulator } from '../evidence/quote';
import {
	appraiseAttributes,
	appraiseLogs,
	appraiseReferences,
	DEFAULT_POLICY,
	parsePolicy,
	type Policy
} from '../policy/policy';
import {
	choose,
	NO_CONFIG,
	parseConfig,
	suggestedTo,
	type Choice,
	type ServerConfig,
	type Suggested
} from '../providers/choice';
import { CODE } from '../providers/code';
import type { Context, Provider, Result, RunCheck } from '../providers/provider';
import { readKeyset } from '../transport/keyset';
import { blameClock, type Clocks } from './clocks';
import { askStatement } from './holder';
import { hearProposal, type Proposal } from './enforcement';
import { savedEvidence, serverAddress, type SavedEvidence } from './evidence-file';
import { examineKept, type Keeping } from './keeping';
import { bindKeys, type Keys } from './key-binding';
import {
	recognise,
	remember,
	rememberEdition,
	unchangedIn,
	valuesOf,
	type Change,
	type Values
} from './memory';
import { rememberSealed, wasSealed } from './sealed';
import { MEMORY_KEY, type Settings } from './settings';
import { checkWorkload, isLogged, presentIn, type Workload } from './workload';

/** Milliseconds that any result lasts: a token about to end must not make us run in circles. */
const MIN_AGE = 10_000;
const NONCE_BYTES = 32;

/** Fields of the quote that are shown, and whatever only newer kinds have. */
const SHOWN = [
	'mr_td',
	'rtmr_0',
	'rtmr_1',
	'rtmr_2',
	'rtmr_3',
	'mr_seam',
	'seam_attributes',
	'td_attributes',
	'xfam',
	...LATER_FIELDS
] as const;

/** The outcome of one whole run. */
export interface Verdict extends Told {
	status: Status;
	checks: Check[];
	/** Whom we asked; missing where the run ended before that was known. */
	choice?: Choice;
	/** What the person may take over into their settings; nothing of it counts before. */
	suggested?: Suggested;
	/** To show: from the quote and, where its signature holds, from the token. */
	fields: Record<string, unknown>;
	/** Milliseconds since 1970: when it was come to. */
	at: number;
	/** Milliseconds since 1970. */
	expires: number;
	/** The address of what was checked; missing where nobody was asked. */
	server?: string;
	/** What the server answered, for who verifies it elsewhere. */
	saved?: SavedEvidence;
	/**
	 * Only where all that failed may pass by itself, so that the run says nothing about the machine:
	 * the milliseconds that we were asked to wait before the next one.
	 */
	wait?: number;
}

/** Measurements that are what was expected of them. */
export interface Compared {
	names: readonly string[];
	/** RFC 3339 date: since when this browser remembers them; missing where a policy names them. */
	since?: string;
}

/** What some checks tell beyond their outcome. */
interface Told extends Keeping, Keys, Workload, Proposal {
	/** What differs from the measurements that this browser remembers. */
	changes?: readonly Change[];
	compared?: Compared;
	/** What the event logs tell, where they lead to the quote's registers. */
	events?: readonly LogRow[];
}

/** What this server suggests; throws where it does not answer now. */
const fetchConfig = async (
	env: Environment,
	signal: AbortSignal
): Promise<{ config: ServerConfig; clocks: Clocks }> => {
	const code = 'quote-unreachable';
	const { status, text, wait, date } = await request(env, signal, `${env.api}/tee/config`, code);
	if (status === 429 || status >= 500) {
		throw new Passing(refusalBy(status, isJson(text), code), `HTTP ${status}`, wait);
	}
	// Only suggestions: of a server that has none the user's and the built-in choice hold.
	const config = status === 200 ? parseConfig(text) : NO_CONFIG;
	return { config, clocks: { ours: env.now(), theirs: date } };
};

/** What is required where it is not known whom to ask. */
const WITHOUT_PROVIDER: readonly CheckId[] = [
	'secure-context',
	'evidence-format',
	'nonce-binding',
	'key-binding',
	'td-attributes',
	'appraisal',
	'settings'
];

/** The user's policy; where it cannot be read the default one, with the problem. */
const readPolicy = (text: string): { policy: Policy; problem?: Problem } => {
	try {
		return { policy: text ? parsePolicy(text) : DEFAULT_POLICY };
	} catch (error) {
		return { policy: DEFAULT_POLICY, problem: asProblem(error) };
	}
};

/** A check that an earlier one made pointless. */
const NOT_RUN: Finding = { outcome: 'skipped', code: 'not-run' };

/** event-log, with the events to show and what they say of now. */
const checkLogs = async (context: Context, run: Run): Promise<Finding> => {
	const { subtle, evidence, policy } = context;
	const { quote, ccel, aaEventlog } = evidence;
	const replayed = await replay(subtle, quote.body, ccel, aaEventlog);
	const finding = appraiseLogs(policy, replayed);
	if (replayed) {
		run.told.events = replayed.events;
		run.log = presentIn(replayed);
		run.logged = isLogged(replayed);
	}
	return finding;
};

/** reference-values where nobody gave any: trust on first use, with what has changed since. */
const checkMemory = ({ env }: Context, values: Values, told: Told): Finding => {
	// Nothing is remembered on settings, or in the place of a memory, that somebody else changed.
	const mayBegin = told.unmarked === undefined;
	const { finding, changes } = recognise(env.memory, values, env.now(), mayBegin);
	const { detail: since } = finding;
	if (since !== undefined) told.compared = { names: unchangedIn(values, changes), since };
	if (finding.outcome === 'warn') {
		const { accept } = told;
		told.changes = changes;
		told.accept = () => {
			accept?.();
			remember(env.memory, values, env.now());
			env.marks.set(MEMORY_KEY, env.memory.getItem(MEMORY_KEY));
		};
	}
	return finding;
};

/**
 * Why the evidence does not count as hardware's, or undefined where it does. Only under Intel's root
 * key it does; a simulator's name in the chain is a hint at the better word, and makes nothing good.
 */
const whyNotHardware = (evidence: Evidence, result: Result | null): ReasonCode | undefined => {
	const { simulated, quote } = evidence;
	if (simulated || result?.simulated || namesSimulator(quote.chain)) return 'simulated';
	return result?.otherRoot ? 'root' : undefined;
};

/** reference-values as trust on first use would have it, with nothing remembered yet. */
const previewMemory = ({ env }: Context, values: Values): Check => {
	return { id: 'reference-values', ...recognise(env.memory, values, env.now(), false).finding };
};

/**
 * The check `workload`, and what key-binding has to say of it: what runs beside the software that
 * seals could read its keys.
 *
 * Who this person is goes to nobody of whom anything warns that the person has not confirmed.
 *
 * @param preview What reference-values will come to, where that is told last.
 */
const examineWorkload = async (
	{ findings, told, token, log, check }: Run,
	context: Context,
	runtime: RuntimeData,
	preview: Check | undefined
): Promise<void> => {
	const { env, subtle, signal } = context;
	const { statement: bound } = runtime;
	if (told.keyset && typeof bound === 'string') told.statement = bound;
	const ask = async (): Promise<unknown> => {
		const causes = causesOf([...Object.values(findings), ...(preview ? [preview] : [])]);
		const mayKnow = causes.length === 0 || env.confirmed(causes);
		if (!told.keyset || told.statement === undefined || !token || !mayKnow) return undefined;
		const keyset = await readKeyset(subtle, told.keyset);
		told.asked = true;
		return askStatement(env, subtle, signal, keyset, { token, bound: told.statement });
	};
	const mayBegin = told.unmarked === undefined;
	await check('workload', () => checkWorkload(context, { runtime, log, ask, mayBegin }, told));
	const bindings = findings['key-binding'];
	const readers = told.workload?.readers ?? [];
	if (bindings && bindings.outcome !== 'fail' && readers.length > 0) {
		findings['key-binding'] = { ...bindings, outcome: 'warn', code: 'unlisted-function' };
	}
};

/** What a run has found so far. */
interface Run {
	findings: Findings;
	/** Why checks failed. */
	problems: Problem[];
	told: Told;
	/** Did this browser ever have a sealed connection to this origin? */
	wasSealed: boolean;
	/** What the person's account is known by; empty for nobody's. */
	token: string;
	/** What the application's log says of now, where it leads to the quote's register. */
	log: Present | null;
	/** Do the kit's own events alone lead to RTMR3? */
	logged: boolean;
	check: RunCheck;
}

const beginRun = (): Run => {
	const findings: Findings = {};
	const problems: Problem[] = [];
	const check: RunCheck = async (id, examine) => {
		try {
			findings[id] = { id, outcome: 'pass', ...(await examine()) };
			return true;
		} catch (error) {
			const problem = asProblem(error);
			const { code, detail } = problem;
			problems.push(problem);
			findings[id] = { id, outcome: 'fail', code, detail };
			return false;
		}
	};
	return {
		findings,
		problems,
		told: {},
		wasSealed: false,
		token: '',
		log: null,
		logged: false,
		check
	};
};

/** How long to wait before the next run, where nothing failed but what may pass by itself. */
const waitOf = (problems: Problem[]): number | undefined => {
	const passing = problems.filter((problem) => problem instanceof Passing);
	if (passing.length === 0 || passing.length < problems.length) return undefined;
	return Math.max(...passing.map(({ wait }) => wait));
};

/** Whom to ask, with the code that it takes; and why it is perhaps not the one that is meant. */
const chooseProvider = async (env: Environment, settings: Settings, signal: AbortSignal) => {
	let config = NO_CONFIG;
	let clocks: Clocks | undefined;
	let problem: Problem | undefined;
	try {
		({ config, clocks } = await fetchConfig(env, signal));
	} catch (error) {
		problem = asProblem(error);
	}
	const choice = choose(settings, config);
	return { config, clocks, choice, provider: CODE[choice.provider], problem };
};

/** Where the token is withheld, nobody may have the person sign in for it. */
const withoutSigningIn = (error: unknown): unknown => {
	const { code, detail } = asProblem(error);
	return code === 'signed-out' ? new Passing('quote-refused', detail) : error;
};

/** The server's evidence over a nonce, where it can be asked for and read. */
const obtainEvidence = async (
	env: Environment,
	signal: AbortSignal,
	nonce: Uint8Array<ArrayBuffer>,
	{ check, wasSealed }: Run
): Promise<Evidence | undefined> => {
	const secure = await check('secure-context', () => {
		if (!env.subtle) throw new Problem('insecure');
	});
	if (!secure) return undefined;
	let evidence: Evidence | undefined;
	await check('evidence-format', async () => {
		evidence = await fetchEvidence(env, signal, nonce).catch((error: unknown) => {
			throw wasSealed ? withoutSigningIn(error) : error;
		});
	});
	return evidence;
};

/** Run every check on evidence that could be read; null where the provider came to no result. */
const examine = async (
	run: Run,
	context: Context,
	nonce: Uint8Array<ArrayBuffer>,
	provider: Provider,
	policyProblem: Problem | undefined
): Promise<Result | null> => {
	const { findings, told, check } = run;
	const { env, subtle, evidence, policy } = context;
	const { quote } = evidence;
	await check('td-attributes', () => appraiseAttributes(policy, quote.body));
	const explicit = policyProblem !== undefined || Object.keys(policy.reference_values).length > 0;
	if (explicit) {
		await check('reference-values', () => {
			if (policyProblem) throw policyProblem;
			const finding = appraiseReferences(policy, quote.body);
			told.compared = { names: Object.keys(policy.reference_values) };
			return finding;
		});
	}
	// Whatever was not made for this page, or for the keys that it shows, costs nothing more: no log is
	// read, and nobody is asked.
	let runtime: RuntimeData | undefined;
	await check('nonce-binding', async () => {
		runtime = await verifyBinding(subtle, nonce, evidence);
	});
	const askHolder = runtime ? await bindKeys(context, runtime, run) : null;
	const answered = askHolder?.();
	await check('event-log', () => (askHolder ? checkLogs(context, run) : NOT_RUN));
	const result = askHolder ? await provider.verify(context) : null;
	await answered;
	// Without a result nobody has vouched for the hardware: then only the bad news counts.
	const code = whyNotHardware(evidence, result);
	if (code || result) {
		await check('not-simulated', () => (code ? { outcome: 'warn', code } : undefined));
	}
	// Only what passes everything else is worth remembering, and comparing with that.
	const { required } = provider;
	const isRed = () => deriveStatus(complete(findings, required), required) === 'red';
	const values = valuesOf(evidence.quote, code !== undefined, run.logged);
	if (!runtime || isRed()) {
		await check('workload', () => NOT_RUN);
		return result;
	}
	if (told.keyset) rememberSealed(env);
	const preview = explicit ? undefined : previewMemory(context, values);
	await examineWorkload(run, context, runtime, preview);
	if (!explicit && !isRed()) {
		await check('reference-values', () => checkMemory(context, values, told));
	}
	return result;
};

/** Milliseconds since 1970: when a result ends, now and a moment later at the earliest. */
const endOf = (
	result: Result | null,
	checks: readonly Check[],
	now: number,
	policy: Policy
): number => {
	// A token that names no time has ended.
	const first = result && !Number.isNaN(result.expires) ? result.expires : 0;
	const seconds = Math.min(first, ...checks.map(({ until }) => until ?? Infinity));
	return Math.min(Math.max(seconds * 1000, now + MIN_AGE), now + policy.max_age * 1000);
};

/** Where settings are lost nobody is asked: not a service that the person did not choose. */
const withoutAsking = ({ findings, told }: Run, now: number): Verdict => ({
	...told,
	status: 'red',
	checks: complete(findings, WITHOUT_PROVIDER),
	fields: {},
	at: now,
	expires: now
});

/** Where requests were ever sealed, whoever asks for the token in plain does not get it. */
const withoutToken = (env: Environment): Environment => ({ ...env, token: () => '' });

/**
 * One attestation, from a fresh nonce to a verdict. Never throws for what the server or the
 * service does wrong: that is a failed check.
 */
export const attest = async (
	whole: Environment,
	settings: Settings,
	signal: AbortSignal
): Promise<Verdict> => {
	const { subtle } = whole;
	const run = beginRun();
	const kept = await run.check('settings', () => examineKept(whole, settings, run.told));
	if (!kept) return withoutAsking(run, whole.now());
	run.wasSealed = await wasSealed(whole);
	run.token = whole.token();
	const env = run.wasSealed ? withoutToken(whole) : whole;
	const nonce = env.random(NONCE_BYTES);
	const [{ config, clocks, choice, provider, problem: unsure }, obtained] = await Promise.all([
		chooseProvider(env, settings, signal),
		obtainEvidence(env, signal, nonce, run)
	]);
	Object.assign(run.told, await hearProposal(whole, config.enforcement));
	// Nobody but the one that is meant gets the evidence, and only its verdict counts.
	const evidence = unsure ? undefined : obtained;
	if (obtained && unsure) {
		await run.check('evidence-format', () => {
			throw unsure;
		});
	}
	const { policy, problem } = readPolicy(settings.policy);
	let result: Result | null = null;
	if (subtle && evidence) {
		const { check } = run;
		const relay = config.relay(choice.provider);
		const suggestedRoot = config.root;
		const context: Context = {
			env,
			subtle,
			signal,
			evidence,
			choice,
			relay,
			suggestedRoot,
			policy,
			remember: (edition) => rememberEdition(env.memory, edition),
			check
		};
		result = await examine(run, context, nonce, provider, problem);
	}
	const fields: Verdict['fields'] = { ...result?.fields };
	const body: Partial<Record<string, string>> = evidence?.quote.body ?? {};
	for (const name of SHOWN) fields[name] = body[name];
	const checks = blameClock(complete(run.findings, provider.required), clocks);
	return {
		...run.told,
		status: deriveStatus(checks, provider.required),
		checks,
		choice,
		suggested: suggestedTo(settings, config, choice),
		fields,
		at: env.now(),
		expires: endOf(result, checks, env.now(), policy),
		server: serverAddress(env),
		saved: evidence && savedEvidence(env, nonce, evidence),
		wait: waitOf(run.problems)
	};
};
