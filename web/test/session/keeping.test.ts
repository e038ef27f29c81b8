/** The check `settings`: what this browser keeps about trust, and who put it there. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import type { Environment, Marks } from '../../src/base/environment';
import { attest, type Verdict } from '../../src/session/attest';
import { examineKept, type Keeping } from '../../src/session/keeping';
import { markedStorage } from '../../src/session/marks';
import {
	createSettings,
	defaults,
	MEMORY_KEY,
	parseSettings,
	SEALED_KEY,
	STORAGE_KEY,
	type Settings
} from '../../src/session/settings';
import {
	answer,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	nonceOf,
	refusingStorage
} from '../support/environment';
import { fakeMarks, noMarks } from '../support/kept';
import { must } from '../support/must';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence } from '../support/pretended-td';

const TRUSTEE = 'https://trustee.example';
const signer = makeSigner('ES256');

/** A policy that the pretended TD does not meet. */
const POLICY = JSON.stringify({ v: 1, reference_values: { mr_td: ['00'.repeat(48)] } });
const strict = (): Settings => ({
	...defaults(),
	provider: 'trustee',
	addresses: { ...defaults().addresses, trustee: TRUSTEE },
	policy: POLICY
});
const lax = (): Settings => ({ ...strict(), policy: '' });

/** A browser, what it keeps, and the page in it. */
const makeBrowser = (marks: Marks = fakeMarks()) => {
	const items = fakeStorage();
	const memory = markedStorage(items, marks);
	let claims: Claims = {};
	const { fetch, calls } = fakeFetch({
		'/tee/config': () => answer({}),
		'/tee/quote': (call) => {
			const { fields, document } = makeEvidence(nonceOf(call));
			claims = earClaims(fields);
			return answer(document);
		},
		'/jwks.json': () => answer({ keys: [signer.jwk] }),
		'/attestation': () => ({ text: makeToken(signer, claims) })
	});
	const env: Environment = makeEnvironment(fetch, { memory, marks });
	return {
		env,
		calls,
		/** What is stored: whatever is written here is not the kit's. */
		items: items.items,
		/** The page, loaded anew. */
		settings: () => createSettings(memory),
		/** The person stores settings by the form. */
		store(settings: Settings) {
			createSettings(memory).change((draft) => Object.assign(draft, settings));
		},
		/** What a page that is loaded anew comes to. */
		attest: (): Promise<Verdict> =>
			attest(env, createSettings(memory).state.get().settings, new AbortController().signal)
	};
};
type Browser = ReturnType<typeof makeBrowser>;

const check = ({ checks }: Verdict) => {
	const { outcome, code, detail } = must(checks.find(({ id }) => id === 'settings'));
	return { outcome, code, detail };
};
const remedies = ({ remedies = [] }: Keeping) => remedies.map(({ name }) => name);
const apply = (told: Keeping, name: string) => {
	must(told.remedies?.find((remedy) => remedy.name === name)).apply();
};
/** A browser in which this was stored by the form, and was green. */
const green = async (): Promise<Browser> => {
	const browser = makeBrowser();
	browser.store(lax());
	expect((await browser.attest()).status).toBe('green');
	return browser;
};

describe('what the kit itself stored', () => {
	it('passes, as does nothing at all', async () => {
		const browser = makeBrowser();
		expect(await examineKept(browser.env, defaults(), {})).toBeUndefined();
		browser.store(lax());
		for (let time = 0; time < 2; time += 1) {
			const verdict = await browser.attest();
			expect([verdict.status, check(verdict).outcome]).toEqual(['green', 'pass']);
			expect([verdict.unmarked, remedies(verdict)]).toEqual([undefined, []]);
		}
		expect([...browser.items.keys()].sort()).toEqual([MEMORY_KEY, SEALED_KEY, STORAGE_KEY].sort());
	});

	it('passes after each change that the form makes', async () => {
		const browser = await green();
		browser.store({ ...lax(), policy: '{"v":1}' });
		browser.store(lax());
		expect((await browser.attest()).status).toBe('green');
	});

	it('is not what is in force where storage is full', async () => {
		const marks = fakeMarks();
		const full = { ...refusingStorage, getItem: () => null };
		const memory = markedStorage(full, marks);
		const settings = createSettings(memory);
		settings.change((draft) => (draft.policy = POLICY));
		const env = makeEnvironment(fakeFetch({}).fetch, { memory, marks });
		const { settings: inForce } = settings.state.get();
		expect(await examineKept(env, inForce, {})).toEqual({
			outcome: 'warn',
			code: 'settings-differ'
		});
	});
});

