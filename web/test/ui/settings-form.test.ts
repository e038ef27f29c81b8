// @vitest-environment jsdom
import { afterEach, describe, expect, it } from 'vitest';
import type { Remedy } from '../../src/session/keeping';
import { choose, NO_CONFIG } from '../../src/providers/choice';
import { STORAGE_KEY } from '../../src/session/settings';
import { TrustSettings } from '../../src/ui/settings-form';
import { settle } from '../support/environment';
import { all, failed, find, fire, makeParts, MARKUP, need, show, textOf, verdict } from './fixture';

const CHOICE = {
	provider: 'trustee' as const,
	address: 'https://t.example',
	keys: '',
	logs: false,
	path: '/attestation',
	serverChosen: true
};

const KEYS = JSON.stringify({
	keys: [{ kty: 'RSA', kid: 'one', n: 'AQAB'.repeat(90), e: 'AQAB' }]
});
const POLICY = '{"v":1,"tcb":{"advisories":["INTEL-SA-1"]}}';

/** The form on the page, over these stored settings. */
const open = async (stored?: string) => {
	const page = makeParts(stored);
	const form = await show(new TrustSettings(), page.parts);
	const field = (id: string) => need(form, id) as HTMLInputElement;
	return {
		...page,
		form,
		field,
		now: () => page.settings.state.get().settings,
		problem: () => textOf(find(form, 'settings-error')) ?? '',
		/** Where it says that something is wrong. */
		wrong: () => all(form, 'settings-error').map(({ dataset }) => dataset.at),
		/** Write into a field and leave it. */
		write: async (id: string, value: string) => {
			field(id).value = value;
			fire(field(id), 'change');
			await form.updateComplete;
		},
		click: async (id: string) => {
			field(id).click();
			await form.updateComplete;
		},
		become: async (...state: Parameters<typeof verdict>) => {
			page.state.set(verdict(...state));
			await form.updateComplete;
		}
	};
};

afterEach(() => {
	document.body.replaceChildren();
});

