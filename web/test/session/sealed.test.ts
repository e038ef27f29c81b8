/** What this browser remembers of having talked sealed to an origin: nobody but the person undoes it. */
import { describe, expect, it } from 'vitest';
import type { Environment } from '../../src/base/environment';
import { markedStorage } from '../../src/session/marks';
import { forgetSealed, rememberSealed, wasSealed } from '../../src/session/sealed';
import { SEALED_KEY } from '../../src/session/settings';
import {
	fakeClock,
	fakeStorage,
	makeEnvironment,
	NOW,
	refusingStorage,
	settle
} from '../support/environment';
import { fakeMarks, noMarks } from '../support/kept';

const browser = (more: Partial<Environment> = {}) => {
	const { items, ...storage } = fakeStorage();
	const marks = fakeMarks();
	const env = makeEnvironment(fetch, { memory: markedStorage(storage, marks), marks, ...more });
	return { env, items, marks: marks.items };
};
const DENIAL = '{"v":1,"sealed":false}';

describe('a browser', () => {
	it('knows of nothing at first, and then of the first time', async () => {
		const { env, items, marks } = browser();
		expect(await wasSealed(env)).toBe(false);
		rememberSealed(env);
		expect(await wasSealed(env)).toBe(true);
		const text = items.get(SEALED_KEY);
		const since = new Date(NOW * 1000).toISOString();
		expect(text).toBe(JSON.stringify({ v: 1, sealed: true, since }));
		expect(marks.get(SEALED_KEY)).toBe(text);
		rememberSealed({ ...env, now: () => 0 });
		expect(items.get(SEALED_KEY)).toBe(text);
	});

	it('knows it as long as either the fact or its mark is there', async () => {
		for (const lost of ['items', 'marks'] as const) {
			const known = browser();
			rememberSealed(known.env);
			known[lost].delete(SEALED_KEY);
			expect(await wasSealed(known.env)).toBe(true);
			known[lost].set(SEALED_KEY, DENIAL);
			expect(await wasSealed(known.env)).toBe(true);
		}
	});

	it('forgets it by the person’s word, and may learn it again', async () => {
		const { env, items, marks } = browser();
		rememberSealed(env);
		forgetSealed(env);
		expect(await wasSealed(env)).toBe(false);
		expect([items.get(SEALED_KEY), marks.get(SEALED_KEY)]).toEqual([DENIAL, DENIAL]);
		rememberSealed(env);
		expect(await wasSealed(env)).toBe(true);
		expect(marks.get(SEALED_KEY)).toBe(items.get(SEALED_KEY));
		// Also where somebody has taken the fact away, and only its mark knows.
		items.delete(SEALED_KEY);
		forgetSealed(env);
		expect(await wasSealed(env)).toBe(false);
	});

	it.each([
		['nothing', ''],
		['no JSON', '{'],
		['a list', '[]'],
		['no word on it', '{"v":1}'],
		['a word that is none', '{"v":1,"sealed":0}'],
		['two words', '{"v":1,"sealed":true,"sealed":false}'],
		['an inherited word', '{"v":1,"__proto__":{"sealed":false}}'],
		['too much', JSON.stringify({ v: 1, sealed: false, more: 'x'.repeat(2000) })]
	])('takes %s for the stricter thing', async (_name, text) => {
		const { env, items } = browser();
		items.set(SEALED_KEY, text);
		expect(await wasSealed(env)).toBe(true);
	});

	it('that keeps no marks goes by the fact', async () => {
		const { env } = browser({ marks: noMarks });
		expect(await wasSealed(env)).toBe(false);
		rememberSealed(env);
		expect(await wasSealed(env)).toBe(true);
	});

	it('whose marks do not answer goes by the fact after a time', async () => {
		const { now, elapsed, later, advance } = fakeClock();
		const silent = { ...noMarks, get: () => new Promise<never>(() => undefined) };
		const { env } = browser({ marks: silent, now, elapsed, later });
		let found: boolean | undefined;
		void wasSealed(env).then((sealed) => (found = sealed));
		await settle(() => {
			advance(1000);
			return found !== undefined;
		});
		expect(found).toBe(false);
	});

	it('whose storage is full says nothing more', () => {
		const full = { ...refusingStorage, getItem: () => null };
		const { env } = browser({ memory: full });
		rememberSealed(env);
		expect(() => {
			forgetSealed(env);
		}).toThrow('');
	});
});
