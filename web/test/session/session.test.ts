import { beforeEach, describe, expect, it } from 'vitest';
import { DEADLINE, SETTLE } from '../../src/session/session';
import { LIFE, stage } from '../support/stage';

let scene: ReturnType<typeof stage>;
/** A badge on the page, and the first run begun. */
const begin = () => {
	scene = stage();
	scene.session.attach();
	scene.clock.advance(SETTLE);
	return scene;
};

describe('a run', () => {
	beforeEach(() => void begin());

	it('begins pending and ends with its verdict', async () => {
		expect(scene.runs).toHaveLength(1);
		expect(scene.now()).toBe('pending');
		await scene.run(0).end('amber');
		expect(scene.now()).toBe('amber');
	});

	it('is shared by a second badge and by an impatient user', async () => {
		scene.session.attach();
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
		await scene.run(0).end();
		scene.session.attach();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
	});

	it('that breaks is red', async () => {
		await scene.run(0).fail(new TypeError('x'));
		expect(scene.now()).toBe('red');
	});

	it('that hangs is red at its deadline, and its late answer is not heard', async () => {
		scene.clock.advance(DEADLINE);
		expect(scene.now()).toBe('red');
		expect(scene.run(0).signal.aborted).toBe(true);
		await scene.run(0).end();
		expect(scene.now()).toBe('red');
	});

	it('can be asked for again', async () => {
		await scene.run(0).end();
		scene.session.recheck();
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		await scene.run(1).end('red');
		expect(scene.now()).toBe('red');
	});
});

