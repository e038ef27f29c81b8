/** Tries that say nothing about the machine: made again while the older result holds, and after. */
import { beforeEach, describe, expect, it } from 'vitest';
import { LONGEST_STEP } from '../../src/session/backoff';
import { DEADLINE, SETTLE } from '../../src/session/session';
import { BUSY, LIFE, stage } from '../support/stage';

/** What is left of a result when the next one is fetched. */
const LAST = LIFE / 4;

let scene: ReturnType<typeof stage>;

/** A badge on the page, and the first run begun. */
const begin = (byte = 255) => {
	scene = stage(true, { random: (length) => new Uint8Array(length).fill(byte) });
	scene.session.attach();
	scene.clock.advance(SETTLE);
};

/** A green result, and its refresh begun. */
const refreshing = async (byte = 255) => {
	begin(byte);
	await scene.run(0).end('green');
	scene.clock.advance(LIFE - LAST);
	expect(scene.runs).toHaveLength(2);
	scene.states.length = 0;
};

/** Let every run come to nothing for so long; returns when each began, in milliseconds from now. */
const outage = async (ms: number): Promise<number[]> => {
	const from = scene.clock.now();
	const begun: number[] = [];
	while (scene.clock.now() < from + ms) {
		const before = scene.runs.length;
		scene.clock.advance(100);
		if (scene.runs.length === before) continue;
		expect(scene.runs).toHaveLength(before + 1);
		begun.push(scene.clock.now() - from);
		await scene.run(-1).pass();
	}
	return begun;
};

