import type { Check, CheckId, Finding } from '../base/checks';
import { fromBase64url, toBase64url } from '../base/encoding';
import { request } from '../base/http';
import { isJson, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import { parseCertificate, parsePem, readRoot, UNCOMPRESSED } from '../base/x509';
import { readPlatform } from '../dcap/pck';
import { INTEL_ROOT_KEY } from '../dcap/root';
import { verifyQuote, type Evaluation } from '../dcap/verify';
import { parsePins, type Jwk } from '../token/keys';
import { factsOf } from './facts';
import type { Context, Provider, Result } from './provider';

/** What only a provider that asks a service has. */
const SKIPPED: readonly CheckId[] = ['token-signature', 'token-claims', 'appraisal'];

/** What to ask this server for, and the root up to which the quote is verified, in base64url. */
interface Asked {
	query: string;
	root: string;
}

/** The uncompressed point of a P-256 key, in base64url. */
const pointOf = ({ crv, x, y }: Jwk): string => {
	if (crv !== 'P-256') throw new Problem('keys-malformed', crv);
	return toBase64url(Uint8Array.of(UNCOMPRESSED, ...fromBase64url(x), ...fromBase64url(y)));
};

/** Roots besides Intel's: the user's, or where there are none the one that this server suggests. */
const otherRoots = async ({ choice, suggestedRoot, subtle }: Context): Promise<unknown[]> => {
	if (!choice.keys) return [suggestedRoot];
	try {
		const { keys, certificates } = parsePins(choice.keys);
		const fromPem = await Promise.all(certificates.map((der) => readRoot(subtle, der)));
		return [...keys.map(pointOf), ...fromPem.map(toBase64url)];
	} catch (error) {
		throw new Problem('keys-malformed', asProblem(error).detail);
	}
};

/** What to ask for and what to expect, by the quote's own chain; nothing in it is verified yet. */
const readChain = (pem: string): Asked => {
	try {
		const chain = parsePem(pem).map(parseCertificate);
		const [leaf] = chain;
		const root = chain.at(-1);
		if (!leaf || !root) throw new Problem('internal', 'length');
		const { fmspc } = readPlatform(leaf);
		const ca = leaf.issuer.includes('Processor CA') ? 'processor' : 'platform';
		return { query: `fmspc=${fmspc}&ca=${ca}`, root: toBase64url(root.key) };
	} catch (error) {
		throw new Problem('quote-signature', `pck-malformed: ${asProblem(error).detail}`);
	}
};

/** The root to hold the quote against is Intel's, unless it leads to another that somebody named. */
const ask = async (context: Context): Promise<Asked> => {
	// A pin that cannot be read is told first, though the quote may not lead there: as Python does.
	const others = await otherRoots(context);
	const { query, root } = readChain(context.evidence.quote.chain);
	const other = root !== INTEL_ROOT_KEY && others.includes(root);
	return { query, root: other ? root : INTEL_ROOT_KEY };
};

/** Collateral for a platform, by way of this server. */
const fetchCollateral = async ({ env, signal }: Context, query: string): Promise<JsonObject> => {
	const code = 'collateral-unreachable';
	const url = `${env.api}/tee/collateral?${query}`;
	const { status, text, wait } = await request(env, signal, url, code);
	if (status !== 200 || !isJson(text)) throw new Passing(code, `HTTP ${status} ${text}`, wait);
	try {
		return parseObject(text);
	} catch (error) {
		throw new Problem('collateral', `collateral-malformed: ${asProblem(error).detail}`);
	}
};

/**
 * Run what a check needs. Only a failure is an outcome of the check: that something can be read
 * does not mean that it is true.
 */
const need = async <T>(
	{ check }: Context,
	id: CheckId,
	run: () => T | Promise<T>
): Promise<T | undefined> => {
	try {
		return await run();
	} catch (error) {
		await check(id, () => {
			throw error;
		});
		return undefined;
	}
};

/**
 * What this browser remembers of editions says to this one. A root that only this server suggests
 * could name any number, and is not remembered: nothing under it is ever green.
 */
const hold = (
	{ choice, remember }: Context,
	{ fmspc, tcbInfo, qeIdentity }: Evaluation,
	root: string
): Finding | undefined => {
	if (root && !choice.keys) return undefined;
	return remember({ about: `${fmspc}${root && ` ${root}`}`, numbers: [tcbInfo, qeIdentity] });
};

/** The collateral's own finding, with what this browser remembers of it, which says more. */
const remembered = (own: Check | undefined, { detail, ...finding }: Finding): Check => {
	const details = [detail, own?.outcome === 'warn' ? own.detail : undefined];
	const until = own?.until;
	return { id: 'collateral', ...finding, until, detail: details.filter(Boolean).join('; ') };
};

/** Verify the evidence up to a root that is Intel's or, for a result below green, another. */
const verifyEvidence = async (context: Context): Promise<Result | null> => {
	const { env, subtle, evidence, policy, check } = context;
	const asked = await need(context, 'quote-signature', () => ask(context));
	if (!asked) return null;
	const { query, root } = asked;
	const collateral = await need(context, 'collateral', () => fetchCollateral(context, query));
	if (!collateral) return null;

	const otherRoot = root !== INTEL_ROOT_KEY;
	const options = { rootKey: fromBase64url(root), now: env.now() / 1000, policy };
	const verified = await verifyQuote(subtle, evidence.quoteBytes, collateral, options);
	const { expires, evaluation, findings } = verified;
	const finding = evaluation && hold(context, evaluation, otherRoot ? root : '');
	if (finding) findings.collateral = remembered(findings.collateral, finding);
	let good = true;
	for (const { id, outcome, code, detail, until } of Object.values(findings)) {
		const passed = await check(id, () => {
			if (outcome === 'fail') throw new Problem(code ?? 'internal', detail);
			return { outcome, code, detail, until };
		});
		good &&= passed;
	}
	if (!good) return null;
	return {
		expires,
		simulated: false,
		otherRoot,
		fields: { ...factsOf(verified), root: otherRoot ? root : 'Intel SGX Root CA' }
	};
};

/** This browser itself: asks nobody but this server, and trusts it with nothing. */
const dcap: Provider = {
	required: [
		'secure-context',
		'evidence-format',
		'nonce-binding',
		'key-binding',
		'quote-signature',
		'collateral',
		'tcb-status',
		'td-attributes',
		'settings',
		'not-simulated'
	],
	async verify(context) {
		for (const id of SKIPPED) {
			await context.check(id, () => ({ outcome: 'skipped', code: 'no-service' }));
		}
		return verifyEvidence(context);
	}
};
export default dcap;
