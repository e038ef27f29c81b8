/**
 * Conformance adapter of the browser's verifier: one JSON case on stdin, one JSON answer on stdout.
 *
 *     node tests/conformance/verify_typescript.mjs < case.json
 *     node tests/conformance/verify_typescript.mjs --batch < cases.jsonl
 *
 * Case: {"quote_b64", "collateral": {"tcb_info_json", "qe_identity_json", "pck_crl_der_b64",
 * "root_crl_der_b64", "tcb_info_issuer_chain_pem", "qe_identity_issuer_chain_pem",
 * "pck_crl_issuer_chain_pem"}, "root_ca_pem" (optional), "now" (unix seconds), "policy" (optional,
 * our schema), "cc_eventlog_b64", "aa_eventlog" (optional, null where there is no such log)}.
 * Answer: as docs/verification.md, "Conformance", has it. Exit code 0 accepted, 10 rejected, 30
 * malformed input, with "error" in the answer. With --batch every line is a case, and every
 * answer's "exit" is its code.
 *
 * A case is malformed where it cannot be put to a verifier at all; a broken quote or broken
 * collateral is a rejected one.
 */
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { load } from './page_module.mjs';

const ACCEPTED = 0;
const REJECTED = 10;
const MALFORMED = 30;

/** The checks that a quote and its collateral are held against, in the order of the answer. */
const REQUIRED = ['evidence-format', 'collateral', 'quote-signature', 'tcb-status', 'td-attributes'];

const REFERENCES = 'reference-values';

const ENTRY = `
export { reasonOf } from './src/base/checks';
export { fromBase64url } from './src/base/encoding';
export { parsePem, readRoot } from './src/base/x509';
export { INTEL_ROOT_KEY } from './src/dcap/root';
export { verifyQuote } from './src/dcap/verify';
export { replay } from './src/evidence/eventlog';
export { parseQuote } from './src/evidence/quote';
export { appraiseLogs, appraiseReferences, DEFAULT_POLICY, parsePolicy } from './src/policy/policy';
`;

class Malformed extends Error {}

const need = (good, what) => {
	if (!good) throw new Malformed(what);
};

/** Take a case apart; throws Malformed. */
const readCase = async (tee, text) => {
	let given;
	try {
		given = JSON.parse(text);
	} catch {
		throw new Malformed('JSON');
	}
	const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
	need(isObject(given), 'JSON');
	const { quote_b64, collateral, root_ca_pem, now, policy, cc_eventlog_b64, aa_eventlog } = given;
	const absent = (value) => value === undefined || value === null;
	const base64 = /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/;
	need(typeof quote_b64 === 'string' && base64.test(quote_b64), 'quote_b64');
	need(isObject(collateral), 'collateral');
	const ccel = cc_eventlog_b64 ?? null;
	need(ccel === null || (typeof ccel === 'string' && base64.test(ccel)), 'cc_eventlog_b64');
	const aael = aa_eventlog ?? null;
	need(aael === null || typeof aael === 'string', 'aa_eventlog');
	need(Number.isFinite(now) && now >= 0, 'now');
	const read = async (what, run) => {
		try {
			return await run();
		} catch (error) {
			throw new Malformed(`${what}: ${error.detail ?? error.name}`);
		}
	};
	return {
		quote: new Uint8Array(Buffer.from(quote_b64, 'base64')),
		collateral,
		logs: ('cc_eventlog_b64' in given || 'aa_eventlog' in given) && {
			ccel: ccel === null ? null : new Uint8Array(Buffer.from(ccel, 'base64')),
			aael
		},
		options: {
			now,
			rootKey: await read('root_ca_pem', async () => {
				if (absent(root_ca_pem)) return tee.fromBase64url(tee.INTEL_ROOT_KEY);
				const [root, ...more] = tee.parsePem(root_ca_pem);
				need(more.length === 0, 'more than one certificate');
				return await tee.readRoot(webcrypto.subtle, root);
			}),
			policy: await read('policy', () =>
				absent(policy) ? tee.DEFAULT_POLICY : tee.parsePolicy(JSON.stringify(policy))
			)
		}
	};
};

