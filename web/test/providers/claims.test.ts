/** What services' tokens say, and what follows; tests/unit/test_service_claims.py has it too. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Finding } from '../../src/base/checks';
import { fromHex } from '../../src/base/encoding';
import { asProblem } from '../../src/base/problem';
import { parseQuote } from '../../src/evidence/quote';
import { DEFAULT_POLICY, parsePolicy } from '../../src/policy/policy';
import type { Context, Result } from '../../src/providers/provider';
import trustee from '../../src/providers/trustee';
import { answer, fakeFetch, makeEnvironment } from '../support/environment';
import { drop, put, read } from '../support/json';
import { must } from '../support/must';
import { makeSigner, makeToken } from '../support/pretended-service';
import { readVectors } from '../support/vectors';

type Edit = [pointer: string, ...value: unknown[]];

const vectors = readVectors('service_claims') as {
	now: number;
	quote: string;
	tokens: Record<string, object>;
	cases: {
		name: string;
		token: string;
		edits: Edit[];
		policy?: object;
		checks: Record<string, string>;
		expires?: number;
		simulated?: boolean;
	}[];
};
const quotes = readVectors('quotes') as { valid: { name: string; quote: string }[] };
const QUOTE = must(quotes.valid.find(({ name }) => name === vectors.quote)).quote;
const ES256 = makeSigner('ES256');
const file = (path: string) => new URL(path, import.meta.url);

type Found = Finding | { outcome: 'fail'; code: string; detail: string };

/** What the provider makes of a token, well signed, as of `now` (seconds since 1970). */
const judge = async (payload: object, now: number, policy = DEFAULT_POLICY, quote = QUOTE) => {
	const quoteBytes = fromHex(quote);
	const { fetch } = fakeFetch({
		'/jwks.json': () => answer({ keys: [ES256.jwk] }),
		'/attestation': () => ({ text: makeToken(ES256, payload) })
	});
	const found = new Map<string, Found>();
	const context: Context = {
		env: makeEnvironment(fetch, { now: () => now * 1000 }),
		subtle: crypto.subtle,
		signal: new AbortController().signal,
		evidence: {
			document: {},
			quoteBytes,
			quote: parseQuote(quoteBytes),
			runtimeData: new Uint8Array(),
			proof: { index: 0, size: 1, path: [] },
			keyset: undefined,
			statement: undefined,
			sections: undefined,
			ccEventlog: null,
			ccel: null,
			aaEventlog: null,
			simulated: false
		},
		choice: {
			provider: 'trustee',
			address: 'https://as.example',
			path: '/attestation',
			keys: '',
			logs: false,
			serverChosen: false
		},
		relay: '',
		suggestedRoot: undefined,
		policy,
		remember: () => undefined,
		async check(id, run) {
			try {
				found.set(id, { outcome: 'pass', ...(await run()) });
				return true;
			} catch (error) {
				const { code, detail } = asProblem(error);
				found.set(id, { outcome: 'fail', code, detail });
				return false;
			}
		}
	};
	return { found, result: must<Result | null>(await trustee.verify(context)) };
};

/** A check as the vectors write it. */
const written = (found: Found | undefined): string => {
	const { outcome = 'skipped', code = '' } = found ?? {};
	if (outcome === 'fail') return code;
	return outcome === 'warn' ? `warn ${code}` : outcome;
};

const edited = (token: string, edits: Edit[]): object => {
	const payload = structuredClone(must(vectors.tokens[token])) as Record<string, unknown>;
	for (const [pointer, ...value] of edits) {
		if (value.length > 0) put(pointer, value[0])(payload);
		else drop(pointer)(payload);
	}
	const status = payload['tcb-status'];
	const isFlat = typeof status === 'object' && status !== null && !Array.isArray(status);
	return isFlat ? { ...payload, 'tcb-status': JSON.stringify(status) } : payload;
};

describe('a token', () => {
	it('is read by one table, here and by cczoo-verify', () => {
		const ours = readFileSync(file('../../src/providers/claims.json'));
		const theirs = readFileSync(file('../../../verifier/services/claims.json'));
		expect(ours.equals(theirs)).toBe(true);
	});

	it.each(vectors.cases)('$name', async ({ token, edits, policy, checks, ...more }) => {
		const held = policy ? parsePolicy(JSON.stringify(policy)) : DEFAULT_POLICY;
		const { found, result } = await judge(edited(token, edits), vectors.now, held);
		expect(found.get('token-signature')?.outcome).toBe('pass');
		const wanted = Object.entries(checks);
		const got = Object.keys(checks).map((id) => [id, written(found.get(id))]);
		expect(got).toEqual(wanted);
		expect(result?.simulated).toBe(more.simulated ?? false);
		if (more.expires !== undefined) expect(result?.expires).toBe(more.expires);
	});
});

