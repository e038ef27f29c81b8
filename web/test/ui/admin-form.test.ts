// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createTexts } from '../../src/i18n/texts';
import { GROUPS } from '../../src/session/administration';
import type { Verdict } from '../../src/session/attest';
import type { Verify } from '../../src/session/session';
import { TrustAdmin, type Desk } from '../../src/ui/admin-form';
import { settingsDocument } from '../support/administration';
import { makeEnvironment } from '../support/environment';
import { must } from '../support/must';
import { all, failed, find, fire, makeParts, MARKUP, need, show, textOf, verdict } from './fixture';

customElements.define('cczoo-trust-admin', TrustAdmin);

type Reply = readonly [status: number, document: unknown];

const never: Verify = () => new Promise(() => undefined);

/** The form over a server that gives these answers, with a verification that tests play. */
const open = async (replies: Reply[], verify: Verify = never) => {
	const sent: unknown[] = [];
	const fetch: typeof globalThis.fetch = (_, { body } = {}) => {
		if (typeof body === 'string') sent.push((JSON.parse(body) as { values: unknown }).values);
		const [status, document] = must(replies.shift());
		return Promise.resolve(new Response(JSON.stringify(document), { status }));
	};
	const page = makeParts();
	const desk: Desk = { env: makeEnvironment(fetch), verify };
	const form = await show(Object.assign(new TrustAdmin(), { desk }), page.parts);
	const told = async () => {
		await vi.waitFor(() => {
			expect(desk.administration?.state.get().busy).toBe(false);
		});
		await form.updateComplete;
	};
	await told();
	const row = (name: string) =>
		must(all(form, 'admin-row').find((one) => one.dataset.name === name));
	const input = (name: string) =>
		must(row(name).querySelector<HTMLInputElement>('input, select, textarea'));
	const inRow = (name: string, id: string) =>
		must(row(name).querySelector<HTMLElement>(`[data-testid=tee-admin-${id}]`));
	return {
		...page,
		desk,
		form,
		sent,
		row,
		input,
		origin: (name: string) => textOf(inRow(name, 'origin')),
		wrong: (name: string) => textOf(inRow(name, 'wrong')),
		back: (name: string) => inRow(name, 'back'),
		told: () => textOf(need(form, 'admin-told')),
		/** Write into a field, or choose. */
		write: async (name: string, value: string) => {
			input(name).value = value;
			fire(input(name), input(name).localName === 'select' ? 'change' : 'input');
			await form.updateComplete;
		},
		click: async (id: string) => {
			need(form, id).click();
			await told();
		},
		settle: told
	};
};

afterEach(() => {
	document.body.replaceChildren();
});