describe('settings that something else changed', () => {
	it('warn, until the person confirms them', async () => {
		const browser = makeBrowser();
		browser.store(strict());
		expect((await browser.attest()).status).toBe('red');
		browser.items.set(STORAGE_KEY, JSON.stringify(lax()));
		const verdict = await browser.attest();
		expect(verdict.status).toBe('amber');
		expect(check(verdict)).toEqual({
			outcome: 'warn',
			code: 'settings-foreign',
			detail: 'tee.settings'
		});
		expect(verdict.unmarked).toEqual([
			{ name: STORAGE_KEY, text: JSON.stringify(lax()), mark: JSON.stringify(strict()) }
		]);
		expect(remedies(verdict)).toEqual(['confirm', 'restore']);
		apply(verdict, 'confirm');
		expect((await browser.attest()).status).toBe('green');
	});

	it('go back to what was confirmed last', async () => {
		const browser = makeBrowser();
		browser.store(strict());
		browser.items.set(STORAGE_KEY, JSON.stringify(lax()));
		apply(await browser.attest(), 'restore');
		expect(browser.settings().state.get().settings.policy).toBe(POLICY);
		const verdict = await browser.attest();
		expect([verdict.status, headline(verdict.checks)?.id]).toEqual(['red', 'reference-values']);
	});

	it('are confirmed as they were shown, whatever is stored by then', async () => {
		const browser = await green();
		browser.items.set(STORAGE_KEY, JSON.stringify({ ...lax(), policy: '{"v":1}' }));
		const verdict = await browser.attest();
		browser.items.set(STORAGE_KEY, JSON.stringify(strict()));
		apply(verdict, 'confirm');
		expect(browser.settings().state.get().settings.policy).toBe('{"v":1}');
		expect((await browser.attest()).status).toBe('green');
	});

	it('are not confirmed by another change in the form', async () => {
		const browser = makeBrowser();
		browser.store(strict());
		browser.items.set(STORAGE_KEY, JSON.stringify(lax()));
		browser.settings().change((draft) => (draft.keys.trustee = JSON.stringify(signer.jwk)));
		expect(check(await browser.attest())).toMatchObject({ code: 'settings-foreign' });
	});

	it('are noticed by a page that was loaded before', async () => {
		const browser = await green();
		const { settings } = browser.settings().state.get();
		browser.items.set(STORAGE_KEY, JSON.stringify(strict()));
		expect(await examineKept(browser.env, settings, {})).toMatchObject({
			code: 'settings-foreign'
		});
	});

	it('have no old mark to come back with', async () => {
		const browser = makeBrowser();
		browser.store(lax());
		const before = must(browser.items.get(STORAGE_KEY));
		browser.store(strict());
		browser.items.set(STORAGE_KEY, before);
		expect(check(await browser.attest()).outcome).toBe('warn');
	});

	it('and switched off with that fail, before anybody is asked', async () => {
		const browser = await green();
		const asked = browser.calls.length;
		browser.items.set(STORAGE_KEY, JSON.stringify({ ...lax(), enabled: false }));
		const verdict = await browser.attest();
		expect([verdict.status, check(verdict).code]).toEqual(['red', 'settings-off']);
		expect(remedies(verdict)).toEqual(['confirm', 'restore']);
		expect(browser.calls.length).toBe(asked);
	});

	it('lead to no memory of what they let pass', async () => {
		const browser = makeBrowser();
		browser.items.set(STORAGE_KEY, JSON.stringify(lax()));
		expect((await browser.attest()).status).toBe('amber');
		expect(browser.items.has(MEMORY_KEY)).toBe(false);
	});
});

describe('settings of a kit that left no marks', () => {
	it('warn once, and can only be confirmed', async () => {
		const browser = makeBrowser();
		browser.items.set(STORAGE_KEY, JSON.stringify(lax()));
		const verdict = await browser.attest();
		expect(check(verdict)).toMatchObject({ outcome: 'warn', code: 'settings-unmarked' });
		expect(remedies(verdict)).toEqual(['confirm']);
		apply(verdict, 'confirm');
		expect((await browser.attest()).status).toBe('green');
	});
});

