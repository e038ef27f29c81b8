import type { Environment } from './environment';

/**
 * Count down from so many milliseconds; returns what tells how many are left.
 *
 * Two clocks are looked at, and the one that has gone further since the last look counts. The
 * steady one cannot be set, but may stand still while the machine sleeps; the other one goes on
 * then, but can be set. So neither a sleep nor a clock set back makes anything last longer.
 */
export const countdown = (
	{ now, elapsed }: Pick<Environment, 'now' | 'elapsed'>,
	ms: number
): (() => number) => {
	let left = ms;
	let last = { wall: now(), steady: elapsed() };
	return () => {
		const here = { wall: now(), steady: elapsed() };
		left -= Math.max(0, here.wall - last.wall, here.steady - last.steady);
		last = here;
		return left;
	};
};