describe('races', () => {
	beforeEach(() => void begin());

	it('a late answer for another chat changes nothing', async () => {
		scene.session.chat('');
		scene.session.chat('a');
		scene.clock.advance(SETTLE);
		expect(scene.run(0).signal.aborted).toBe(true);
		await scene.run(0).end('green');
		expect(scene.now()).toBe('pending');
		await scene.run(1).end('red');
		expect(scene.now()).toBe('red');
	});

	it('a late failure of an older run changes nothing', async () => {
		scene.session.chat('');
		scene.session.chat('a');
		scene.clock.advance(SETTLE);
		await scene.run(1).end('green');
		await scene.run(0).fail(new Error('late'));
		expect(scene.now()).toBe('green');
	});

	it('a late answer under other settings changes nothing', async () => {
		scene.change((s) => (s.provider = 'trustee'));
		scene.clock.advance(SETTLE);
		await scene.run(0).end('green');
		expect(scene.now()).toBe('pending');
		expect(scene.run(1).settings.provider).toBe('trustee');
		await scene.run(1).end('amber');
		expect(scene.now()).toBe('amber');
	});

	it('a burst of changes is one run', async () => {
		await scene.run(0).end();
		scene.session.chat('');
		for (const id of ['a', 'b', 'c']) scene.session.chat(id);
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('the same chat, and one that only got its name, are not asked for again', async () => {
		await scene.run(0).end();
		scene.session.chat('');
		scene.session.chat('');
		scene.session.chat('a', true);
		scene.session.chat('a');
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
		expect(scene.now()).toBe('green');
	});

	it('settings that are stored unchanged start nothing', async () => {
		await scene.run(0).end();
		scene.change(() => {});
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
	});
});

describe('the end of a result', () => {
	beforeEach(async () => {
		begin();
		await scene.run(0).end('green');
	});

	it('is put off by a quiet refresh', async () => {
		scene.states.length = 0;
		scene.clock.advance(LIFE * 0.75);
		expect(scene.runs).toHaveLength(2);
		await scene.run(1).end('green');
		scene.clock.advance(LIFE * 0.5);
		expect(scene.states).toEqual(['green']);
	});

	it('comes at once with a refresh that fails', async () => {
		scene.clock.advance(LIFE * 0.75);
		await scene.run(1).end('red');
		expect(scene.now()).toBe('red');
	});

	it('comes on time though the refresh still runs', async () => {
		scene.clock.advance(LIFE * 0.75);
		scene.clock.advance(LIFE * 0.25);
		expect(scene.now()).toBe('pending');
		await scene.run(1).end('green');
		expect(scene.now()).toBe('green');
	});

	it('comes on time where no badge is on the page, and the next badge asks anew', async () => {
		const alone = stage();
		const detach = alone.session.attach();
		alone.clock.advance(SETTLE);
		await alone.run(0).end('green');
		detach();
		alone.clock.advance(LIFE);
		expect(alone.now()).toBe('pending');
		expect(alone.runs).toHaveLength(1);
		alone.session.attach();
		alone.clock.advance(SETTLE);
		expect(alone.runs).toHaveLength(2);
	});

	it('comes at once with a refresh that breaks', async () => {
		scene.clock.advance(LIFE * 0.75);
		await scene.run(1).fail(new TypeError('x'));
		expect(scene.now()).toBe('red');
	});

	it('comes at once with a refresh that is only amber', async () => {
		scene.states.length = 0;
		scene.clock.advance(LIFE * 0.75);
		await scene.run(1).end('amber');
		expect(scene.states).toEqual(['amber']);
	});

	it('comes on time, whatever its length', async () => {
		for (const life of [10_000, 60_000, 3_600_000, 604_800_000]) {
			const one = stage();
			const detach = one.session.attach();
			one.clock.advance(SETTLE);
			await one.run(0).end('green', life);
			detach(); // and so nothing refreshes it
			one.clock.advance(life - 1);
			expect(one.now()).toBe('green');
			one.clock.advance(1);
			expect(one.now()).toBe('pending');
		}
	});

	it('begins one refresh, which a second badge shares', () => {
		scene.clock.advance(LIFE * 0.75);
		scene.session.attach();
		scene.session.visible();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('begins a refresh that an impatient user has made anew, once, and sees', async () => {
		scene.clock.advance(LIFE * 0.75);
		expect(scene.now()).toBe('green');
		scene.session.recheck();
		expect(scene.now()).toBe('pending');
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		scene.session.recheck();
		expect(scene.runs).toHaveLength(3);
		expect(scene.run(1).signal.aborted).toBe(true);
		await scene.run(2).end('green');
		expect(scene.now()).toBe('green');
	});

	it('is put off when the page is looked at again after the refresh was due', async () => {
		scene.clock.sleep(LIFE * 0.74);
		scene.session.visible();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
		scene.clock.sleep(LIFE * 0.02);
		scene.states.length = 0;
		scene.session.visible();
		scene.clock.advance(0);
		expect(scene.runs).toHaveLength(2);
		await scene.run(1).end('green');
		expect(scene.states).toEqual(['green']);
	});

	it('that was red is not put off: there is nothing to keep', async () => {
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		await scene.run(1).end('red');
		scene.clock.sleep(LIFE * 0.9);
		scene.session.visible();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('is seen at once by a page that was in the background for longer', () => {
		scene.clock.sleep(LIFE);
		scene.session.visible();
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('is seen when the page is looked at again', async () => {
		scene.session.recheck();
		scene.clock.advance(SETTLE);
		await scene.run(1).end('red', 0);
		scene.session.visible();
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		await scene.run(2).end('green');
		scene.session.visible();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(3);
	});
});

describe('a machine that sleeps', () => {
	beforeEach(begin);

	it('wakes up to a green that leaves by the clock, not by the timer', async () => {
		await scene.run(0).end('green');
		scene.clock.advance(LIFE / 3);
		scene.clock.sleep(8 * 3_600_000);
		expect(scene.now()).toBe('green'); // nobody could look
		scene.clock.advance(10_000);
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		await scene.run(1).end('red');
		expect(scene.now()).toBe('red');
	});

	it('keeps a green that still holds', async () => {
		await scene.run(0).end('green');
		scene.clock.sleep(LIFE / 4);
		scene.clock.advance(10_000);
		expect(scene.now()).toBe('green');
		expect(scene.runs).toHaveLength(1);
	});
});

describe('the network', () => {
	beforeEach(() => void begin());

	it('that goes away takes green with it, at once', async () => {
		await scene.run(0).end('green');
		scene.session.offline();
		expect(scene.now()).toBe('red');
		scene.session.visible();
		scene.session.attach();
		scene.clock.advance(LIFE);
		expect(scene.runs).toHaveLength(1);
		scene.session.online();
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		await scene.run(1).end('green');
		expect(scene.now()).toBe('green');
	});

	it('that goes away ends the run under way', async () => {
		scene.session.offline();
		expect(scene.run(0).signal.aborted).toBe(true);
		await scene.run(0).end('green');
		expect(scene.now()).toBe('red');
	});

	it('that comes back after a run failed for lack of it starts another', async () => {
		scene.session.offline();
		scene.session.chat('a');
		scene.session.chat('b');
		scene.clock.advance(SETTLE);
		await scene.run(-1).fail(new Error('no network'));
		expect(scene.now()).toBe('red');
		const before = scene.runs.length;
		scene.session.online();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(before + 1);
	});

	it('that goes away during a refresh takes green with it', async () => {
		await scene.run(0).end('green');
		scene.clock.advance(LIFE * 0.75);
		scene.session.offline();
		expect(scene.now()).toBe('red');
		await scene.run(1).end('green');
		expect(scene.now()).toBe('red');
	});

	it('that was not there when the page came up is noticed when it comes', async () => {
		await scene.run(0).end('red', 0);
		scene.session.online();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('that comes back without having gone starts nothing', async () => {
		await scene.run(0).end('green');
		scene.session.online();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
	});
});

describe('changed measurements', () => {
	beforeEach(() => void begin());

	it('are accepted as they were shown, and looked at again', async () => {
		let accepted = 0;
		await scene.run(0).end('amber', LIFE, { accept: () => accepted++ });
		scene.session.accept();
		expect([accepted, scene.now()]).toEqual([1, 'pending']);
		scene.clock.advance(SETTLE);
		await scene.run(1).end('green');
		expect(scene.now()).toBe('green');
	});

	it('that cannot be stored are looked at again all the same', async () => {
		const accept = () => {
			throw new DOMException('', 'QuotaExceededError');
		};
		await scene.run(0).end('amber', LIFE, { accept });
		scene.session.accept();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('are not what is forgotten, which is looked at again as well', async () => {
		const done: string[] = [];
		const offers = { accept: () => done.push('accept'), forget: () => done.push('forget') };
		await scene.run(0).end('red', LIFE, offers);
		scene.session.forget();
		expect([done, scene.now()]).toEqual([['forget'], 'pending']);
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('that another tab accepted concern nobody where no badge is', () => {
		const alone = stage();
		alone.session.restart();
		alone.clock.advance(SETTLE);
		expect(alone.runs).toHaveLength(0);
	});

	it('are not accepted while nothing is on show', () => {
		scene.session.accept();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(1);
	});

	it('that another tab accepted make a run under way void', async () => {
		scene.session.restart();
		expect(scene.run(0).signal.aborted).toBe(true);
		scene.clock.advance(SETTLE);
		await scene.run(0).end('green');
		expect(scene.now()).toBe('pending');
		await scene.run(1).end('amber');
		expect(scene.now()).toBe('amber');
	});
});

describe('the switch', () => {
	it('that is off starts nothing, whatever happens', () => {
		scene = stage(false);
		scene.session.attach();
		scene.session.chat('');
		scene.session.chat('a');
		scene.session.recheck();
		scene.session.offline();
		scene.session.online();
		scene.session.visible();
		scene.session.accept();
		scene.session.restart();
		scene.clock.advance(LIFE);
		expect(scene.runs).toHaveLength(0);
		expect(scene.now()).toBe('off');
		expect(scene.clock.waiting()).toBe(0);
	});

	it('turned off ends the run, on begins one', async () => {
		begin();
		scene.change((s) => (s.enabled = false));
		expect(scene.now()).toBe('off');
		await scene.run(0).end('green');
		expect(scene.now()).toBe('off');
		scene.change((s) => (s.enabled = true));
		expect(scene.now()).toBe('pending');
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});

	it('changed where no badge is: the old result is gone, and the next badge asks', async () => {
		scene = stage();
		const detach = scene.session.attach();
		scene.clock.advance(SETTLE);
		await scene.run(0).end('green');
		detach();
		scene.change((s) => (s.addresses.trustee = 'https://x.example'));
		expect(scene.now()).toBe('pending');
		scene.clock.advance(LIFE);
		expect(scene.runs).toHaveLength(1);
		scene.session.attach();
		scene.clock.advance(SETTLE);
		expect(scene.runs).toHaveLength(2);
	});
});