describe('remembered measurements that something else changed', () => {
	const other = (text: string) => text.replace(/"mr_td":"../, '"mr_td":"ff');

	it('warn even where they fit, until the person confirms them', async () => {
		const browser = await green();
		const mine = must(browser.items.get(MEMORY_KEY));
		browser.items.set(MEMORY_KEY, mine.replace('"since":"20', '"since":"19'));
		const verdict = await browser.attest();
		expect(check(verdict)).toMatchObject({ outcome: 'warn', detail: 'tee.memory' });
		expect(remedies(verdict)).toEqual(['confirm', 'restore']);
		apply(verdict, 'restore');
		expect(browser.items.get(MEMORY_KEY)).toBe(mine);
		expect((await browser.attest()).status).toBe('green');
	});

	it('are mended as well by accepting those of now', async () => {
		const browser = await green();
		browser.items.set(MEMORY_KEY, other(must(browser.items.get(MEMORY_KEY))));
		const verdict = await browser.attest();
		expect(verdict.changes?.map(([name]) => name)).toEqual(['mr_td']);
		verdict.accept?.();
		expect((await browser.attest()).status).toBe('green');
	});

	it('are no first use where they are gone', async () => {
		const browser = await green();
		browser.items.delete(MEMORY_KEY);
		for (let time = 0; time < 2; time += 1) {
			const verdict = await browser.attest();
			expect([verdict.status, check(verdict).code]).toEqual(['amber', 'settings-foreign']);
			expect(verdict.unmarked).toMatchObject([{ name: MEMORY_KEY, text: null }]);
			expect(browser.items.has(MEMORY_KEY)).toBe(false);
		}
		apply(await browser.attest(), 'confirm');
		expect((await browser.attest()).status).toBe('green');
	});
});

/** The seven that were green, and more: each of these texts lost a policy. */
const LOST: [string, string, string][] = [
	['truncated JSON', JSON.stringify(strict()).slice(0, -20), 'JSON'],
	['version 2', JSON.stringify({ ...strict(), v: 2 }), 'v'],
	[
		'the policy as an object',
		JSON.stringify({ ...strict(), policy: JSON.parse(POLICY) as unknown }),
		'policy'
	],
	['an unknown provider', JSON.stringify({ ...strict(), provider: 'itta' }), 'provider'],
	[
		'a bad address',
		JSON.stringify({ ...strict(), addresses: { trustee: 'http://x y' } }),
		'bad-address'
	],
	[
		'plain HTTP to somebody whose keys are not pinned',
		JSON.stringify({ ...strict(), addresses: { alibaba: 'http://x' } }),
		'http://x'
	],
	['a switch that is none', JSON.stringify({ ...strict(), logs: { trustee: 1 } }), 'logs.trustee'],
	[
		'a policy over 65536 characters',
		JSON.stringify({ ...strict(), policy: POLICY + ' '.repeat(70_000) }),
		'policy'
	],
	['a bad pinned key', JSON.stringify({ ...strict(), keys: { trustee: '{' } }), 'keys-malformed'],
	['nothing', '', 'JSON'],
	['null', 'null', 'JSON'],
	['a list', `[${JSON.stringify(strict())}]`, 'JSON'],
	['a member of another name', JSON.stringify({ v: 1, Policy: POLICY }), 'Policy'],
	['an address of nobody', '{"v":1,"addresses":{"itta":"https://x.example"}}', 'addresses.itta'],
	['no address at all', '{"v":1,"addresses":{"trustee":null}}', 'addresses.trustee'],
	['a key twice', JSON.stringify(strict()).replace('"v":1', '"policy":"","v":1'), 'two policy'],
	['megabytes of blanks', JSON.stringify(strict()) + ' '.repeat(1 << 20), 'size']
];

describe('settings that are lost', () => {
	describe.each(LOST)('by %s', (_name, text, detail) => {
		it('fail, name the place, and nobody is asked', async () => {
			const browser = await green();
			browser.store(strict());
			const asked = browser.calls.length;
			browser.items.set(STORAGE_KEY, text);
			const verdict = await browser.attest();
			expect(verdict.status).toBe('red');
			expect(headline(verdict.checks)?.id).toBe('settings');
			expect(check(verdict)).toEqual({ outcome: 'fail', code: 'settings-unreadable', detail });
			expect(verdict.unmarked).toMatchObject([{ name: STORAGE_KEY, text }]);
			expect(browser.calls.length).toBe(asked);
			expect(browser.items.get(STORAGE_KEY)).toBe(text);
		});

		it('come back as the form stored them last, or the person starts anew', async () => {
			const browser = makeBrowser();
			browser.store(strict());
			browser.items.set(STORAGE_KEY, text);
			const verdict = await browser.attest();
			expect(remedies(verdict)).toEqual(['restore', 'anew']);
			apply(verdict, 'restore');
			expect(browser.settings().state.get()).toEqual({ settings: strict(), broken: false });
			apply(verdict, 'anew');
			expect(browser.settings().state.get()).toEqual({ settings: defaults(), broken: false });
			expect(check(await browser.attest()).outcome).toBe('pass');
		});

		it('can only be started anew where no mark is left', async () => {
			const browser = makeBrowser();
			browser.items.set(STORAGE_KEY, text);
			const verdict = await browser.attest();
			expect([verdict.status, ...remedies(verdict)]).toEqual(['red', 'anew']);
			apply(verdict, 'anew');
			expect(check(await browser.attest()).outcome).toBe('pass');
		});

		it('take no change before that', () => {
			const browser = makeBrowser();
			browser.items.set(STORAGE_KEY, text);
			const store = browser.settings();
			expect(store.state.get().broken).toBe(true);
			expect(() => {
				store.change((draft) => (draft.enabled = false));
			}).toThrow('settings-unreadable');
			expect(browser.items.get(STORAGE_KEY)).toBe(text);
		});
	});

	it('fail where they are gone, and not where there never were any', async () => {
		const browser = await green();
		browser.items.delete(STORAGE_KEY);
		const verdict = await browser.attest();
		expect([verdict.status, check(verdict).code]).toEqual(['red', 'settings-gone']);
		expect(remedies(verdict)).toEqual(['restore', 'anew']);
		expect((await makeBrowser().attest()).status).not.toBe('green'); // no such service
	});

	it('fail where all of the storage was emptied', async () => {
		const browser = await green();
		browser.items.clear();
		expect(check(await browser.attest()).code).toBe('settings-gone');
	});

	it('fail where the browser does not let the page read them', async () => {
		const browser = makeBrowser();
		const env = { ...browser.env, memory: refusingStorage };
		const verdict = await attest(env, defaults(), new AbortController().signal);
		expect([verdict.status, check(verdict).code]).toEqual(['red', 'settings-storage']);
		expect(browser.calls).toEqual([]);
	});

	it('of whatever text are never green without the policy in it', async () => {
		// The strict policy makes it red; so green means that it was lost on the way.
		const whole = JSON.stringify(strict());
		const damaged = fc.oneof(
			fc
				.tuple(fc.nat(whole.length), fc.nat(whole.length), fc.string({ maxLength: 3 }))
				.map(([from, length, text]) => whole.slice(0, from) + text + whole.slice(from + length)),
			fc.string(),
			fc.json()
		);
		await fc.assert(
			fc.asyncProperty(damaged, fc.boolean(), async (text, marked) => {
				const browser = makeBrowser();
				if (marked) browser.store(strict());
				browser.items.set(STORAGE_KEY, text);
				expect((await browser.attest()).status).not.toBe('green');
			}),
			{ numRuns: 300 }
		);
	});

	it('are read to the same again, or not at all', () => {
		const names = ['v', 'enabled', 'provider', 'addresses', 'keys', 'policy', 'more'];
		const value = fc.oneof(
			fc.constantFrom<unknown>(1, true, null, '', 'trustee', POLICY, { trustee: TRUSTEE }, {}),
			fc.jsonValue()
		);
		fc.assert(
			fc.property(fc.dictionary(fc.constantFrom(...names), value), (members) => {
				let read: Settings;
				try {
					read = parseSettings(JSON.stringify({ v: 1, ...members }));
				} catch {
					return;
				}
				for (const [name, stored] of Object.entries(members)) {
					expect(read[name as keyof Settings]).toEqual(
						typeof stored === 'object' && stored !== null ? expect.objectContaining(stored) : stored
					);
				}
			})
		);
	});
});

describe('a browser that keeps no marks', () => {
	const hanging: Marks = { ...noMarks, get: () => new Promise(() => undefined) };

	it('warns, and still reads what is stored', async () => {
		const browser = makeBrowser(noMarks);
		browser.store(lax());
		const verdict = await browser.attest();
		expect([verdict.status, check(verdict).code]).toEqual(['amber', 'marks']);
		expect(remedies(verdict)).toEqual([]);
		browser.items.set(STORAGE_KEY, '{');
		expect(check(await browser.attest())).toMatchObject({
			outcome: 'fail',
			code: 'settings-unreadable'
		});
	});

	it('is not waited for without end', async () => {
		let ring: (() => void)[] = [];
		const browser = makeBrowser(hanging);
		const later = (_ms: number, call: () => void) => {
			ring.push(call);
			return () => {
				ring = ring.filter((other) => other !== call);
			};
		};
		const found = examineKept({ ...browser.env, later }, defaults(), {});
		ring.forEach((call) => {
			call();
		});
		expect(await found).toEqual({ outcome: 'warn', code: 'marks' });
	});
});
