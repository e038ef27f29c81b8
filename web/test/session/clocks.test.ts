import { describe, expect, it } from 'vitest';
import type { Check } from '../../src/base/checks';
import type { ReasonCode } from '../../src/base/reasons';
import { blameClock } from '../../src/session/clocks';

const OURS = Date.UTC(2026, 0, 1);
const DAY = 86_400_000;
const failed = (code: ReasonCode, detail = ''): Check => ({
	id: 'key-binding',
	outcome: 'fail',
	code,
	detail
});
const codes = (check: Check, theirs: number) =>
	blameClock([check], { ours: OURS, theirs }).map(({ code }) => code);

describe('a failure by time', () => {
	it.each([
		['keyset-expired', '2025-12-31T00:00:00Z'],
		['keyset-life', ''],
		['token-time', 'exp'],
		['collateral', 'collateral-expired'],
		['collateral', 'signer-chain: not valid yet'],
		['quote-signature', 'pck-chain: expired']
	] as const)('is told as one of two clocks that differ: %s %s', (code, detail) => {
		const check = failed(code, detail);
		expect(codes(check, OURS - DAY)).toEqual(['clock-differs']);
		expect(codes(check, OURS + DAY)).toEqual(['clock-differs']);
		expect(codes(check, OURS + 30_000)).toEqual([code]);
		expect(codes(check, NaN)).toEqual([code]);
		expect(blameClock([check])).toEqual([check]);
	});

	it('says what both clocks said, and what failed', () => {
		const [check] = blameClock([failed('token-time', 'exp')], { ours: OURS, theirs: OURS + DAY });
		expect(check?.detail).toBe('2026-01-01T00:00:00Z / 2026-01-02T00:00:00Z (token-time) exp');
		expect(check?.outcome).toBe('fail');
	});

	it('is nothing else than that: no clock explains what has other causes, or excuses anything', () => {
		for (const check of [
			failed('nonce'),
			failed('collateral', 'revoked: 1'),
			{ ...failed('token-time'), outcome: 'warn' as const }
		]) {
			expect(blameClock([check], { ours: OURS, theirs: OURS - DAY })).toEqual([check]);
		}
	});
});