describe('a verdict that does not affirm', () => {
	const because = async (status: string, vector: object) => {
		const edits: Edit[] = [
			['/submods/cpu0/ear.status', status],
			['/submods/cpu0/ear.trustworthiness-vector', vector]
		];
		const { found } = await judge(edited('v0.21', edits), vectors.now);
		return found.get('appraisal')?.detail;
	};

	it('names the claims that say why', async () => {
		const usual = { 'instance-identity': 0, configuration: 36, executables: 33, hardware: 97 };
		expect(await because('contraindicated', usual)).toBe(
			'contraindicated: configuration 36, executables 33, hardware 97'
		);
		expect(await because('warning', { executables: 32, hardware: 2 })).toBe(
			'warning: executables 32'
		);
		// Where there is nothing else, that nothing is claimed says why.
		expect(await because('none', { executables: 0, hardware: 0 })).toBe(
			'none: executables 0, hardware 0'
		);
		expect(await because('contraindicated', { hardware: -1 })).toBe('contraindicated: hardware -1');
		expect(await because('none', {})).toBe('none');
	});
});

describe('what a service tells', () => {
	it('is shown, by its names', async () => {
		const { result } = await judge(edited('v0.21', []), vectors.now);
		expect(result?.fields).toMatchObject({
			tcb_status: 'UpToDate',
			tcb_date: '2026-03-01T00:00:00Z',
			tcb_evaluation: 18,
			earliest_expiration_date: '2027-02-01T00:00:00Z',
			pck_crl_num: 7,
			root_ca_crl_num: 3,
			sgx_type: 'Scalable',
			is_cached_keys: false
		});
		expect(result?.fields).not.toHaveProperty('tcb_eval_num');
	});

	it('is shown by the name that every version has for it', async () => {
		const { result } = await judge(edited('v0.13', []), vectors.now);
		expect(result?.fields.tcb_status).toBe('UpToDate');
	});

	it.each(['root_key_id', 'pck_crl_num', 'sgx_type'])(
		'is left out where %s is of another type',
		async (name) => {
			const at = `/submods/cpu0/ear.veraison.annotated-evidence/tdx/${name}`;
			const { result } = await judge(edited('v0.21', [[at, { x: 1 }]]), vectors.now);
			expect(result?.fields).not.toHaveProperty(name);
		}
	);
});

const RECORDINGS = file('../../../../shared/data/trustee/');
const recorded = existsSync(RECORDINGS)
	? readdirSync(RECORDINGS).filter((name) => name.startsWith('v') && name.endsWith('.json'))
	: [];

interface Recording {
	request: object;
	answer: { token?: { payload: Record<string, unknown> } };
}

/** The quote in a recorded request of either form. */
const quoteIn = (request: object): string => {
	const [first] =
		'verification_requests' in request ? (request.verification_requests as object[]) : [request];
	const text = Buffer.from((must(first) as { evidence: string }).evidence, 'base64url').toString();
	return Buffer.from((JSON.parse(text) as { quote: string }).quote, 'base64').toString('hex');
};

/** What each name of a TCB status in the recordings comes to. */
const STATUSES: Record<string, string> = {
	OK: 'pass',
	UpToDate: 'pass',
	Min: 'warn tcb-status',
	ConfigurationNeeded: 'warn tcb-status',
	SoftwareHardeningNeeded: 'warn tcb-status',
	ConfigurationAndSoftwareHardeningNeeded: 'warn tcb-status',
	OutOfDate: 'tcb-status',
	OutOfDateConfigurationNeeded: 'tcb-status',
	TDRelaunchAdvised: 'tcb-relaunch',
	TDRelaunchAdvisedConfigurationNeeded: 'tcb-relaunch'
};
const VERDICTS: Record<string, string> = { affirming: 'pass', warning: 'warn appraisal' };

describe.skipIf(recorded.length === 0)('tokens of a real Trustee (../shared/data)', () => {
	const tokens = recorded.flatMap((name) => {
		const { request, answer: given } = JSON.parse(
			readFileSync(new URL(name, RECORDINGS), 'utf8')
		) as Recording;
		return given.token ? [{ name, request, payload: given.token.payload }] : [];
	});

	it('are there in both forms', () => {
		const forms = new Set(tokens.map(({ payload }) => 'submods' in payload));
		expect([forms.size, tokens.length > 20]).toEqual([2, true]);
	});

	it.each(tokens)('$name', async ({ request, payload }) => {
		const now = Number(payload.iat) + 1;
		const { found } = await judge(payload, now, DEFAULT_POLICY, quoteIn(request));
		const outcomes = ['token-claims', 'collateral', 'tcb-status', 'appraisal'].map((id) =>
			written(found.get(id))
		);
		if (!('submods' in payload)) {
			expect(outcomes).toEqual(['pass', 'pass', 'pass', 'pass']);
			return;
		}
		const [one, ...more] = Object.values(payload.submods as Record<string, object>).map((part) => ({
			status: read(part, '/ear.status') as string,
			tdx: read(part, '/ear.veraison.annotated-evidence/tdx') as Record<string, string>
		}));
		const { status, tdx } = must(one);
		// Two TDs in one token: nobody knows which of them answered.
		const told = more.length === 0;
		expect(outcomes).toEqual([
			told ? 'pass' : 'token-claim',
			told ? (tdx.collateral_expiration_status === '0' ? 'pass' : 'collateral-expired') : 'skipped',
			told ? STATUSES[tdx.tcb_status ?? ''] : 'skipped',
			VERDICTS[status] ?? 'appraisal'
		]);
	});
});
