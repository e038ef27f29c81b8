import { describe, expect, it } from 'vitest';
import {
	FIRST_STEP,
	leastPause,
	LONGEST_STEP,
	LONGEST_WAIT,
	pause
} from '../../src/session/backoff';

const none = { failed: 1, asked: 0, left: 0, random: 0 };

describe('the pause before the next try', () => {
	it('doubles, up to a bound that lasts', () => {
		const whole = (failed: number) => pause({ ...none, failed, random: 1 });
		expect([1, 2, 3, 4].map(whole)).toEqual([2_000, 4_000, 8_000, 16_000]);
		for (const failed of [7, 20, 2_000]) expect(whole(failed)).toBe(LONGEST_STEP);
	});

	it('is left to chance by half, so that not all pages ask at once', () => {
		for (const failed of [1, 3, 50]) {
			const [least, middle, most] = [0, 0.5, 1].map((random) => pause({ ...none, failed, random }));
			expect(least).toBe(Number(most) / 2);
			expect(middle).toBe(Number(most) * 0.75);
		}
	});

	it('is at most half of what is left of an older result, and never nothing', () => {
		const of = (left: number) => pause({ ...none, failed: 50, left, random: 1 });
		expect([of(100_000), of(10_000), of(3_000), of(1)]).toEqual([
			50_000,
			5_000,
			FIRST_STEP,
			FIRST_STEP
		]);
		expect(of(1e9)).toBe(LONGEST_STEP);
	});

	it('is as long as was asked, within a bound, and chance only adds to it', () => {
		const asked = (ms: number, random: number) => pause({ ...none, asked: ms, random });
		expect([asked(30_000, 0), asked(30_000, 1)]).toEqual([30_000, 31_000]);
		expect([asked(1e12, 0), asked(Infinity, 0)]).toEqual([LONGEST_WAIT, LONGEST_WAIT]);
		expect([leastPause(0), leastPause(30_000), leastPause(1e12)]).toEqual([
			FIRST_STEP / 2,
			30_000,
			LONGEST_WAIT
		]);
	});
});
