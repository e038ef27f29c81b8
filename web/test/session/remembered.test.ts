/** What this browser remembers of this server, to show and to forget. */
import { describe, expect, it } from 'vitest';
import { parseQuote } from '../../src/evidence/quote';
import { openDrawer } from '../../src/session/drawer';
import { examineKept } from '../../src/session/keeping';
import { recognise, remember, valuesOf } from '../../src/session/memory';
import { forget, rememberedIn, startAnew } from '../../src/session/remembered';
import {
	createSettings,
	defaults,
	EDITIONS_KEY,
	ENFORCEMENT_KEY,
	MEMORY_KEY,
	SEALED_KEY,
	STORAGE_KEY,
	WORKLOAD_KEY
} from '../../src/session/settings';
import { rememberWorkload, thingsOf } from '../../src/session/workload-memory';
import type { Confirmations } from '../../src/transport/gate';
import { fakeStorage, makeEnvironment, NOW } from '../support/environment';
import { fakeMarks } from '../support/kept';
import { makeQuote, someFields } from '../support/pretended-td';

const VALUES = valuesOf(parseQuote(makeQuote(someFields())), false);
const THINGS = thingsOf({ measured: { log: 'written', facts: [] } }, NOW * 1000);

/** A browser that knows a server; and what it holds. */
const browser = () => {
	const storage = fakeStorage();
	const marks = fakeMarks();
	const env = makeEnvironment(fetch, openDrawer(storage, marks, ''));
	const settings = createSettings(env.memory);
	settings.change((draft) => (draft.provider = 'dcap'));
	remember(env.memory, VALUES, NOW * 1000);
	rememberWorkload(env.memory, THINGS);
	return { env, settings, items: storage.items, marks: marks.items };
};

const check = (env: ReturnType<typeof browser>['env']) =>
	examineKept(env, createSettings(env.memory).state.get().settings, {});

describe('what is remembered', () => {
	it('is told, with its days', () => {
		const { machine, workload } = rememberedIn(browser().env);
		expect(machine).toEqual({ since: new Date(NOW * 1000).toISOString(), values: VALUES });
		expect(workload).toEqual([...THINGS.values()]);
	});

	it('is nothing, or cannot be read', () => {
		const { env, items } = browser();
		items.set(MEMORY_KEY, '{');
		items.set(WORKLOAD_KEY, '[]');
		expect(rememberedIn(env)).toEqual({ machine: 'damaged', workload: 'damaged' });
		items.clear();
		expect(rememberedIn(env)).toEqual({ machine: null, workload: null });
	});

	it('is forgotten one by one, and the next machine is the first one', async () => {
		const { env } = browser();
		forget(env, 'machine');
		expect(rememberedIn(env)).toMatchObject({ machine: null, workload: [{}] });
		expect(await check(env)).toBeUndefined();
		const other = { ...VALUES, mr_td: 'ff'.repeat(48) };
		expect(recognise(env.memory, other, NOW * 1000).finding.code).toBe('first-use');
		forget(env, 'workload');
		expect(rememberedIn(env).workload).toBeNull();
		expect(await check(env)).toBeUndefined();
	});
});

describe('starting anew', () => {
	it('leaves nothing of what the account has for itself, and warns of nothing', async () => {
		const { env, items, marks } = browser();
		for (const name of [ENFORCEMENT_KEY, EDITIONS_KEY, SEALED_KEY]) env.memory.setItem(name, '{}');
		let causes: readonly string[] = ['id:code'];
		const confirmed: Confirmations = {
			read: () => causes,
			write: (now) => {
				causes = now;
			}
		};
		await startAnew(env, [confirmed]);
		// These two only make stricter, whoever is there.
		expect([...items.keys()].sort()).toEqual([EDITIONS_KEY, SEALED_KEY]);
		expect([...marks.keys()].sort()).toEqual([EDITIONS_KEY, SEALED_KEY]);
		expect(causes).toEqual([]);
		expect(createSettings(env.memory).state.get()).toEqual({ settings: defaults(), broken: false });
		expect(await check(env)).toBeUndefined();
	});

	it('mends settings that cannot be read', async () => {
		const { env, items } = browser();
		items.set(STORAGE_KEY, '{');
		await startAnew(env, []);
		expect(createSettings(env.memory).state.get().broken).toBe(false);
		expect(await check(env)).toBeUndefined();
	});
});
