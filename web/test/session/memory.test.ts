import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseQuote } from '../../src/evidence/quote';
import {
	recognise,
	remember,
	rememberEdition,
	valuesOf,
	type Values
} from '../../src/session/memory';
import { EDITIONS_KEY, MEMORY_KEY } from '../../src/session/settings';
import { fill } from '../support/bytes';
import { fakeStorage, NOW, refusingStorage } from '../support/environment';
import { drop, put } from '../support/json';
import { must } from '../support/must';
import { makeQuote, someFields, type Fields } from '../support/pretended-td';

const LATER = (NOW + 86_400) * 1000;
const quote = (change: Partial<Fields> = {}) => parseQuote(makeQuote(someFields(change)));
const values = (change: Partial<Fields> = {}, simulated = false): Values =>
	valuesOf(quote(change), simulated);
const known = () => {
	const memory = fakeStorage();
	remember(memory, values(), NOW * 1000);
	return memory;
};
const look = (memory: Parameters<typeof recognise>[0], now: Values = values()) =>
	recognise(memory, now, LATER);

describe('the memory', () => {
	it('begins at the first look', () => {
		const memory = fakeStorage();
		expect(look(memory)).toEqual({
			finding: { outcome: 'skipped', code: 'first-use' },
			changes: []
		});
		expect(look(memory)).toMatchObject({ finding: { outcome: 'pass', code: 'unchanged' } });
	});

	it('does not begin where it may not, and compares all the same', () => {
		const memory = fakeStorage();
		expect(recognise(memory, values(), LATER, false)).toEqual({
			finding: { outcome: 'skipped', code: 'not-remembered' },
			changes: []
		});
		expect(memory.items.size).toBe(0);
		const other = values({ mr_td: fill(48, 0xee) });
		expect(recognise(known(), other, LATER, false).finding.code).toBe('changed');
	});

	it('says since when nothing has changed', () => {
		expect(look(known())).toEqual({
			finding: {
				outcome: 'pass',
				code: 'unchanged',
				detail: new Date(NOW * 1000).toISOString().slice(0, 10)
			},
			changes: []
		});
	});

	it.each([
		'mr_td',
		'rtmr_0',
		'rtmr_1',
		'rtmr_2',
		'rtmr_3',
		'mr_seam',
		'mrsigner_seam',
		'mr_config_id',
		'mr_owner',
		'mr_owner_config',
		'td_attributes',
		'xfam'
	] as const)('notices another %s, old and new, and is not changed by that', (name) => {
		const memory = known();
		const size = someFields()[name].length;
		const now = values({ [name]: fill(size, 0xee) });
		const before = memory.getItem(MEMORY_KEY);
		expect(look(memory, now)).toMatchObject({
			finding: { outcome: 'warn', code: 'changed' },
			changes: [[name, values()[name], 'ee'.repeat(size)]]
		});
		expect(memory.getItem(MEMORY_KEY)).toBe(before);
	});

	it('leaves the register of the kit’s own log to what that log says', () => {
		const logged = (rtmr_3: number) => valuesOf(quote({ rtmr_3: fill(48, rtmr_3) }), false, true);
		const memory = fakeStorage();
		remember(memory, logged(1), NOW * 1000);
		expect(look(memory, logged(2))).toMatchObject({ finding: { outcome: 'pass' } });
		expect(look(memory).changes.map(([name]) => name)).toEqual(['rtmr_3']);
	});

	describe('of the service TD', () => {
		/** Values of a quote that names the service TD: 48 times this byte. */
		const named = (byte: number) =>
			valuesOf(
				parseQuote(
					makeQuote(someFields({ mr_servicetd: fill(48, byte) }), { version: 5, later: true })
				),
				false
			);
		const zeros = '00'.repeat(48);
		const seven = '07'.repeat(48);
		const begunWith = (before: Values) => {
			const memory = fakeStorage();
			remember(memory, before, NOW * 1000);
			return memory;
		};

		it.each<[string, Values, Values, string, string]>([
			['was not told and is bound', values(), named(7), 'absent', seven],
			['was none and is bound', named(0), named(7), zeros, seven],
			['was bound and is none', named(7), named(0), seven, zeros],
			['was none and is not told any more', named(0), values(), zeros, 'absent'],
			['was bound and is not told any more', named(7), values(), seven, 'absent']
		])('notices that it %s', (_name, before, now, was, is) => {
			const memory = begunWith(before);
			for (let time = 0; time < 2; time += 1) {
				const { finding, changes } = look(memory, now);
				expect([finding.outcome, changes]).toEqual(['warn', [['mr_servicetd', was, is]]]);
			}
			remember(memory, now, LATER);
			expect(look(memory, now).finding.outcome).toBe('pass');
		});

		it('takes it from a quote that tells it at last, and then misses it', () => {
			const memory = known();
			const since = new Date(NOW * 1000).toISOString().slice(0, 10);
			expect(look(memory, named(0)).finding).toMatchObject({ outcome: 'pass', detail: since });
			expect(look(memory, named(0)).finding).toMatchObject({ outcome: 'pass', detail: since });
			expect(look(memory).changes).toEqual([['mr_servicetd', zeros, 'absent']]);
		});

		it('takes nothing where it may not, or where something else has changed', () => {
			const memory = known();
			const before = memory.getItem(MEMORY_KEY);
			expect(recognise(memory, named(0), LATER, false).finding.outcome).toBe('pass');
			expect(look(memory, { ...named(0), xfam: '' }).changes).toHaveLength(1);
			expect(memory.getItem(MEMORY_KEY)).toBe(before);
		});

		it('by an older version, which told neither from the other, is no alarm', () => {
			for (const now of [values(), named(0)]) {
				const memory = begunWith({ ...values(), mr_servicetd: '' });
				expect(look(memory, now).finding.outcome).toBe('pass');
				expect(look(memory, now).finding.outcome).toBe('pass');
				expect(look(memory, named(7)).changes).toHaveLength(1);
			}
			const bound = begunWith({ ...values(), mr_servicetd: seven });
			expect(look(bound, named(7)).finding.outcome).toBe('pass');
			expect(look(bound).changes).toEqual([['mr_servicetd', seven, 'absent']]);
		});
	});

	it('notices that hardware became a simulation, and the reverse', () => {
		const memory = known();
		expect(look(memory, values({}, true)).changes).toEqual([['simulated', 'false', 'true']]);
		remember(memory, values({}, true), LATER);
		expect(look(memory).changes).toEqual([['simulated', 'true', 'false']]);
	});

	it('does not mind what changes with every quote or with an update', () => {
		const now = values({
			report_data: fill(64, 1),
			tcb_svn: fill(16, 9),
			seam_attributes: fill(8, 1)
		});
		expect(look(known(), now).finding.outcome).toBe('pass');
	});

	it('knows what was accepted', () => {
		const memory = known();
		const now = values({ mr_td: fill(48, 0xee) });
		remember(memory, now, LATER);
		expect(look(memory, now).finding).toMatchObject({ outcome: 'pass' });
		expect(look(memory).finding).toMatchObject({ outcome: 'warn', code: 'changed' });
	});

	it('of two tabs that look for the first time the second one is compared', () => {
		const memory = fakeStorage();
		expect(look(memory).finding.code).toBe('first-use');
		expect(look(memory, values({ mr_td: fill(48, 0xee) })).finding).toMatchObject({
			outcome: 'warn',
			code: 'changed'
		});
	});
});