describe('a refresh that says nothing about the machine', () => {
	beforeEach(() => refreshing());

	it('leaves the result on show, says so, and is made again until it brings one', async () => {
		const end = scene.clock.now() + LAST;
		await scene.run(1).pass();
		expect(scene.now()).toBe('green');
		expect(scene.renewal()).toEqual({
			check: BUSY,
			again: scene.clock.now() + 2_000,
			until: end
		});
		scene.clock.advance(2_000);
		expect(scene.runs).toHaveLength(3);
		expect(scene.renewal()).toMatchObject({ check: BUSY, again: undefined, until: end });
		await scene.run(2).pass();
		expect(scene.renewal()?.again).toBe(scene.clock.now() + 4_000);
		scene.clock.advance(4_000);
		await scene.run(3).end('green');
		expect(scene.renewal()).toBeUndefined();
		// The new one has a life of its own.
		scene.clock.advance(LIFE * 0.7);
		expect(new Set(scene.states)).toEqual(new Set(['green']));
		expect(scene.runs).toHaveLength(4);
	});

	it('leaves the result on show to its end, not longer, and is red with the reason then', async () => {
		await scene.run(1).pass();
		const begun = await outage(LAST - 100);
		expect(scene.now()).toBe('green');
		expect(begun.length).toBeGreaterThan(4);
		expect(begun.length).toBeLessThan(16);
		expect(begun.at(-1)).toBeGreaterThan(LAST - 4_000); // not a long pause before the end
		scene.clock.advance(100);
		expect(scene.now()).toBe('red');
		expect(scene.renewal()).toMatchObject({ check: BUSY, until: undefined });
	});

	it('goes on after that, ever more rarely, and recovers by itself', async () => {
		await scene.run(1).pass();
		await outage(LAST);
		const begun = await outage(6 * 3_600_000);
		const pauses = begun.slice(1).map((at, index) => at - Number(begun[index]));
		expect(Math.max(...pauses)).toBeLessThanOrEqual(LONGEST_STEP + 100);
		expect(pauses.slice(8).every((ms) => ms >= LONGEST_STEP / 2)).toBe(true);
		expect(new Set(scene.states)).toEqual(new Set(['green', 'red']));
		scene.clock.advance(LONGEST_STEP);
		await scene.run(-1).end('green');
		expect(scene.now()).toBe('green');
		expect(scene.renewal()).toBeUndefined();
		expect(scene.clock.waiting()).toBe(2); // its refresh and its end, and no more tries
	});

	it('waits as long as it is asked to', async () => {
		await scene.run(1).pass(20_000);
		scene.clock.advance(19_900);
		scene.session.visible();
		scene.session.online();
		scene.session.attach();
		expect(scene.runs).toHaveLength(2);
		scene.clock.advance(2_100);
		expect(scene.runs).toHaveLength(3);
	});

	it('is over with a verdict: red at once, and nothing more is tried', async () => {
		await scene.run(1).pass();
		scene.clock.advance(2_000);
		await scene.run(2).end('red');
		expect(scene.now()).toBe('red');
		expect(scene.renewal()).toBeUndefined();
		scene.clock.advance(LIFE);
		expect(scene.runs).toHaveLength(3);
	});

	it('that hangs is given up and made again', async () => {
		const { signal } = scene.run(1);
		scene.clock.advance(DEADLINE);
		expect(signal.aborted).toBe(true);
		expect(scene.now()).toBe('red'); // its result has ended meanwhile
		expect(scene.renewal()?.check?.code).toBe('internal');
		scene.clock.advance(2_000);
		await scene.run(2).end('green');
		expect(scene.now()).toBe('green');
	});

	it('is made again at once when the network comes back or the page is looked at', async () => {
		for (const look of [scene.session.online, scene.session.visible]) {
			await scene.run(-1).pass();
			await outage(30_000); // pauses have grown
			const before = scene.runs.length;
			scene.clock.advance(1_000);
			look();
			look();
			scene.clock.advance(0);
			expect(scene.runs).toHaveLength(before + 1);
		}
	});

	it('is not made again by looking at the page over and over', async () => {
		await scene.run(1).pass();
		for (let turn = 0; turn < 9; turn += 1) {
			scene.clock.advance(100);
			scene.session.visible();
			scene.session.online();
		}
		expect(scene.runs).toHaveLength(2);
	});

	it('waits where no badge is on the page, and goes on with the next', async () => {
		const alone = stage();
		const detach = alone.session.attach();
		alone.clock.advance(SETTLE);
		await alone.run(0).end('green');
		alone.clock.advance(LIFE - LAST);
		detach();
		await alone.run(1).pass();
		alone.clock.advance(LAST - 1);
		expect([alone.runs.length, alone.now()]).toEqual([2, 'green']);
		alone.session.attach();
		alone.clock.advance(0);
		expect([alone.runs.length, alone.now()]).toEqual([3, 'green']);
		await alone.run(2).end('green');
		expect(alone.now()).toBe('green');
	});

	it('wakes up from a sleep that outlived the result red, and tries at once', async () => {
		await scene.run(1).pass();
		scene.clock.sleep(8 * 3_600_000);
		scene.session.visible();
		expect(scene.now()).toBe('red');
		expect(scene.renewal()?.check).toEqual(BUSY);
		scene.clock.advance(0);
		expect(scene.runs).toHaveLength(3);
		await scene.run(2).end('green');
		expect(scene.now()).toBe('green');
	});
});

describe('pages of a server that restarts', () => {
	it('do not come back all at once', async () => {
		const first: number[] = [];
		for (const byte of [0, 64, 128, 192, 255]) {
			await refreshing(byte);
			await scene.run(1).pass();
			first.push(Number(scene.renewal()?.again) - scene.clock.now());
		}
		expect(new Set(first).size).toBe(5);
		expect(Math.max(...first) - Math.min(...first)).toBe(1_000);
	});
});

describe('the first attestation of a page', () => {
	it('is made again by itself where it comes to nothing', async () => {
		begin();
		await scene.run(0).pass();
		expect(scene.now()).toBe('red');
		expect(scene.renewal()).toEqual({
			check: BUSY,
			again: scene.clock.now() + 2_000,
			until: undefined
		});
		scene.states.length = 0;
		expect((await outage(600_000)).length).toBeGreaterThan(5);
		expect(new Set(scene.states)).toEqual(new Set(['red'])); // and not pending in between
		scene.clock.advance(LONGEST_STEP);
		await scene.run(-1).end('green');
		expect(scene.now()).toBe('green');
	});

	it('is not made again where it came to a verdict', async () => {
		begin();
		await scene.run(0).end('red');
		scene.clock.advance(3_600_000);
		expect(scene.runs).toHaveLength(1);
	});
});

