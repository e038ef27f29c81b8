import { complete, deriveStatus, type Check, type Findings, type Status } from './checks';
import type { Environment } from './environment';
import { replay, type LogRow } from './eventlog';
import { fetchEvidence, verifyBinding, type Evidence } from './evidence';
import { request } from './net';
import { appraiseAttributes, appraiseReferences, DEFAULT_POLICY, parsePolicy } from './policy';
import { asProblem, Problem } from './problem';
import { all } from './providers/all';
import type { Context, Finding, Result } from './providers/provider';
import { namesSimulator } from './quote';
import { recognise, remember, valuesOf, type Change } from './remember';
import { choose, NO_CONFIG, parseConfig, type Choice, type ServerConfig, type Settings } from './settings';

/** Milliseconds that any result lasts: a token about to end must not make us run in circles. */
const MIN_AGE = 10_000;
const NONCE_BYTES = 32;

/** The outcome of one whole run. */
export interface Verdict extends Findable {
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
interface Findable {
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

const SHOWN = ['mr_td', 'rtmr_0', 'rtmr_1', 'rtmr_2', 'rtmr_3', 'mr_seam', 'seam_attributes', 'td_attributes', 'xfam'] as const;

/** The user's policy; where it cannot be read the default one, with the problem. */
const readPolicy = (text: string) => {
	try {
		return { policy: text ? parsePolicy(text) : DEFAULT_POLICY };
	} catch (error) {
		return { policy: DEFAULT_POLICY, problem: asProblem(error) };
	}
};

/** event-log, with the events to show. */
const checkLogs = async (
	{ subtle, evidence }: Context,
	found: Findable
): Promise<Finding> => {
	const { quote, ccel, aaEventlog } = evidence;
	const told = await replay(subtle, quote.body, ccel, aaEventlog);
	if (!told) return { outcome: 'skipped', code: 'no-log' };
	found.events = told.events;
	return { outcome: 'pass', detail: told.explained };
};

/** reference-values where nobody gave any: trust on first use, with what has changed since. */
const checkMemory = ({ env, evidence }: Context, simulated: boolean, found: Findable): Finding => {
	const values = valuesOf(evidence.quote, simulated);
	const { finding, changes } = recognise(env.memory, values, env.now());
	if (finding.outcome === 'warn') {
		found.changes = changes;
		found.accept = () => remember(env.memory, values, env.now());
	}
	return finding;
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
	const findings: Findings = {};
	const found: Findable = {};
	const check: Context['check'] = async (id, run) => {
		try {
			findings[id] = { id, outcome: 'pass', ...(await run()) };
			return true;
		} catch (error) {
			const { code, detail } = asProblem(error);
			findings[id] = { id, outcome: 'fail', code, detail };
			return false;
		}
	};

	const suggested = fetchConfig(env, signal);
	const nonce = env.random(NONCE_BYTES);
	const { subtle } = env;
	let evidence: Evidence | undefined;
	let result: Result | null = null;

	await check('secure-context', () => {
		if (!subtle) throw new Problem('insecure');
	});
	if (subtle) {
		await check('evidence-format', async () => {
			evidence = await fetchEvidence(env, signal, nonce);
		});
	}
	const config = await suggested;
	const choice = choose(settings, config);
	const { required, verify } = all[choice.provider];
	const { policy, problem } = readPolicy(settings.policy);

	if (subtle && evidence) {
		const { quote } = evidence;
		const context: Context = { env, subtle, signal, evidence, choice, config, policy, check };
		await check('td-attributes', () => appraiseAttributes(policy, quote.body));
		await check('event-log', () => checkLogs(context, found));
		const explicit = problem || Object.keys(policy.reference_values).length > 0;
		if (explicit) {
			await check('reference-values', () => {
				if (problem) throw problem;
				return appraiseReferences(policy, quote.body);
			});
		}
		const bound = await check('nonce-binding', () => verifyBinding(subtle, nonce, context.evidence));
		if (bound) result = await verify(context);
		// Without a result nobody has vouched for the hardware: then only the bad news counts.
		const simulated = evidence.simulated || result?.simulated || namesSimulator(quote.chain);
		const code = simulated ? 'simulated' : result?.otherRoot ? 'root' : undefined;
		if (code || result) {
			await check('not-simulated', () => {
				if (code) return { outcome: 'warn', code };
			});
		}
		// Only what passes everything else is worth remembering, and comparing with that.
		if (!explicit && deriveStatus(complete(findings, required), required) !== 'red') {
			await check('reference-values', () => checkMemory(context, code !== undefined, found));
		}
	}

	const now = env.now();
	const end = Math.max((result?.expires || 0) * 1000, now + MIN_AGE);
	const fields: Verdict['fields'] = { ...result?.fields };
	for (const name of SHOWN) fields[name] = evidence?.quote.body[name];
	const checks = complete(findings, required);
	return {
		...found,
		status: deriveStatus(checks, required),
		checks,
		choice,
		fields,
		expires: Math.min(end, now + policy.max_age * 1000)
	};
};
