import { describe, expect, it } from 'vitest';
import type { CheckId } from '../../src/base/checks';
import { PROVIDERS, providerIds } from '../../src/providers/registry';

/** What none may leave out. */
const NEEDED: CheckId[] = [
	'secure-context',
	'evidence-format',
	'nonce-binding',
	'key-binding',
	'td-attributes',
	'settings',
	'not-simulated'
];

describe('the list of checks', () => {
	it.each(providerIds)('of the provider %s requires what none may leave out', async (id) => {
		const { default: provider } = await PROVIDERS[id].load();
		expect(provider.required).toEqual(expect.arrayContaining(NEEDED));
	});
});