describe('the settings form', () => {
	it('switches off and on', async () => {
		const { field, now, click } = await open();
		expect(field('enabled').getAttribute('aria-checked')).toBe('true');
		await click('enabled');
		expect(now().enabled).toBe(false);
		expect(field('enabled').getAttribute('aria-checked')).toBe('false');
		await click('enabled');
		expect(now().enabled).toBe(true);
	});

	it('shows what is stored', async () => {
		const { field } = await open(
			JSON.stringify({
				v: 1,
				enabled: false,
				provider: 'trustee',
				addresses: { trustee: 'https://t.example' },
				policy: '{"v":1}'
			})
		);
		expect(field('enabled').checked).toBe(false);
		expect(['provider', 'address', 'keys', 'policy'].map((id) => field(id).value)).toEqual([
			'trustee',
			'https://t.example',
			'',
			'{"v":1}'
		]);
	});

	it('keeps both addresses through a change of provider', async () => {
		const { field, now, write } = await open();
		await write('provider', 'trustee');
		await write('address', 'https://t.example');
		await write('provider', 'alibaba');
		expect(field('address').value).toBe('');
		await write('address', 'https://a.example');
		await write('provider', 'trustee');
		expect(field('address').value).toBe('https://t.example');
		await write('provider', '');
		expect(now()).toMatchObject({
			provider: null,
			addresses: { alibaba: 'https://a.example', trustee: 'https://t.example' }
		});
	});

	it('takes what is no address away with its provider', async () => {
		const { field, now, write } = await open();
		await write('address', 'http://a.example');
		await write('provider', 'trustee');
		expect(field('address').value).toBe('');
		fire(field('address'), 'change');
		expect(now().addresses).toMatchObject({ alibaba: '', trustee: '' });
	});

	it('refuses what is no address or key set, says so, and lets the user mend it', async () => {
		const { field, now, write, problem } = await open();
		await write('address', 'http://a.example');
		expect(problem()).toContain('https://');
		expect(now().addresses.alibaba).toBe('');
		expect(field('address').value).toBe('http://a.example');
		await write('address', 'https://a.example');
		expect(problem()).toBe('');
		await write('keys', '{}');
		expect(problem()).toContain('JWK Set');
		expect(now().keys.alibaba).toBe('');
	});

	it('takes plain HTTP once the keys are pinned, and says so before', async () => {
		const { field, now, write, problem } = await open();
		await write('provider', 'trustee');
		await write('address', 'http://192.0.2.1:8080');
		expect(problem()).toContain('pin');
		expect(now().addresses.trustee).toBe('');
		await write('keys', '{"kty":"EC"}');
		expect(problem()).toBe('');
		expect(now()).toMatchObject({
			addresses: { trustee: 'http://192.0.2.1:8080' },
			keys: { trustee: '{"kty":"EC"}' }
		});
		expect(field('address').value).toBe('http://192.0.2.1:8080');
	});

	it('has the page be as strict as the person wants', async () => {
		const { field, now, write } = await open();
		expect([field('enforcement').value, now().enforcement]).toEqual(['', null]);
		for (const word of ['block', 'warn'] as const) {
			await write('enforcement', word);
			expect([field('enforcement').value, now().enforcement]).toEqual([word, word]);
		}
		await write('enforcement', '');
		expect(now().enforcement).toBeNull();
	});

	it('sends each service the logs only where that is switched on', async () => {
		const { field, now, write, click } = await open();
		await write('provider', 'trustee');
		expect(field('logs').checked).toBe(false);
		await click('logs');
		expect(now().logs).toEqual({ alibaba: false, trustee: true, dcap: false });
		await write('provider', 'alibaba');
		expect([field('logs').checked, field('logs').getAttribute('aria-checked')]).toEqual([
			false,
			'false'
		]);
		await write('provider', 'trustee');
		expect(field('logs').checked).toBe(true);
		await write('provider', 'dcap');
		expect(field('logs').closest('label')?.hidden).toBe(true);
	});

	it('stores what was being written when it goes away', async () => {
		const { form, field, now } = await open();
		field('address').value = 'https://a.example';
		field('policy').value = '{"v":1}';
		form.remove();
		expect(now()).toMatchObject({ policy: '{"v":1}', addresses: { alibaba: 'https://a.example' } });
	});

	it('stores what was being written for the provider that it was written for', async () => {
		const { form, field, now, settings } = await open();
		field('address').value = 'https://a.example';
		settings.change((draft) => {
			draft.provider = 'trustee';
		});
		form.remove();
		expect(now().addresses).toMatchObject({ alibaba: 'https://a.example', trustee: '' });
	});

	it('stores nothing that the user did not change', async () => {
		const { form, storage } = await open();
		form.remove();
		expect(storage.size).toBe(0);
	});

	it('does not take the text from under the user when a result comes', async () => {
		const { field, become, state, form } = await open();
		field('address').value = 'https://half';
		field('policy').value = '{"v"';
		state.set({ kind: 'pending' });
		await form.updateComplete;
		await become('red', [failed]);
		expect([field('address').value, field('policy').value]).toEqual(['https://half', '{"v"']);
	});

	it('keeps the answer of the last run while the next one is under way', async () => {
		const { field, become, state, form } = await open();
		await become('amber', [], { choice: CHOICE });
		state.set({ kind: 'pending' });
		await form.updateComplete;
		expect([find(form, 'trust') !== null, field('address').placeholder]).toEqual([
			true,
			'https://t.example'
		]);
	});

	it('offers to trust the address that only the server named', async () => {
		const { form, field, now, become, click } = await open();
		expect(find(form, 'trust')).toBeNull();
		await become('amber', [], { choice: { ...CHOICE, serverChosen: false } });
		expect(find(form, 'trust')).toBeNull();
		await become('amber', [], { choice: CHOICE });
		expect(field('address').placeholder).toBe('https://t.example');
		expect(textOf(field('trust'))).toBe('Believe \u2068https://t.example\u2069 from now on');
		const meaning = field('trust').getAttribute('aria-describedby') ?? '';
		expect(textOf(form.renderRoot.querySelector(`#${meaning}`))).toContain('Whoever runs');
		await click('trust');
		expect(now()).toMatchObject({
			provider: 'trustee',
			addresses: { trustee: 'https://t.example' }
		});
	});

	it('offers to take over the keys and the policy that the server proposes', async () => {
		const { form, field, now, become, click } = await open();
		const choice = { ...CHOICE, serverChosen: false };
		await become('amber', [], { choice, suggested: { keys: '', policy: '' } });
		expect(find(form, 'suggestion')).toBeNull();
		await become('amber', [], { choice, suggested: { keys: KEYS, policy: POLICY } });
		expect(find(form, 'trust')).toBeNull();
		expect(textOf(find(form, 'suggestion'))).toContain('"kid"');
		expect(textOf(find(form, 'suggestion')?.querySelector('li') ?? null)).toContain('INTEL-SA-1');
		await click('pin');
		await click('adopt');
		expect(now()).toMatchObject({ provider: null, keys: { trustee: KEYS }, policy: POLICY });
		expect([field('keys').value, field('policy').value]).toEqual([KEYS, POLICY]);
	});

	it('takes over an address without HTTPS where the proposed keys are pinned', async () => {
		const { now, become, click, problem } = await open();
		const choice = { ...CHOICE, address: 'http://t.example' };
		await become('amber', [], { choice, suggested: { keys: KEYS, policy: '' } });
		await click('trust');
		expect([now().addresses.trustee, problem()]).toEqual(['', expect.stringContaining('http://')]);
		await click('pin');
		await click('trust');
		expect([now().addresses.trustee, problem()]).toEqual(['http://t.example', '']);
	});

	it('trusts an address that itself ends in the well-known path, whole', async () => {
		const { now, become, click } = await open();
		await become('amber', [], { choice: { ...CHOICE, address: 'https://t.example/attestation' } });
		await click('trust');
		expect(choose(now(), NO_CONFIG).address).toBe('https://t.example/attestation');
	});

	it('trusts the provider that the server chose where the address was stored before', async () => {
		const { now, become, click } = await open(
			'{"v":1,"addresses":{"trustee":"https://t.example"}}'
		);
		await become('amber', [], { choice: CHOICE });
		await click('trust');
		expect(now()).toMatchObject({
			provider: 'trustee',
			addresses: { trustee: 'https://t.example' }
		});
	});

	it('asks for no address where nobody is asked, and for a root instead of keys', async () => {
		const { field, write, problem } = await open();
		const asks = () => [
			field('address').parentElement?.hidden,
			textOf(field('keys').parentElement)?.includes('Root')
		];
		expect(asks()).toEqual([false, false]);
		await write('provider', 'dcap');
		expect(asks()).toEqual([true, true]);
		await write('keys', 'x');
		expect(problem()).toContain('PEM');
		await write('provider', 'trustee');
		expect(asks()).toEqual([false, false]);
	});

	it('keeps a policy, and names what is wrong in one', async () => {
		const { field, now, write, problem } = await open();
		await write('policy', ' {"v":1,"max_age":60} ');
		expect(now().policy).toBe('{"v":1,"max_age":60}');
		await write('policy', '{"v":1,"tcb":{"pass":["Revoked"]}}');
		expect(problem()).toContain('/tcb/pass/0');
		expect(now().policy).toBe('{"v":1,"max_age":60}');
		// Neither the bad text nor anything else is lost, whatever else is changed meanwhile.
		await write('provider', 'trustee');
		await write('address', 'https://t.example');
		expect(now().addresses.trustee).toBe('https://t.example');
		expect(field('policy').value).toBe('{"v":1,"tcb":{"pass":["Revoked"]}}');
		await write('policy', '');
		expect([now().policy, problem()]).toEqual(['', '']);
	});

	it('says what is wrong at its field, and keeps it there until that is mended', async () => {
		const { form, field, write, wrong } = await open();
		const states = () =>
			(['address', 'keys', 'policy'] as const).map((id) => field(id).getAttribute('aria-invalid'));
		expect([wrong(), states()]).toEqual([[], ['false', 'false', 'false']]);
		await write('address', 'http://a.example');
		await write('policy', '{');
		expect([wrong(), states()]).toEqual([
			['address', 'policy'],
			['true', 'false', 'true']
		]);
		for (const id of ['address', 'policy']) {
			const described = field(id).getAttribute('aria-describedby') ?? '';
			expect(textOf(form.renderRoot.querySelector(`#${described}`))).not.toBe('');
		}
		await write('address', 'https://a.example');
		await write('keys', '{}');
		expect([wrong(), states()]).toEqual([
			['keys', 'policy'],
			['false', 'true', 'true']
		]);
		await write('keys', '');
		await write('policy', '');
		expect([wrong(), states()]).toEqual([[], ['false', 'false', 'false']]);
	});

	it('says that the browser did not store a change', async () => {
		const { parts, form, field, click, problem } = await open();
		const { settings } = parts;
		form.parts = {
			...parts,
			settings: {
				...settings,
				change(edit) {
					settings.change(edit);
					return false;
				}
			}
		};
		await form.updateComplete;
		await click('enabled');
		expect([field('enabled').checked, problem()]).toEqual([
			false,
			'This browser did not store that: it holds for this page only.'
		]);
	});

	it('keeps the app’s Save from saying that all was stored where it was not', async () => {
		const tab = document.body.appendChild(document.createElement('div'));
		const scroller = tab.appendChild(document.createElement('div'));
		scroller.className = 'overflow-y-auto';
		const inside = scroller.appendChild(document.createElement('button'));
		const save = tab.appendChild(document.createElement('button'));
		const clicks: unknown[] = [];
		tab.addEventListener('click', ({ target }) => clicks.push(target));
		const { form, field, write } = await open();
		scroller.append(form);
		await form.updateComplete;
		save.click();
		await write('address', 'http://a.example');
		save.click();
		expect(form.shadowRoot?.activeElement).toBe(field('address'));
		inside.click();
		await write('address', '');
		save.click();
		expect(clicks).toEqual([save, inside, save]);
	});

	it('takes a policy from a file, and no file that is too large', async () => {
		const { form, field, now, problem, wrong } = await open();
		const choose = async (size: number, text = '') => {
			const file = { size, text: () => Promise.resolve(text) };
			Object.defineProperty(field('policy-file'), 'files', { value: [file], configurable: true });
			fire(field('policy-file'), 'change');
			await settle(() => field('policy').value !== '' || wrong().length > 0);
			await form.updateComplete;
		};
		const policy = '{"v":1,"max_age":60}';
		await choose((1 << 16) + 1, policy);
		expect([now().policy, wrong()]).toEqual(['', ['policy']]);
		await choose(policy.length, policy);
		await settle(() => now().policy !== '');
		await form.updateComplete;
		expect([now().policy, field('policy').value, problem()]).toEqual([policy, policy, '']);
	});

	it('lists what the policy asks for, defaults and all, as text', async () => {
		const { form, write } = await open();
		const lines = () => [...need(form, 'demands').querySelectorAll('li')].map(textOf);
		expect(lines()).toContain('\u2068min_quote_version\u2069: \u20684\u2069');
		expect(lines()).not.toContainEqual(expect.stringContaining('reference_values'));
		const mr_td = [0, 1].map((n) => `${n}`.repeat(96));
		const workload = { versions: { kit: ['<b>1</b>'] } };
		await write(
			'policy',
			JSON.stringify({ v: 1, require_sealed: true, reference_values: { mr_td }, workload })
		);
		expect(lines()).toEqual(
			expect.arrayContaining([
				'\u2068require_sealed\u2069: \u2068true\u2069',
				'\u2068reference_values\u2069: \u2068mr_td\u2069: (2)',
				'\u2068workload\u2069: \u2068versions\u2069: \u2068kit\u2069: \u2068<b>1</b>\u2069'
			])
		);
		await write('policy', '{');
		expect(lines()).toContain('\u2068require_sealed\u2069: \u2068true\u2069'); // what is stored, and counts
	});

	it('says at the switch that nothing goes while it is off, where nothing may go unchecked', async () => {
		const { form, field, strict, become } = await open();
		const note = () => textOf(need(form, 'strict'));
		expect([field('enabled').getAttribute('aria-describedby'), note()]).toEqual(['strict', '']);
		strict.word = 'block';
		await become('green');
		await settle(() => note() !== '');
		expect(note()).toContain('nothing is sent');
	});

	it('says whose settings these are, where that is not plain', async () => {
		const { parts, form } = await open();
		expect(find(form, 'whose')).toBeNull();
		for (const [whose, words] of [
			['@b0b', 'Another account'],
			[null, 'Nobody is signed in']
		] as const) {
			form.parts = { ...parts, whose };
			await form.updateComplete;
			expect(textOf(need(form, 'whose'))).toContain(words);
		}
		// There is nothing of theirs to forget.
		expect(find(form, 'forget-everything')).toBeNull();
	});

	it('lists what is remembered, and forgets it after one question', async () => {
		const { form, remembered, calls, settings, click } = await open();
		expect(find(form, 'remembered')).toBeNull();
		remembered.machine = { since: '2026-01-02T03:04:05.000Z', values: { mr_td: MARKUP } as never };
		remembered.workload = [['model', MARKUP, 'digest', 'inside', '2026-01-03']];
		settings.reload();
		form.requestUpdate();
		await form.updateComplete;
		expect(textOf(need(form, 'remembered-machine'))).toContain(MARKUP);
		expect(textOf(need(form, 'remembered-workload'))).toContain(MARKUP);
		expect(form.renderRoot.querySelector('img')).toBeNull();
		for (const what of ['machine', 'workload'] as const) {
			await click(`forget-${what}`);
			await click('forget-no');
			expect(calls).toEqual([]);
			await click(`forget-${what}`);
			await click('forget-yes');
			expect(calls.splice(0)).toEqual([['mend'], ['forget', what]]);
		}
		remembered.machine = 'damaged';
		form.requestUpdate();
		await form.updateComplete;
		expect(textOf(need(form, 'remembered-machine'))).toContain('cannot be read');
	});

	it('starts anew after one question', async () => {
		const { calls, click } = await open();
		await click('forget-everything');
		expect(calls).toEqual([]);
		await click('forget-yes');
		expect(calls).toEqual([['anew']]);
	});

	it('shows the settings of another tab', async () => {
		const { form, field, now, storage, settings } = await open();
		storage.set(STORAGE_KEY, JSON.stringify({ ...now(), enabled: false, policy: '{"v":1}' }));
		settings.reload();
		await form.updateComplete;
		expect([field('enabled').checked, field('policy').value]).toEqual([false, '{"v":1}']);
	});

	it('says that the stored settings are unreadable, and changes nothing of them', async () => {
		const { problem, click, field, storage } = await open('{');
		expect(problem()).toContain('unreadable');
		await click('enabled');
		expect(problem()).toContain('cannot be read');
		expect(field('enabled').checked).toBe(true);
		expect(storage.get(STORAGE_KEY)).toBe('{');
	});

	it('shows what something else stored, as text, and does what the person says', async () => {
		const { become, form, click, calls, problem, storage, settings } = await open('{');
		const done: string[] = [];
		const remedy = (name: Remedy['name']): Remedy => ({
			name,
			apply: () => {
				done.push(name);
				storage.set(STORAGE_KEY, '{"v":1,"policy":"{}"}');
			}
		});
		expect(find(form, 'kept')).toBeNull();
		await become('red', [], {
			unmarked: [
				{ name: STORAGE_KEY, text: MARKUP, mark: '{"v":1}' },
				{ name: 'tee.memory', text: null, mark: MARKUP }
			],
			remedies: [remedy('restore'), remedy('anew')]
		});
		const shown = all(form, 'stored') as HTMLTextAreaElement[];
		expect(shown.map(({ value, readOnly }) => [value, readOnly])).toEqual([
			[MARKUP, true],
			['(nothing)', true]
		]);
		// What would be put back is shown as well.
		const confirmed = all(form, 'confirmed') as HTMLTextAreaElement[];
		expect(confirmed.map(({ value }) => value)).toEqual(['{\n "v": 1\n}', MARKUP]);
		expect(form.renderRoot.querySelector('img')).toBeNull();
		expect(find(form, 'confirm')).toBeNull();
		await click('anew');
		expect([done, calls.map(([name]) => name)]).toEqual([['anew'], ['mend']]);
		expect([settings.state.get().broken, problem()]).toEqual([false, '']);
	});

	it('hides nothing of what is to be confirmed behind blanks', async () => {
		const { become, field } = await open();
		const stored = `{"v":1,${'\n'.repeat(1000)}"policy":"x"}`;
		await become('amber', [], {
			unmarked: [{ name: STORAGE_KEY, text: stored, mark: null }],
			remedies: [{ name: 'confirm', apply: () => undefined }]
		});
		expect(field('stored').value).toBe('{\n "v": 1,\n "policy": "x"\n}');
	});
});