/** The quote's fields under the names that the policy uses. */
const bodyOf = (tee, quote) => {
	try {
		const { tcb_svn: tee_tcb_svn, ...rest } = tee.parseQuote(quote).body;
		return { tee_tcb_svn, ...rest };
	} catch {
		return null;
	}
};

/** reference-values, which the page runs beside its provider's checks. */
const checkReferences = (tee, { quote, options: { policy } }, findings) => {
	if (findings['quote-signature']?.outcome !== 'pass') return undefined;
	try {
		return { outcome: 'pass', detail: tee.appraiseReferences(policy, tee.parseQuote(quote).body) };
	} catch (error) {
		return { outcome: 'fail', code: error.code, detail: error.detail ?? error.name };
	}
};

/** event-log, which a case is asked for where it has logs, if only empty ones. */
const checkLogs = async (tee, { quote, logs: { ccel, aael }, options: { policy } }) => {
	const id = 'event-log';
	try {
		const replayed = await tee.replay(webcrypto.subtle, tee.parseQuote(quote).body, ccel, aael);
		const found = { code: '', ...tee.appraiseLogs(policy, replayed) };
		return { id, ...found, reason: found.code || null };
	} catch (error) {
		return { id, outcome: 'fail', code: error.code, reason: error.code, detail: error.detail };
	}
};

/** What is told beside the checks; null where the result does not come to it. */
const factsOf = ({ tcb, evaluation, crlNumbers, platform, expires }) => {
	const { fmspc, tcbInfo: tcb_info, qeIdentity: qe_identity } = evaluation ?? {};
	const { dynamic_platform = null, cached_keys = null, smt = null } = platform ?? {};
	return {
		status: tcb?.status ?? null,
		launch: tcb?.launch ?? null,
		current: tcb?.current ?? null,
		dates: tcb?.dates ?? null,
		short: tcb?.short ?? null,
		evaluation: evaluation ? { fmspc, tcb_info, qe_identity } : null,
		crl_numbers: crlNumbers ?? null,
		platform: evaluation ? { dynamic_platform, cached_keys, smt } : null,
		expires: evaluation ? expires : null
	};
};

const answer = async (tee, text) => {
	let input;
	try {
		input = await readCase(tee, text);
	} catch (error) {
		if (!(error instanceof Malformed)) throw error;
		const refused = { accepted: false, status: null, checks: [], body: null };
		return [MALFORMED, { ...refused, error: error.message }];
	}
	const { quote, collateral, options } = input;
	const result = await tee.verifyQuote(webcrypto.subtle, quote, collateral, options);
	const { findings } = result;
	const named = Object.keys(options.policy.reference_values).length > 0;
	if (named) findings[REFERENCES] = checkReferences(tee, input, findings);
	const unasked = (id) => id === REFERENCES && !named;
	const why = (id) => (unasked(id) ? 'the policy has none' : 'an earlier step failed');
	const checks = [...REQUIRED, REFERENCES].map((id) => {
		const { outcome = 'skipped', code, detail = '' } = findings[id] ?? { detail: why(id) };
		const reason = outcome === 'skipped' ? null : (tee.reasonOf({ code, detail }) ?? null);
		return { id, outcome, code, reason, detail };
	});
	const body = bodyOf(tee, quote);
	const logs = input.logs && body ? [await checkLogs(tee, input)] : [];
	// A check that did not run counts as failed, but for one that the policy does not ask for.
	const accepted =
		checks.every(({ id, outcome }) => outcome === 'pass' || outcome === 'warn' || unasked(id)) &&
		logs.every(({ outcome }) => outcome !== 'fail');
	const told = { accepted, ...factsOf(result), checks: [...checks, ...logs], body };
	return [accepted ? ACCEPTED : REJECTED, told];
};

const tee = await load('dcap', ENTRY, ['src']);
if (process.argv[2] === '--batch') {
	for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
		const [exit, result] = await answer(tee, line);
		process.stdout.write(`${JSON.stringify({ ...result, exit })}\n`);
	}
} else {
	const [exit, result] = await answer(tee, readFileSync(0, 'utf8'));
	process.stdout.write(`${JSON.stringify(result)}\n`);
	process.exitCode = exit;
}
