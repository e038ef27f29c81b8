/** Pieces of code that come on demand, and do not come: a failed check, never a success. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { headline } from '../../src/base/checks';
import { PROVIDERS, providerIds } from '../../src/providers/registry';
import { attest } from '../../src/session/attest';
import { defaults, type Settings } from '../../src/session/settings';
import { answer, fakeFetch, makeEnvironment, nonceOf } from '../support/environment';
import { keptBy } from '../support/kept';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence } from '../support/pretended-td';
import { readVectors } from '../support/vectors';

vi.mock('../../src/token/chain', () => {
	throw new TypeError('Failed to fetch dynamically imported module');
});

const signer = makeSigner('ES256');
const { chains } = readVectors('tokens') as { chains: { root: string } };

const run = async (edit: (settings: Settings) => void) => {
	let claims: Claims = {};
	const { fetch } = fakeFetch({
		'/tee/config': () => answer({}),
		'/tee/quote': (call) => {
			const { fields, document } = makeEvidence(nonceOf(call));
			claims = earClaims(fields);
			return answer(document);
		},
		'/jwks.json': () => answer({ keys: [signer.jwk] }),
		'/attestation': () => ({ text: makeToken(signer, claims) })
	});
	const settings = defaults();
	settings.addresses.trustee = 'https://trustee.example';
	edit(settings);
	const env = makeEnvironment(fetch, keptBy(settings));
	const verdict = await attest(env, settings, new AbortController().signal);
	return { status: verdict.status, reason: headline(verdict.checks), checks: verdict.checks };
};

afterEach(() => {
	vi.restoreAllMocks();
});

describe('a run', () => {
	it.each(providerIds)('without the code of its provider (%s) is red', async (id) => {
		vi.spyOn(PROVIDERS[id], 'load').mockRejectedValue(new TypeError('no such piece'));
		const { status, reason, checks } = await run((settings) => (settings.provider = id));
		expect(status).toBe('red');
		expect(reason).toMatchObject({ id: 'appraisal', code: 'internal', detail: 'code' });
		// What the page can check by itself is shown all the same.
		const passed = checks.filter(({ outcome }) => outcome === 'pass').map((check) => check.id);
		expect(passed).toEqual([
			'secure-context',
			'evidence-format',
			'nonce-binding',
			'key-binding',
			'td-attributes',
			'settings'
		]);
	});

	it('without the code that reads certificates is red only where a CA is pinned', async () => {
		const trustee = (keys: string) => (settings: Settings) => {
			settings.provider = 'trustee';
			settings.keys.trustee = keys;
		};
		expect((await run(trustee(''))).status).toBe('green');
		const { status, reason } = await run(trustee(chains.root));
		expect(status).toBe('red');
		expect(reason).toMatchObject({ id: 'token-signature', code: 'internal' });
	});
});