describe('the administrators’ form', () => {
	it('has each setting once, with its name for people and what it holds', async () => {
		const { form, input } = await open([[200, settingsDocument()]]);
		const rows = all(form, 'admin-row');
		expect(rows.map(({ dataset }) => dataset.name)).toEqual(Object.values(GROUPS).flat());
		for (const row of rows) {
			expect(textOf(row.querySelector('[id$=-label]'))).toBeTruthy();
			expect(row.querySelector('input, select, textarea')).not.toBeNull();
		}
		expect(input('enforcement').value).toBe('warn');
		expect(textOf(must(input('enforcement').querySelector('option[value=block]')))).toBe(
			'send nothing'
		);
		expect(input('quote_limit_user').value).toBe('120/minute');
	});

	it('shows nothing to who is no administrator, and nothing without its desk', async () => {
		const refusal = { status: false, code: 'not-allowed', detail: 'No.' };
		const { form } = await open([[401, refusal]]);
		expect(textOf(form.renderRoot.querySelector('.frame'))).toBe('');
		const bare = await show(new TrustAdmin(), makeParts().parts);
		expect(textOf(bare.renderRoot.querySelector('.frame'))).toBe('');
	});

	it('says where a value comes from, and when it holds', async () => {
		const { origin, back, input } = await open([
			[
				200,
				settingsDocument({
					relay: { value: 'alibaba', stored: true },
					trustee_url: { value: 'https://t', initial: 'https://t' },
					statement: { fixed: true, stored: false },
					sealed: { value: 'required', stored: true, pending: true }
				})
			]
		]);
		expect(['relay', 'trustee_url', 'statement', 'sealed', 'policy'].map(origin)).toEqual([
			expect.stringMatching(/^Set here\. Back/),
			expect.stringMatching(/^From the environment \(TEE_TRUSTEE_URL\)\./),
			expect.stringMatching(/^Fixed by the server’s environment \(TEE_STATEMENT\)\./),
			expect.stringMatching(/^Set here\. Holds from the next start\./),
			'Back to the first value'
		]);
		expect([input('statement').disabled, input('relay').disabled]).toEqual([true, false]);
		expect(['relay', 'statement', 'policy'].map((name) => back(name).hidden)).toEqual([
			false,
			true,
			true
		]);
	});

	it('saves what was typed, says so, and has the page look again', async () => {
		const stored = { enforcement: { value: 'block', stored: true } };
		const { form, write, click, sent, told, origin, calls } = await open([
			[200, settingsDocument()],
			[200, settingsDocument(stored, 'v2')]
		]);
		const save = need(form, 'admin-save') as HTMLButtonElement;
		expect(save.disabled).toBe(true);
		await write('enforcement', 'block');
		expect([save.disabled, origin('enforcement')?.startsWith('Not saved yet.')]).toEqual([
			false,
			true
		]);
		await click('admin-save');
		expect(sent).toEqual([{ enforcement: 'block' }]);
		expect([told(), save.disabled]).toEqual(['Saved.', true]);
		expect(calls.map(([name]) => name)).toContain('restart');
	});

	it('writes a list as it is ticked; an empty one is no default', async () => {
		const { row, form, desk } = await open([[200, settingsDocument()]]);
		const tick = async (name: string, word: string) => {
			must(row(name).querySelector<HTMLInputElement>(`[value=${word}]`)).click();
			await form.updateComplete;
		};
		const draft = () => desk.administration?.state.get().draft;
		await tick('relay', 'trustee');
		await tick('relay', 'alibaba');
		await tick('providers', 'dcap');
		expect(draft()).toEqual({ relay: 'alibaba,trustee', providers: 'alibaba,trustee' });
		for (const word of ['alibaba', 'trustee']) {
			await tick('relay', word);
			await tick('providers', word);
		}
		expect(draft()).toEqual({ providers: ',' });
	});

	it('goes back to the first value', async () => {
		const { back, input, form, click, sent } = await open([
			[200, settingsDocument({ enforcement: { value: 'block', stored: true } })],
			[200, settingsDocument({}, 'v2')]
		]);
		back('enforcement').click();
		await form.updateComplete;
		expect(input('enforcement').value).toBe('warn');
		await click('admin-save');
		expect(sent).toEqual([{ enforcement: null }]);
	});

	it('has errors at their fields, in words, and keeps what was typed', async () => {
		const errors = {
			trustee_url: { code: 'bad-address', detail: 'x' },
			relay_timeout: { code: 'bad-seconds', detail: 'x' },
			quote_limit_user: { code: 'never heard of', detail: MARKUP }
		};
		const { write, click, told, wrong, input, form } = await open([
			[200, settingsDocument()],
			[400, { status: false, code: 'settings-wrong', detail: 'x', errors }]
		]);
		await write('trustee_url', 'ftp://x');
		await click('admin-save');
		expect(told()).toBe('Nothing was saved: see the fields.');
		expect(wrong('trustee_url')).toContain('https:// or http:// address');
		expect(wrong('relay_timeout')).toBe('This must be a number above 0, and at most 120.');
		expect(wrong('quote_limit_user')).toBe(MARKUP);
		expect(form.renderRoot.querySelector('img')).toBeNull();
		const field = input('trustee_url');
		expect([field.value, field.getAttribute('aria-invalid')]).toEqual(['ftp://x', 'true']);
		expect(field.getAttribute('aria-describedby')).toContain('trustee_url-wrong');
		expect(input('policy').getAttribute('aria-invalid')).toBe('false');
		await write('trustee_url', 'https://x');
		expect([wrong('trustee_url'), told()]).toEqual(['', '']);
	});

	it('claims nothing where somebody else was first', async () => {
		const { write, click, told, input } = await open([
			[200, settingsDocument()],
			[412, { status: false, code: 'settings-changed', detail: 'x' }],
			[200, settingsDocument({ relay_timeout: { value: '7', stored: true } }, 'v2')]
		]);
		await write('policy', '{"v":1}');
		await click('admin-save');
		expect(told()).toContain('somebody else has changed settings');
		expect([input('policy').value, input('relay_timeout').value]).toEqual(['{"v":1}', '7']);
	});

	it('says what to do about a file that cannot be read', async () => {
		const problem = { code: 'settings-unreadable', detail: `Why ${MARKUP}` };
		const { form, click, sent, input } = await open([
			[200, settingsDocument({ enforcement: { value: 'block' } }, 'v1', problem)],
			[200, settingsDocument({}, 'v2')]
		]);
		const text = textOf(need(form, 'admin-problem'));
		expect(text).toContain('every setting is then stored anew');
		expect(text).toContain(MARKUP);
		expect(input('enforcement').value).toBe('warn'); // what Save would bring back
		await click('admin-save');
		expect(Object.keys(must(sent[0]) as object)).toHaveLength(Object.values(GROUPS).flat().length);
		expect(find(form, 'admin-problem')).toBeNull();
	});

	it('says that it could not be had, and looks again', async () => {
		const { form, told, click } = await open([
			[503, { status: false, code: 'x', detail: 'The server is busy.' }],
			[200, settingsDocument()]
		]);
		expect(told()).toBe('The server’s settings could not be had. The server is busy.');
		await click('admin-again');
		expect(all(form, 'admin-row').length).toBeGreaterThan(0);
	});

	it('still has what was typed when its tab is opened again', async () => {
		const { form, write, desk, parts } = await open([
			[200, settingsDocument()],
			[200, settingsDocument()]
		]);
		await write('policy', '{"v":1}');
		form.remove();
		const again = await show(Object.assign(new TrustAdmin(), { desk }), parts);
		await vi.waitFor(() => {
			expect(desk.administration?.state.get().busy).toBe(false);
		});
		await again.updateComplete;
		const area = again.renderRoot.querySelector('[data-name=policy] textarea');
		expect((area as HTMLTextAreaElement).value).toBe('{"v":1}');
	});

	it('is in Chinese where the page is', async () => {
		const store = createTexts();
		await store.speak('zh-CN');
		const page = makeParts();
		const fetch = () => Promise.resolve(new Response(JSON.stringify(settingsDocument())));
		const desk: Desk = { env: makeEnvironment(fetch), verify: never };
		const parts = { ...page.parts, texts: store.state };
		const form = await show(Object.assign(new TrustAdmin(), { desk }), parts);
		await vi.waitFor(() => {
			expect(textOf(find(form, 'admin'))).toContain('面向所有用户的远程证明');
		});
	});
});