describe('the memory of editions', () => {
	const hold = (memory: ReturnType<typeof fakeStorage>, ...numbers: [number, number]) =>
		rememberEdition(memory, { about: '00906ed50000', numbers });
	const older = (detail: string) => ({ outcome: 'warn', code: 'collateral-older', detail });

	it('keeps the highest number of each document', () => {
		const memory = fakeStorage();
		expect(hold(memory, 20, 19)).toBeUndefined();
		expect(hold(memory, 20, 20)).toBeUndefined();
		expect(hold(memory, 19, 21)).toEqual(older('19, 21 < 20, 21'));
		expect(hold(memory, 20, 20)).toEqual(older('20, 20 < 20, 21'));
		expect(hold(memory, 20, 21)).toBeUndefined();
	});

	it('keeps kinds of platforms apart, and is bounded', () => {
		const memory = fakeStorage();
		hold(memory, 20, 20);
		for (let at = 0; at < 500; at += 1) {
			expect(rememberEdition(memory, { about: `platform ${at}`, numbers: [1, 1] })).toBeUndefined();
		}
		expect(must(memory.getItem(EDITIONS_KEY)).length).toBeLessThan(1 << 14);
		expect(rememberEdition(memory, { about: 'platform 499', numbers: [0, 1] })).toEqual(
			older('0, 1 < 1, 1')
		);
	});

	it('stays as it is where nothing is new, whichever platform answers', () => {
		const memory = fakeStorage();
		const see = (about: string, tcbInfo: number) =>
			rememberEdition(memory, { about, numbers: [tcbInfo, 1] });
		see('00906ed50000', 20);
		see('50806f000000', 20);
		const before = memory.getItem(EDITIONS_KEY);
		see('00906ed50000', 20);
		see('00906ed50000', 19);
		expect(memory.getItem(EDITIONS_KEY)).toBe(before);
		see('00906ed50000', 21);
		expect(memory.getItem(EDITIONS_KEY)).toBe(before?.replace('20', '21'));
	});

	it('leaves the memory of measurements as it was stored before', () => {
		const memory = known();
		const before = memory.getItem(MEMORY_KEY);
		hold(memory, 20, 20);
		expect(memory.getItem(MEMORY_KEY)).toBe(before);
		expect(look(memory).finding.code).toBe('unchanged');
	});

	it.each([
		['nothing', ''],
		['a list', '[]'],
		['another version', '{"v":2,"highest":[]}'],
		['no list', '{"v":1,"highest":{}}'],
		['a number less', '{"v":1,"highest":[["00906ed50000",1]]}'],
		['numbers as texts', '{"v":1,"highest":[["00906ed50000","1","1"]]}'],
		['fractions', '{"v":1,"highest":[["00906ed50000",1.5,1]]}'],
		['huge', JSON.stringify({ v: 1, highest: [], more: 'x'.repeat(1 << 15) })]
	])('that is damaged (%s) warns once, and begins anew', (_name, text) => {
		const memory = fakeStorage(new Map([[EDITIONS_KEY, text]]));
		expect(hold(memory, 20, 20)).toEqual({ outcome: 'warn', code: 'collateral-memory' });
		expect(hold(memory, 20, 20)).toBeUndefined();
		expect(hold(memory, 19, 20)).toEqual(older('19, 20 < 20, 20'));
	});
});

