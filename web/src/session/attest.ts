import {
	complete,
	deriveStatus,
	type Check,
	type Finding,
	type Findings,
	type Status
} from '../base/checks';
import type { Environment } from '../base/environment';
import { request } from '../base/http';
import { asProblem, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import { replay, type LogRow } from '../evidence/eventlog';
import { fetchEvidence, verifyBinding, type Evidence } from '../evidence/evidence';
import { namesSimulator } from '../evidence/quote';
import {
	appraiseAttributes,
	appraiseReferences,
	DEFAULT_POLICY,
	parsePolicy,
	type Policy
} from '../policy/policy';
import {
	choose,
	NO_CONFIG,
	parseConfig,
	type Choice,
	type ServerConfig
} from '../providers/choice';
import type { Context, Provider, Result, RunCheck } from '../providers/provider';
import { PROVIDERS, type ProviderId } from '../providers/registry';
import { recognise, remember, valuesOf, type Change } from './memory';
import type { Settings } from './settings';

/** Milliseconds that any result lasts: a token about to end must not make us run in circles. */
const MIN_AGE = 10_000;
const NONCE_BYTES = 32;

/** Fields of the quote that are shown. */
const SHOWN = [
	'mr_td',
	'rtmr_0',
	'rtmr_1',
	'rtmr_2',
	'rtmr_3',
	'mr_seam',
	'seam_attributes',
	'td_attributes',
	'xfam'
] as const;

/** The outcome of one whole run. */
export interface Verdict extends Told {
	status: Status;
	checks: Check[];
	/** Whom we asked; missing where the run ended before that was known. */
	choice?: Choice;
	/** To show: from the quote and, where its signature holds, from the token. */
	fields: Record<string, unknown>;
	/** Milliseconds since 1970. */
	expires: number;
}

/** What some checks tell beyond their outcome. */
interface Told {
	/** What differs from the measurements that this browser remembers. */
	changes?: readonly Change[];
	/** Remember the measurements of this verdict from now on; throws where storage does. */
	accept?: () => void;
	/** What the event logs tell, where they lead to the quote's registers. */
	events?: readonly LogRow[];
}

const fetchConfig = async (env: Environment, signal: AbortSignal): Promise<ServerConfig> => {
	try {
		const { status, text } = await request(env, signal, `${env.api}/tee/config`, 'internal');
		return status === 200 ? parseConfig(text) : NO_CONFIG;
	} catch {
		return NO_CONFIG; // only suggestions: without them the user's and the built-in choice hold
	}
};

/** Stands for a provider whose code did not come: its one check of its own fails. */
const ABSENT: Provider = {
	required: ['secure-context', 'evidence-format', 'nonce-binding', 'td-attributes', 'appraisal'],
	async verify({ check }) {
		await check('appraisal', () => {
			throw new Problem('internal', 'code');
		});
		return null;
	}
};

const loadProvider = async (id: ProviderId): Promise<Provider> => {
	try {
		return (await PROVIDERS[id].load()).default;
	} catch {
		return ABSENT;
	}
};

/** The user's policy; where it cannot be read the default one, with the problem. */
const readPolicy = (text: string): { policy: Policy; problem?: Problem } => {
	try {
		return { policy: text ? parsePolicy(text) : DEFAULT_POLICY };
	} catch (error) {
		return { policy: DEFAULT_POLICY, problem: asProblem(error) };
	}
};

/** event-log, with the events to show. */
const checkLogs = async ({ subtle, evidence }: Context, told: Told): Promise<Finding> => {
	const { quote, ccel, aaEventlog } = evidence;
	const replayed = await replay(subtle, quote.body, ccel, aaEventlog);
	if (!replayed) return { outcome: 'skipped', code: 'no-log' };
	told.events = replayed.events;
	return { outcome: 'pass', detail: replayed.explained };
};

/** reference-values where nobody gave any: trust on first use, with what has changed since. */
const checkMemory = ({ env, evidence }: Context, simulated: boolean, told: Told): Finding => {
	const values = valuesOf(evidence.quote, simulated);
	const { finding, changes } = recognise(env.memory, values, env.now());
	if (finding.outcome === 'warn') {
		told.changes = changes;
		told.accept = () => {
			remember(env.memory, values, env.now());
		};
	}
	return finding;
};

/** Why the evidence does not count as hardware's, or undefined where it does. */
const whyNotHardware = (evidence: Evidence, result: Result | null): ReasonCode | undefined => {
	const { simulated, quote } = evidence;
	if (simulated || result?.simulated || namesSimulator(quote.chain)) return 'simulated';
	return result?.otherRoot ? 'root' : undefined;
};

/** What a run has found so far. */
interface Run {
	findings: Findings;
	told: Told;
	check: RunCheck;
}

const beginRun = (): Run => {
	const findings: Findings = {};
	const check: RunCheck = async (id, examine) => {
		try {
			findings[id] = { id, outcome: 'pass', ...(await examine()) };
			return true;
		} catch (error) {
			const { code, detail } = asProblem(error);
			findings[id] = { id, outcome: 'fail', code, detail };
			return false;
		}
	};
	return { findings, told: {}, check };
};

/** Whom to ask, with the code that it takes. */
const chooseProvider = async (env: Environment, settings: Settings, signal: AbortSignal) => {
	const config = await fetchConfig(env, signal);
	const choice = choose(settings, config);
	return { config, choice, provider: await loadProvider(choice.provider) };
};

/** The server's evidence over a nonce, where it can be asked for and read. */
const obtainEvidence = async (
	env: Environment,
	signal: AbortSignal,
	nonce: Uint8Array<ArrayBuffer>,
	{ check }: Run
): Promise<Evidence | undefined> => {
	const secure = await check('secure-context', () => {
		if (!env.subtle) throw new Problem('insecure');
	});
	if (!secure) return undefined;
	let evidence: Evidence | undefined;
	await check('evidence-format', async () => {
		evidence = await fetchEvidence(env, signal, nonce);
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
	const { subtle, evidence, policy } = context;
	const { quote } = evidence;
	await check('td-attributes', () => {
		appraiseAttributes(policy, quote.body);
	});
	await check('event-log', () => checkLogs(context, told));
	const explicit = policyProblem !== undefined || Object.keys(policy.reference_values).length > 0;
	if (explicit) {
		await check('reference-values', () => {
			if (policyProblem) throw policyProblem;
			return appraiseReferences(policy, quote.body);
		});
	}
	const bound = await check('nonce-binding', () => verifyBinding(subtle, nonce, evidence));
	const result = bound ? await provider.verify(context) : null;
	// Without a result nobody has vouched for the hardware: then only the bad news counts.
	const code = whyNotHardware(evidence, result);
	if (code || result) {
		await check('not-simulated', () => (code ? { outcome: 'warn', code } : undefined));
	}
	// Only what passes everything else is worth remembering, and comparing with that.
	const { required } = provider;
	if (!explicit && deriveStatus(complete(findings, required), required) !== 'red') {
		await check('reference-values', () => checkMemory(context, code !== undefined, told));
	}
	return result;
};

/** Milliseconds since 1970: when a result ends, now and a moment later at the earliest. */
const endOf = (result: Result | null, now: number, policy: Policy): number => {
	// A token that names no time has ended.
	const seconds = result && !Number.isNaN(result.expires) ? result.expires : 0;
	return Math.min(Math.max(seconds * 1000, now + MIN_AGE), now + policy.max_age * 1000);
};

/**
 * One attestation, from a fresh nonce to a verdict. Never throws for what the server or the
 * service does wrong: that is a failed check.
 */
export const attest = async (
	env: Environment,
	settings: Settings,
	signal: AbortSignal
): Promise<Verdict> => {
	const { subtle } = env;
	const run = beginRun();
	const nonce = env.random(NONCE_BYTES);
	const [{ config, choice, provider }, evidence] = await Promise.all([
		chooseProvider(env, settings, signal),
		obtainEvidence(env, signal, nonce, run)
	]);
	const { policy, problem } = readPolicy(settings.policy);
	let result: Result | null = null;
	if (subtle && evidence) {
		const { check } = run;
		const relay = config.relay(choice.provider);
		const suggestedRoot = config.root;
		const context = { env, subtle, signal, evidence, choice, relay, suggestedRoot, policy, check };
		result = await examine(run, context, nonce, provider, problem);
	}
	const fields: Verdict['fields'] = { ...result?.fields };
	for (const name of SHOWN) fields[name] = evidence?.quote.body[name];
	const checks = complete(run.findings, provider.required);
	return {
		...run.told,
		status: deriveStatus(checks, provider.required),
		checks,
		choice,
		fields,
		expires: endOf(result, env.now(), policy)
	};
};