describe('a service that is tried', () => {
	const tried = async (verify: Verify) => {
		const page = await open([[200, settingsDocument()]], verify);
		await page.write('trustee_url', ' https://t.example ');
		await page.write('default_provider', 'trustee');
		need(page.form, 'try').click();
		return page;
	};

	it('is checked with what stands in the form, and shows the checks', async () => {
		const asked: unknown[] = [];
		const red = verdict('red', [failed]);
		const { form, calls } = await tried((_, { provider, addresses }) => {
			asked.push([provider, addresses.trustee]);
			return red.kind === 'done' ? Promise.resolve(red.verdict) : Promise.reject(new Error());
		});
		await vi.waitFor(() => {
			expect(find(form, 'trial')?.dataset.status).toBe('red');
		});
		expect(asked).toEqual([['trustee', 'https://t.example']]);
		const row = must(all(form, 'tried').find(({ dataset }) => dataset.check === failed.id));
		expect(row.dataset.outcome).toBe('fail');
		expect(textOf(row)).toContain(MARKUP);
		expect(form.renderRoot.querySelector('img')).toBeNull();
		expect(textOf(form.renderRoot.querySelector('[role=status]'))).toContain(
			'Settings › General › Remote attestation'
		);
		expect(calls.map(([name]) => name)).not.toContain('restart');
	});

	it('can be stopped, and what comes later is not heard', async () => {
		let signal: AbortSignal | undefined;
		let end: (found: Verdict) => void = () => undefined;
		const { form } = await tried((_env, _settings, given) => {
			signal = given;
			return new Promise((resolve) => {
				end = resolve;
			});
		});
		await vi.waitFor(() => {
			expect(signal).toBeDefined();
		});
		await form.updateComplete;
		expect(textOf(need(form, 'try'))).toBe('Stop');
		need(form, 'try').click();
		await form.updateComplete;
		expect([signal?.aborted, textOf(need(form, 'try'))]).toEqual([
			true,
			'Test this service: CoCo Trustee'
		]);
		const green = verdict('green');
		if (green.kind === 'done') end(green.verdict);
		await form.updateComplete;
		expect(find(form, 'trial')).toBeNull();
	});

	it('ends with the form', async () => {
		let signal: AbortSignal | undefined;
		const { form } = await tried((env, settings, given) => {
			signal = given;
			return never(env, settings, given);
		});
		await vi.waitFor(() => {
			expect(signal).toBeDefined();
		});
		form.remove();
		expect(signal?.aborted).toBe(true);
	});

	it('is not asked at an address that no user could have', async () => {
		const verify = vi.fn<Verify>(never);
		const { form, write, click } = await open([[200, settingsDocument()]], verify);
		await write('default_provider', 'trustee');
		await write('trustee_url', 'http://t.example');
		await click('try');
		await vi.waitFor(() => {
			expect(textOf(find(form, 'try-wrong'))).toContain('Over plain http://');
		});
		expect(verify).not.toHaveBeenCalled();
	});
});
