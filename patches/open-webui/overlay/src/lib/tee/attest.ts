import { complete, deriveStatus, type Check, type Findings, type Status } from './checks';
import type { Environment } from './environment';
import { fetchEvidence, verifyBinding, type Evidence } from './evidence';
import { request } from './net';
import { asProblem, Problem } from './problem';
import { all } from './providers/all';
import type { Context, Result } from './providers/provider';
import { choose, NO_CONFIG, parseConfig, type Choice, type ServerConfig, type Settings } from './settings';
import { namesSimulator, type Quote } from './quote';
import { fromHex } from './encoding';

/** Milliseconds after which a result is old, whatever its token says. */
const MAX_AGE = 3_600_000;
/** Milliseconds that any result lasts: a token about to end must not make us run in circles. */
const MIN_AGE = 10_000;
const NONCE_BYTES = 32;

/** The outcome of one whole run. */
export interface Verdict {
	status: Status;
	checks: Check[];
	/** Whom we asked; missing where the run ended before that was known. */
	choice?: Choice;
	/** To show: from the quote and, where its signature holds, from the token. */
	fields: Record<string, unknown>;
	/** Milliseconds since 1970. */
	expires: number;
}

const fetchConfig = async (env: Environment, signal: AbortSignal): Promise<ServerConfig> => {
	try {
		const { status, text } = await request(env, signal, `${env.api}/tee/config`, 'internal');
		return status === 200 ? parseConfig(text) : NO_CONFIG;
	} catch {
		return NO_CONFIG; // only suggestions: without them the user's and the built-in choice hold
	}
};

/**
 * TD attributes, bytes as in the quote (Intel TDX module ABI, TD_ATTRIBUTES): the first byte puts a
 * TD under debug or profiling; of the others only SEPT_VE_DISABLE (bit 28), PKS (30), KL (31) and
 * PERFMON (63) are defined for what we accept.
 */
const DEFINED_BITS = [0, 0, 0, 0xd0, 0, 0, 0, 0x80];
const SEPT_VE_DISABLE = 0x10;

const checkAttributes = ({ body }: Quote) => {
	const bytes = fromHex(body.td_attributes);
	if (bytes.some((byte, at) => byte & ~DEFINED_BITS[at])) {
		throw new Problem('td-attributes', bytes[0] ? 'DEBUG' : '');
	}
	if (!(bytes[3] & SEPT_VE_DISABLE)) {
		return { outcome: 'warn', code: 'td-attributes', detail: 'SEPT_VE_DISABLE' } as const;
	}
};

const SHOWN = ['mr_td', 'rtmr_0', 'rtmr_1', 'rtmr_2', 'rtmr_3', 'mr_seam', 'seam_attributes', 'td_attributes', 'xfam'] as const;

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

	if (subtle && evidence) {
		const { quote, simulated } = evidence;
		const answered = evidence;
		await check('td-attributes', () => checkAttributes(quote));
		const bound = await check('nonce-binding', () => verifyBinding(subtle, nonce, answered));
		if (bound) {
			result = await verify({ env, subtle, signal, evidence, choice, config, check });
		}
		// Without a result nobody has vouched for the hardware: then only the bad news counts.
		const badNews = simulated || result?.simulated || namesSimulator(quote.chain);
		if (badNews || result) {
			await check('not-simulated', () => {
				if (badNews) return { outcome: 'warn', code: 'simulated' };
			});
		}
	}

	const now = env.now();
	const end = Math.max((result?.expires || 0) * 1000, now + MIN_AGE);
	const fields: Verdict['fields'] = { ...result?.fields };
	for (const name of SHOWN) fields[name] = evidence?.quote.body[name];
	const checks = complete(findings, required);
	return {
		status: deriveStatus(checks, required),
		checks,
		choice,
		fields,
		expires: Math.min(end, now + MAX_AGE)
	};
};
