import { expect, it } from 'vitest';
import { countdown } from '../../src/base/countdown';
import { fakeClock } from '../support/environment';

const begin = () => {
	const clock = fakeClock();
	return { clock, left: countdown(clock, 60_000) };
};

it('counts down by both clocks, and goes on below nothing', () => {
	const { clock, left } = begin();
	expect(left()).toBe(60_000);
	clock.advance(20_000);
	expect([left(), left()]).toEqual([40_000, 40_000]);
	clock.advance(50_000);
	expect(left()).toBe(-10_000);
});

it('is not made longer by a clock set back, whenever that is, nor by one set forward before', () => {
	const { clock, left } = begin();
	clock.advance(10_000);
	clock.set(-86_400_000);
	expect(left()).toBe(50_000);
	clock.advance(10_000);
	expect(left()).toBe(40_000);
	clock.set(30_000);
	expect(left()).toBe(10_000);
	clock.set(-30_000);
	expect(left()).toBe(10_000);
});

it('is not made longer by a sleep that one of the clocks does not notice', () => {
	for (const steadily of [true, false]) {
		const { clock, left } = begin();
		clock.sleep(45_000, steadily);
		expect(left()).toBe(15_000);
	}
});

it('is not made longer by a clock set back before such a sleep', () => {
	const { clock, left } = begin();
	clock.set(-86_400_000);
	expect(left()).toBe(60_000);
	clock.sleep(45_000, false);
	expect(left()).toBe(15_000);
});
