import { describe, expect, it } from 'vitest';
import { isPrivate, normaliseAddress } from '../../src/base/address';
import { Problem } from '../../src/base/problem';
import { PROVIDERS, type ProviderId } from '../../src/providers/registry';
import { readVectors } from '../support/vectors';

interface Read {
	provider: ProviderId;
	text: string;
	address: string;
	private: boolean;
}

const { read, refused } = readVectors('addresses') as { read: Read[]; refused: string[] };

describe('addresses', () => {
	it.each(read)('$text of $provider is $address', ({ provider, text, address, ...one }) => {
		expect(normaliseAddress(text, PROVIDERS[provider].path)).toBe(address);
		expect(isPrivate(address)).toBe(one.private);
	});

	it.each(refused)('%j is refused', (text) => {
		expect(() => normaliseAddress(text)).toThrow(Problem);
	});

	it('that are no text are refused', () => {
		expect(() => normaliseAddress(null as unknown as string)).toThrow(Problem);
	});
});
