import './later'; // what both need is then in one piece of code, not in a third
import type { CheckId } from './checks';
import { readPlatform } from './dcap/pck';
import { INTEL_ROOT_KEY } from './dcap/root';
import { verifyQuote } from './dcap/verify';
import { parseCertificate, parsePem } from './dcap/x509';
import { fromBase64url, toBase64url } from './encoding';
import { parseObject } from './json';
import { parsePins, type Jwk } from './keys';
import { request } from './net';
import { asProblem, Problem } from './problem';
import type { Context, Result } from './providers/provider';

/** With all that reads certificates, for tokens that bring a chain along. */
export { keyOfChain } from './chain';

/** The uncompressed point of a P-256 key, in base64url. */
const pointOf = ({ crv, x, y }: Jwk): string => {
	if (crv !== 'P-256') throw new Problem('keys-malformed', crv);
	return toBase64url(Uint8Array.of(4, ...fromBase64url(x), ...fromBase64url(y)));
};

/** Roots besides Intel's: the user's, or where there are none the one that this server suggests. */
const otherRoots = ({ choice, config }: Context): unknown[] => {
	if (!choice.keys) return [config.root];
	try {
		const { keys, certificates } = parsePins(choice.keys);
		const fromPem = certificates.map((der) => toBase64url(parseCertificate(der).key));
		return [...keys.map(pointOf), ...fromPem];
	} catch (error) {
		throw new Problem('keys-malformed', asProblem(error).detail);
	}
};

/** What to ask for and what to expect, by the quote's own chain; nothing in it is verified yet. */
const readChain = (context: Context) => {
	try {
		const chain = parsePem(context.evidence.quote.chain).map(parseCertificate);
		const { fmspc } = readPlatform(chain[0]);
		const ca = chain[0].issuer.includes('Processor CA') ? 'processor' : 'platform';
		return { query: `fmspc=${fmspc}&ca=${ca}`, root: toBase64url(chain[chain.length - 1].key) };
	} catch (error) {
		throw new Problem('quote-signature', `pck-malformed: ${asProblem(error).detail}`);
	}
};

/** Collateral for a platform, by way of this server. */
const fetchCollateral = async ({ env, signal }: Context, query: string): Promise<unknown> => {
	const code = 'collateral-unreachable';
	const { status, text } = await request(env, signal, `${env.api}/tee/collateral?${query}`, code);
	if (status !== 200) throw new Problem(code, `HTTP ${status} ${text}`);
	try {
		return parseObject(text);
	} catch (error) {
		throw new Problem('collateral', `collateral-malformed: ${asProblem(error).detail}`);
	}
};

/** Verify the evidence here, up to a root that is Intel's or, for a result below green, another. */
export const verifyHere = async (context: Context): Promise<Result | null> => {
	const { env, subtle, evidence, policy, check } = context;
	/** Only a failure is an outcome: that something can be read does not mean that it is true. */
	const need = async <T>(id: CheckId, run: () => T | Promise<T>): Promise<T | undefined> => {
		try {
			return await run();
		} catch (error) {
			await check(id, () => {
				throw error;
			});
		}
	};
	const asked = await need('quote-signature', () => {
		const { query, root } = readChain(context);
		const other = root !== INTEL_ROOT_KEY && otherRoots(context).includes(root);
		return { query, root: other ? root : INTEL_ROOT_KEY };
	});
	const collateral = asked && (await need('collateral', () => fetchCollateral(context, asked.query)));
	if (!collateral) return null;

	const { root } = asked;
	const options = { rootKey: fromBase64url(root), now: env.now() / 1000, policy };
	const { findings, tcb, expires } = await verifyQuote(subtle, evidence.quoteBytes, collateral, options);
	let good = true;
	for (const { id, outcome, code, detail } of Object.values(findings)) {
		const passed = await check(id, () => {
			if (outcome === 'fail') throw new Problem(code ?? 'internal', detail);
			return { outcome, code, detail };
		});
		good &&= passed;
	}
	if (!good) return null;
	const otherRoot = root !== INTEL_ROOT_KEY;
	return {
		expires,
		simulated: false,
		otherRoot,
		fields: {
			tee: 'tdx',
			exp: expires,
			tcb_status: tcb?.status,
			tcb_date: tcb?.date,
			advisory_ids: tcb?.advisories.join(' ') || undefined,
			root: otherRoot ? root : 'Intel SGX Root CA'
		}
	};
};