describe('a damaged memory', () => {
	const whole = must(known().getItem(MEMORY_KEY));
	const changed = (edit: (stored: object) => void) => {
		const stored = JSON.parse(whole) as object;
		edit(stored);
		return JSON.stringify(stored);
	};
	const warned = (text: string) => {
		const memory = fakeStorage(new Map([[MEMORY_KEY, text]]));
		const { finding, changes } = look(memory);
		expect(memory.getItem(MEMORY_KEY)).toBe(text);
		return [finding.outcome, finding.code, changes.length];
	};

	it.each([
		['nothing', ''],
		['null', 'null'],
		['a list', '[]'],
		['no version', changed(drop('/v'))],
		['another version', changed(put('/v', 2))],
		['no date', changed(drop('/since'))],
		['no values', changed(drop('/values'))],
		['values of another kind', changed(put('/values', []))],
		['a field less', changed(drop('/values/xfam'))],
		['a number for a field', changed(put('/values/mr_td', 1))],
		['nothing about simulation', changed(drop('/values/simulated'))],
		['values of a prototype', changed(put('/values', { __proto__: values() }))],
		['a key twice', whole.replace('"v":1', '"v":1,"v":1')],
		['cut off', whole.slice(0, -1)],
		['huge', changed(put('/more', 'x'.repeat(1 << 15)))]
	])('(%s) warns, and stays as it is until the user accepts', (_name, text) => {
		expect(warned(text)).toEqual(['warn', 'memory', 14]);
	});

	it('of any content neither passes nor is a first use', () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
				expect(warned(text)[0]).toBe('warn');
			})
		);
	});

	it('that cannot be read warns', () => {
		const memory = { ...fakeStorage(), getItem: refusingStorage.getItem };
		expect(look(memory).finding).toEqual({ outcome: 'warn', code: 'memory' });
	});

	it('that cannot be written, or forgets at once, warns', () => {
		const full = { ...refusingStorage, getItem: () => null };
		expect(look(full).finding).toEqual({ outcome: 'warn', code: 'memory' });
		expect(look({ ...fakeStorage(), getItem: () => null }).finding).toEqual({
			outcome: 'warn',
			code: 'memory'
		});
		// What is there already can still be compared.
		expect(look({ ...full, getItem: known().getItem }).finding.outcome).toBe('pass');
	});
});
