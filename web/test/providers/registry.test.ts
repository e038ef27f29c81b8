import { describe, expect, it } from 'vitest';
import type { CheckId } from '../../src/base/checks';
import { CODE } from '../../src/providers/code';
import { providerIds } from '../../src/providers/registry';

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
	it.each(providerIds)('of the provider %s requires what none may leave out', (id) => {
		expect(CODE[id].required).toEqual(expect.arrayContaining(NEEDED));
	});
});