describe('an attestation that somebody asked for', () => {
	beforeEach(async () => {
		begin();
		await scene.run(0).end('green');
		scene.session.chat('1');
	});

	it.each([
		[
			'a new chat',
			() => {
				scene.session.chat('2');
			}
		],
		[
			'the user',
			() => {
				scene.session.recheck();
			}
		]
	])('by %s comes back to the result that holds where it comes to nothing', async (_who, ask) => {
		const end = scene.clock.now() + LIFE;
		ask();
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		await scene.run(1).pass();
		expect(scene.now()).toBe('green');
		expect(scene.renewal()).toMatchObject({ check: BUSY, until: end });
		scene.clock.advance(2_000);
		await scene.run(2).end('green');
		expect(scene.renewal()).toBeUndefined();
	});

	it('has nothing to come back to where the settings or what is remembered changed', async () => {
		for (const change of [
			() => {
				scene.change((s) => (s.addresses.trustee += 'x'));
			},
			scene.session.restart,
			scene.session.accept,
			scene.session.offline
		]) {
			change();
			scene.session.online();
			scene.clock.advance(SETTLE);
			await scene.run(-1).pass();
			expect(scene.now()).toBe('red');
			scene.clock.advance(2_000);
			await scene.run(-1).end('green');
			expect(scene.now()).toBe('green');
		}
	});

	it('has nothing to come back to where the last result was red', async () => {
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		await scene.run(1).end('red');
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		await scene.run(2).pass();
		expect([scene.now(), scene.renewal()?.check]).toEqual(['red', BUSY]);
	});

	it('comes back to nothing that ended meanwhile', async () => {
		scene.clock.advance(LIFE * 0.7);
		scene.session.recheck();
		scene.clock.advance(LIFE * 0.3);
		expect(scene.now()).toBe('pending');
		await scene.run(1).pass();
		expect(scene.now()).toBe('red');
	});

	it('is the only one under way', async () => {
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		await scene.run(1).pass();
		scene.session.chat('2');
		scene.session.chat('3');
		scene.session.visible();
		scene.clock.advance(60_000);
		expect(scene.runs).toHaveLength(3);
		scene.session.chat('4');
		expect(scene.run(2).signal.aborted).toBe(true);
	});
});

describe('the life of a result', () => {
	const DAY = 86_400_000;
	const alone = async () => {
		begin();
		const detach = scene.session.attach();
		await scene.run(0).end('green');
		return detach;
	};

	it.each([
		['set back', [-DAY]],
		['set forward and back', [60_000, -DAY]],
		['set back again and again', [-DAY, -DAY, -DAY]]
	])('is not longer by a clock that is %s', async (_name, steps) => {
		await alone();
		for (const step of steps) {
			scene.clock.set(step);
			scene.clock.advance(10_000);
			await Promise.resolve();
		}
		scene.clock.advance(LIFE - LAST - steps.length * 10_000);
		expect(scene.runs).toHaveLength(2); // its refresh is not later either
		scene.clock.advance(LAST - 1);
		await scene.run(1).pass();
		scene.clock.advance(1);
		expect(scene.now()).toBe('red');
	});

	it('is over where the clock is set behind its end', async () => {
		await alone();
		scene.clock.set(LIFE);
		scene.clock.advance(10_000);
		expect(scene.now()).toBe('pending');
	});

	it('is not longer by a clock set back before a sleep that the other clock does not notice', async () => {
		await alone();
		scene.clock.set(-DAY);
		scene.clock.advance(10_000);
		scene.clock.sleep(LIFE - 10_000, false);
		scene.session.visible();
		expect(scene.now()).toBe('pending');
	});

	it('is not longer by a clock set back while the result is on its way', async () => {
		begin();
		scene.clock.set(-3_600_000);
		// Its token ends in real time, and the clock here says that this is in an hour and more.
		await scene.run(0).end('green', LIFE + 3_600_000);
		scene.clock.advance(LIFE - LAST);
		expect(scene.runs).toHaveLength(2);
		await scene.run(1).pass();
		scene.clock.advance(LAST);
		expect(scene.now()).toBe('red');
	});
});
