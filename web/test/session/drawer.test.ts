/** What accounts of one browser have for themselves, and what nobody has. */
import { describe, expect, it } from 'vitest';
import type { Whose } from '../../src/base/account';
import { nameFor, openDrawer } from '../../src/session/drawer';
import { examineKept, type Keeping } from '../../src/session/keeping';
import {
	createSettings,
	defaults,
	EDITIONS_KEY,
	ENFORCEMENT_KEY,
	MEMORY_KEY,
	SEALED_KEY,
	STORAGE_KEY,
	WORKLOAD_KEY,
	type Settings
} from '../../src/session/settings';
import { fakeStorage, makeEnvironment } from '../support/environment';
import { fakeMarks } from '../support/kept';
import { must } from '../support/must';
import { problemIn } from '../support/problems';

const OWN = [STORAGE_KEY, MEMORY_KEY, WORKLOAD_KEY, ENFORCEMENT_KEY];
const SHARED = [EDITIONS_KEY, SEALED_KEY];
const OTHER = '@b0b';

/** A browser, and what whoever is there sees of it. */
const browser = () => {
	const storage = fakeStorage();
	const marks = fakeMarks();
	const open = (whose: Whose) => {
		const env = makeEnvironment(fetch, { ...openDrawer(storage, marks, whose), whose });
		const settings = createSettings(env.memory);
		const told: Keeping = {};
		const check = () => examineKept(env, settings.state.get().settings, told);
		return { env, settings, told, check };
	};
	return { items: storage.items, marks: marks.items, open };
};

/** The first account changes its settings. */
const having = (edit: (settings: Settings) => void) => {
	const one = browser();
	one.open('').settings.change(edit);
	return one;
};

describe('an account', () => {
	it('has its own of what it set and accepted, and shares what only makes stricter', () => {
		const { open, items } = browser();
		for (const name of [...OWN, ...SHARED]) open('').env.memory.setItem(name, 'first');
		const { memory } = open(OTHER).env;
		expect(OWN.map((name) => memory.getItem(name))).toEqual(OWN.map(() => null));
		expect(SHARED.map((name) => memory.getItem(name))).toEqual(SHARED.map(() => 'first'));
		for (const name of OWN) memory.setItem(name, 'other');
		expect(OWN.map((name) => items.get(name))).toEqual(OWN.map(() => 'first'));
		expect(OWN.map((name) => items.get(nameFor(OTHER, name)))).toEqual(OWN.map(() => 'other'));
		memory.removeItem(STORAGE_KEY);
		expect([items.get(STORAGE_KEY), memory.getItem(STORAGE_KEY)]).toEqual(['first', null]);
	});

	it('begins with the defaults, and marks its own', async () => {
		const { open, marks } = having((draft) => (draft.enabled = false));
		const { settings, check } = open(OTHER);
		expect(settings.state.get().settings).toEqual(defaults());
		expect(await check()).toBeUndefined();
		settings.change((draft) => (draft.provider = 'dcap'));
		expect(await check()).toBeUndefined();
		expect(marks.has(nameFor(OTHER, STORAGE_KEY))).toBe(true);
	});

	it('is told of a text of its own that the kit did not write', async () => {
		const { open, items } = browser();
		items.set(nameFor(OTHER, STORAGE_KEY), '{"v":1,"provider":"dcap"}');
		expect(await open('').check()).toBeUndefined();
		expect(await open(OTHER).check()).toMatchObject({ code: 'settings-unmarked' });
	});
});

describe('who is not signed in', () => {
	it.each([
		['nothing was set', undefined],
		['the defaults are stored', () => undefined],
		['somebody wants to be stricter', (draft: Settings) => (draft.enforcement = 'block')]
	])('is told nothing where %s', async (_name, edit) => {
		const { open } = edit ? having(edit) : browser();
		expect(await open(null).check()).toBeUndefined();
	});

	it.each<[string, (draft: Settings) => unknown]>([
		['a service', (draft) => (draft.provider = 'trustee')],
		['an address', (draft) => (draft.addresses.trustee = 'https://t.example')],
		['a policy', (draft) => (draft.policy = '{"v":1,"tcb":{"pass":["OutOfDate"]}}')],
		['the logs', (draft) => (draft.logs.trustee = true)]
	])('goes by %s of somebody’s only with a warning, until it is confirmed', async (_name, edit) => {
		const { open, items, marks } = having(edit);
		const before = [[...items], [...marks]];
		const { check, told } = open(null);
		expect(await check()).toEqual({ outcome: 'warn', code: 'settings-others' });
		expect(must(told.remedies).map(({ name }) => name)).toEqual(['confirm', 'anew']);
		must(must(told.remedies)[0]).apply();
		expect(await check()).toBeUndefined();
		// That held for the page.
		expect(await open(null).check()).toMatchObject({ code: 'settings-others' });
		expect([[...items], [...marks]]).toEqual(before);
	});

	it('may start with the defaults, for the page', async () => {
		const { open, items } = having((draft) => (draft.provider = 'trustee'));
		const { check, told, settings } = open(null);
		await check();
		must(must(told.remedies)[1]).apply();
		settings.reload();
		expect(settings.state.get().settings).toEqual(defaults());
		expect(await check()).toBeUndefined();
		expect(items.get(STORAGE_KEY)).toContain('trustee');
	});

	it('is not unchecked because somebody switched the check off', async () => {
		const { open } = having((draft) => (draft.enabled = false));
		const { check, told } = open(null);
		expect(await problemIn(check)).toMatchObject({ code: 'settings-others' });
		expect(must(told.remedies).map(({ name }) => name)).toEqual(['confirm', 'anew']);
	});

	it('is warned by what is remembered, and changes nothing of it', () => {
		const { open, items } = browser();
		open('').env.memory.setItem(MEMORY_KEY, 'first');
		const { memory } = open(null).env;
		expect(memory.getItem(MEMORY_KEY)).toBe('first');
		memory.setItem(MEMORY_KEY, 'accepted by nobody');
		expect(memory.getItem(MEMORY_KEY)).toBe('accepted by nobody');
		expect(items.get(MEMORY_KEY)).toBe('first');
	});

	it('can set something, for the page, and is not warned of that', async () => {
		const { open, items } = browser();
		const { settings, check } = open(null);
		settings.change((draft) => (draft.provider = 'dcap'));
		expect(await check()).toBeUndefined();
		expect(items.size).toBe(0);
	});
});
