// @vitest-environment jsdom
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { get, writable, type Writable } from 'svelte/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Verdict } from '$lib/tee/attest';
import { badge } from '$lib/tee/badge';
import { CHECKS, complete, type Check } from '$lib/tee/checks';
import { settingsForm } from '$lib/tee/later';
import type { Session, State } from '$lib/tee/session';
import { createSettings, MEMORY_KEY, STORAGE_KEY, type SettingsStore } from '$lib/tee/settings';
import { t, translate } from '$lib/tee/text';

const MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
const HERE = dirname(fileURLToPath(import.meta.url));
const FOLDER = join(HERE, '../../patches/open-webui/overlay/src/lib/tee');

const verdict = (status: Verdict['status'], found: Check[] = [], more: Partial<Verdict> = {}): State => ({
	kind: 'done',
	verdict: {
		status,
		checks: complete(Object.fromEntries(found.map((check) => [check.id, check])), []),
		fields: {},
		expires: 0,
		...more
	}
});

const failed: Check = { id: 'token-signature', outcome: 'fail', code: 'token-forged', detail: MARKUP };
const simulated: Check = { id: 'not-simulated', outcome: 'warn', code: 'simulated' };

const find = <T extends HTMLElement = HTMLElement>(id: string) =>
	document.querySelector<T>(`[data-testid="tee-${id}"]`);
const need = <T extends HTMLElement = HTMLElement>(id: string): T => {
	const element = find<T>(id);
	if (!element) throw new Error(`no ${id}`);
	return element;
};
const press = (key: string) => dispatchEvent(new KeyboardEvent('keydown', { key }));
const event = (element: Element, name: string) => element.dispatchEvent(new Event(name, { bubbles: true }));

let state: Writable<State>;
let calls: unknown[][];
let session: Session;

beforeEach(() => {
	state = writable<State>({ kind: 'pending' });
	calls = [];
	const note =
		(name: string) =>
		(...args: unknown[]) =>
			void calls.push([name, ...args]);
	session = {
		subscribe: state.subscribe,
		attach: () => (note('attach')(), note('detach')),
		chat: note('chat'),
		recheck: note('recheck'),
		accept: note('accept'),
		restart: note('restart'),
		offline: note('offline'),
		online: note('online'),
		visible: note('visible')
	};
});

let ends: Array<() => void> = [];
afterEach(() => {
	ends.forEach((end) => end());
	ends = [];
	document.body.replaceChildren();
	history.replaceState(null, '', '/');
});

const root = () => document.body.appendChild(document.createElement('div'));

describe('the badge', () => {
	const chatId = writable('');
	const show = () => {
		const { destroy } = badge(root(), { session, t, chatId });
		ends.push(destroy, () => chatId.set(''));
	};

	it('shows each state by word, shape and colour', () => {
		show();
		const seen: string[][] = [];
		const states: State[] = [
			{ kind: 'off' },
			{ kind: 'pending' },
			verdict('green'),
			verdict('amber'),
			verdict('amber', [simulated]),
			verdict('red', [failed])
		];
		for (const next of states) {
			state.set(next);
			const button = need('badge');
			const status = document.querySelector('[role=status]')?.textContent ?? '';
			expect(button.getAttribute('aria-label')).toContain(status);
			seen.push([button.dataset.state ?? '', status, button.querySelector('path')?.getAttribute('d') ?? '']);
		}
		expect(seen.map(([name]) => name)).toEqual(['off', 'pending', 'green', 'amber', 'amber', 'red']);
		expect(new Set(seen.map(([, word]) => word)).size).toBe(6);
		expect(new Set(seen.map(([, , shape]) => shape)).size).toBe(5);
		expect(seen[4][1]).toContain('Simulated TD');
	});

	it('opens its panel by hover, focus and click, and closes it by Escape', () => {
		show();
		const button = need('badge');
		const box = button.parentElement as HTMLElement;
		const open = () => [find('panel') !== null, button.getAttribute('aria-expanded')];
		expect(find('panel')).toBeNull();
		event(box, 'mouseenter');
		expect(open()).toEqual([true, 'true']);
		event(box, 'mouseleave');
		expect(open()).toEqual([false, 'false']);

		button.focus();
		expect(find('panel')).not.toBeNull();
		need('recheck').focus();
		expect(find('panel')).not.toBeNull();
		press('Escape');
		expect(find('panel')).toBeNull();
		expect(document.activeElement).toBe(button);
		button.blur();

		button.click();
		event(box, 'mouseleave');
		expect(find('panel')).not.toBeNull();
		press('x');
		expect(find('panel')).not.toBeNull();
		event(document.body, 'pointerdown');
		expect(find('panel')).toBeNull();
		button.click();
		button.click();
		expect(find('panel')).toBeNull();
	});

	it('keeps the panel and its button while the state changes', () => {
		show();
		need('badge').click();
		const recheck = need('recheck');
		recheck.focus();
		recheck.click();
		expect(calls).toContainEqual(expect.arrayContaining(['recheck']));
		state.set(verdict('red', [failed]));
		expect(document.activeElement).toBe(recheck);
	});

	it('lists every check with its outcome, and names the reason', () => {
		show();
		state.set(verdict('red', [failed]));
		need('badge').click();
		const rows = [...document.querySelectorAll<HTMLElement>('[data-testid="tee-check"]')];
		expect(rows.map(({ dataset }) => dataset.check)).toEqual([...CHECKS]);
		expect(rows.find(({ dataset }) => dataset.check === failed.id)?.dataset.outcome).toBe('fail');
		expect(need('reason').dataset.check).toBe(failed.id);
		expect(need('reason').textContent).toContain('not signed by the attestation service');
		state.set(verdict('green'));
		expect(find('reason')).toBeNull();
	});

	it('shows outside text as text only', () => {
		show();
		state.set(
			verdict('amber', [{ ...failed, outcome: 'warn' }], {
				fields: { jti: MARKUP, tee: MARKUP, exp: MARKUP, mr_td: undefined },
				choice: { provider: 'trustee', address: MARKUP, keys: '', serverChosen: true }
			})
		);
		need('badge').click();
		const panel = need('panel');
		expect(panel.querySelector('img, script, a, iframe')).toBeNull();
		expect(panel.querySelector('[data-field=jti]')?.textContent).toBe(MARKUP);
		expect(panel.querySelector('[data-field=mr_td]')).toBeNull();
		expect(panel.textContent?.split(MARKUP).length).toBeGreaterThan(4);
	});

	it('shows what has changed, old and new, with a button that accepts it', () => {
		show();
		const changed: Check = { id: 'reference-values', outcome: 'warn', code: 'changed', detail: '2026-11-20' };
		const changes = [
			['mr_td', 'aa', 'bb'],
			['rtmr_3', '', MARKUP]
		] as const;
		state.set(verdict('amber', [changed], { changes, accept: () => {} }));
		need('badge').click();
		expect(need('reason').textContent).toContain('have changed');
		const rows = [...document.querySelectorAll<HTMLElement>('[data-testid=tee-change]')];
		expect(rows.map(({ dataset, textContent }) => [dataset.field, textContent])).toEqual([
			['mr_td', 'mr_td: aa → bb'],
			['rtmr_3', `rtmr_3:  → ${MARKUP}`]
		]);
		need('accept').click();
		expect(calls.filter(([name]) => name === 'accept')).toHaveLength(1);
		expect(find('panel')).not.toBeNull();
		expect(document.activeElement).toBe(need('recheck'));
		state.set(verdict('green'));
		expect([find('accept'), find('change')]).toEqual([null, null]);
	});

	it('shows the events of the logs, folded, as text only', () => {
		show();
		const events = [
			['rtmr_1', 'EFI_BOOT_SERVICES_APPLICATION', 'grub'],
			['rtmr_3', '', MARKUP]
		] as const;
		state.set(verdict('green', [], { events }));
		need('badge').click();
		const box = need<HTMLDetailsElement>('events');
		expect([box.tagName, box.open]).toEqual(['DETAILS', false]);
		const rows = [...document.querySelectorAll('[data-testid=tee-event]')].map(({ textContent }) => textContent);
		expect(rows).toEqual(['rtmr_1 EFI_BOOT_SERVICES_APPLICATION grub', `rtmr_3  ${MARKUP}`]);
		expect(need('panel').querySelector('img, script')).toBeNull();
		state.set(verdict('red', [failed], { events }));
		expect(find('events')).toBeNull();
	});

	it('calls simulated only what is', () => {
		show();
		state.set(verdict('amber', [{ ...simulated, code: 'root' }]));
		expect(need('badge').getAttribute('aria-label')).toContain('Verified, with warnings');
	});

	it('shows times as the reader’s and as they are', () => {
		show();
		state.set(verdict('green', [], { fields: { exp: 1_795_000_000, iat: 9e15 } }));
		need('badge').click();
		const shown = (name: string) => document.querySelector(`[data-field=${name}]`)?.textContent;
		expect(shown('exp')).toMatch(/2026.*\(1795000000\)/);
		expect(shown('iat')).toBe('9000000000000000');
	});

	it('shows no values where a check failed', () => {
		show();
		state.set(verdict('red', [failed], { fields: { mr_td: 'aa' } }));
		need('badge').click();
		expect(find('field')).toBeNull();
	});

	it('follows the open chat, and knows a new one’s name', () => {
		show();
		expect(calls).toContainEqual(['attach']);
		chatId.set('abc');
		history.replaceState(null, '', '/c/def');
		chatId.set('def');
		chatId.set('');
		expect(calls.filter(([name]) => name === 'chat')).toEqual([
			['chat', '', false],
			['chat', 'abc', true],
			['chat', 'def', false],
			['chat', '', false]
		]);
	});

	it('leaves nothing behind', () => {
		const { destroy } = badge(root(), { session, t, chatId });
		destroy();
		expect(calls[calls.length - 1]).toEqual(['detach']);
		calls.length = 0;
		chatId.set('x');
		expect(calls).toEqual([]);
		chatId.set('');
	});
});

describe('the settings block', () => {
	let settings: SettingsStore;
	const storage = new Map<string, string>();
	const show = (stored?: string) => {
		storage.clear();
		if (stored) storage.set(STORAGE_KEY, stored);
		settings = createSettings({
			getItem: (name) => storage.get(name) ?? null,
			setItem: (name, value) => void storage.set(name, value)
		});
		const { destroy } = settingsForm(root(), { settings, session, t });
		ends.push(destroy);
		return destroy;
	};
	const write = (id: string, value: string) => {
		const field = need<HTMLInputElement>(id);
		field.value = value;
		event(field, 'change');
	};
	const now = () => get(settings).settings;

	it('switches off and on', () => {
		show();
		const box = need<HTMLInputElement>('enabled');
		expect(box.getAttribute('aria-checked')).toBe('true');
		box.click();
		expect(now().enabled).toBe(false);
		expect(box.getAttribute('aria-checked')).toBe('false');
		box.click();
		expect(now().enabled).toBe(true);
	});

	it('keeps both addresses through a change of provider', () => {
		show();
		write('provider', 'trustee');
		write('address', 'https://t.example');
		write('provider', 'alibaba');
		expect(need<HTMLInputElement>('address').value).toBe('');
		write('address', 'https://a.example');
		write('provider', 'trustee');
		expect(need<HTMLInputElement>('address').value).toBe('https://t.example');
		write('provider', '');
		expect(now()).toMatchObject({
			provider: null,
			addresses: { alibaba: 'https://a.example', trustee: 'https://t.example' }
		});
	});

	it('refuses what is no address or key set, says so, and lets the user mend it', () => {
		show();
		write('address', 'http://a.example');
		expect(need('settings-error').textContent).toContain('https://');
		expect(now().addresses.alibaba).toBe('');
		expect(need<HTMLInputElement>('address').value).toBe('http://a.example');
		write('address', 'https://a.example');
		expect(need('settings-error').textContent).toBe('');
		write('keys', '{}');
		expect(need('settings-error').textContent).toContain('JWK Set');
		expect(now().keys.alibaba).toBe('');
	});

	it('stores what was being written when it goes away', () => {
		const destroy = show();
		need<HTMLInputElement>('address').value = 'https://a.example';
		destroy();
		expect(now().addresses.alibaba).toBe('https://a.example');
	});

	it('stores nothing that the user did not change', () => {
		show()();
		expect(storage.size).toBe(0);
	});

	it('does not take the text from under the user when a result comes', () => {
		show();
		need<HTMLInputElement>('address').value = 'https://half';
		state.set(verdict('red', [failed]));
		expect(need<HTMLInputElement>('address').value).toBe('https://half');
	});

	it('trusts the provider that the server chose where the address was stored before', () => {
		show(JSON.stringify({ v: 1, addresses: { trustee: 'https://t.example' } }));
		const choice = { provider: 'trustee' as const, address: 'https://t.example', keys: '', serverChosen: true };
		state.set(verdict('amber', [], { choice }));
		need('trust').click();
		expect(now()).toMatchObject({ provider: 'trustee', addresses: { trustee: 'https://t.example' } });
	});

	it('offers to trust the address that only the server named', () => {
		show();
		expect(need('trust').hidden).toBe(true);
		const choice = { provider: 'trustee' as const, address: 'https://t.example', keys: '', serverChosen: true };
		state.set(verdict('amber', [], { choice }));
		expect(need<HTMLInputElement>('address').placeholder).toBe('https://t.example');
		need('trust').click();
		expect(now()).toMatchObject({ provider: 'trustee', addresses: { trustee: 'https://t.example' } });
	});

	it('asks for no address where nobody is asked, and for a root instead of keys', () => {
		show();
		const label = () => need('keys').parentElement?.textContent;
		expect([need('address').parentElement?.hidden, label()?.includes('Root')]).toEqual([false, false]);
		write('provider', 'dcap');
		expect([need('address').parentElement?.hidden, label()?.includes('Root')]).toEqual([true, true]);
		write('keys', 'x');
		expect(need('settings-error').textContent).toContain('PEM');
		write('provider', 'trustee');
		expect(need('address').parentElement?.hidden).toBe(false);
	});

	it('keeps a policy, and names what is wrong in one', () => {
		show();
		write('policy', ' {"v":1,"max_age":60} ');
		expect(now().policy).toBe('{"v":1,"max_age":60}');
		write('policy', '{"v":1,"tcb":{"pass":["Revoked"]}}');
		expect(need('settings-error').textContent).toContain('/tcb/pass/0');
		expect(now().policy).toBe('{"v":1,"max_age":60}');
		// Neither the bad text nor anything else is lost, whatever else is changed meanwhile.
		write('provider', 'trustee');
		write('address', 'https://t.example');
		expect(now().addresses.trustee).toBe('https://t.example');
		expect(need<HTMLTextAreaElement>('policy').value).toBe('{"v":1,"tcb":{"pass":["Revoked"]}}');
		write('policy', '');
		expect([now().policy, need('settings-error').textContent]).toEqual(['', '']);
	});

	it('stores a policy that was being written when it goes away', () => {
		const destroy = show();
		need<HTMLTextAreaElement>('policy').value = '{"v":1}';
		destroy();
		expect(now().policy).toBe('{"v":1}');
	});

	it('shows the policy of another tab', () => {
		show();
		const other = { ...now(), policy: '{"v":1,"max_age":90}' };
		storage.set(STORAGE_KEY, JSON.stringify(other));
		settings.reload();
		expect(need<HTMLTextAreaElement>('policy').value).toBe('{"v":1,"max_age":90}');
	});

	it('says that the stored settings were unreadable', () => {
		show('{');
		expect(need('settings-error').textContent).toContain('unreadable');
	});
});

describe('the texts', () => {
	it('put a value in as it is', () => {
		expect(translate('settings.trust', '$& {0}')).toBe('Trust $& {0}');
	});
});

describe('the sources', () => {
	const sources = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
		.filter((name) => /\.(ts|svelte)$/.test(name))
		.map((name): [string, string] => [name, readFileSync(join(FOLDER, name), 'utf8')]);

	it.each(sources)('%s writes no markup and nothing to the console', (_name, text) => {
		expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|@html|document\.write|console\.|eval\(/);
	});
	it('read globals in one place only', () => {
		const pure = sources.filter(([name]) => !/^(browser|badge|dom|form)\.ts$|\.svelte$/.test(name));
		expect(pure.length).toBeGreaterThan(15);
		for (const [name, text] of pure) {
			expect([name, text.match(/\b(localStorage|Date\.now|Math\.random|setTimeout|window\.|navigator\.)/)]).toEqual([name, null]);
		}
	});
});

describe('the page’s own wiring', () => {
	it('asks for nothing while attestation is off', async () => {
		localStorage.setItem(STORAGE_KEY, '{"v":1,"enabled":false}');
		const request = vi.spyOn(globalThis, 'fetch');
		const page = await import('$lib/tee/browser');
		const leave = page.session.attach();
		page.session.chat('a');
		dispatchEvent(new Event('online'));
		expect(get(page.session)).toEqual({ kind: 'off' });
		// Another tab turns it on: now it begins.
		localStorage.setItem(STORAGE_KEY, '{"v":1,"enabled":true}');
		dispatchEvent(new StorageEvent('storage', { key: STORAGE_KEY }));
		expect(get(page.session)).toEqual({ kind: 'pending' });
		dispatchEvent(new Event('offline'));
		expect(get(page.session)).toMatchObject({ kind: 'done', verdict: { status: 'red' } });
		// Another tab accepts measurements: what this one shows may not know of it.
		dispatchEvent(new StorageEvent('storage', { key: 'somebody else’s' }));
		expect(get(page.session).kind).toBe('done');
		dispatchEvent(new StorageEvent('storage', { key: MEMORY_KEY }));
		expect(get(page.session)).toEqual({ kind: 'pending' });
		dispatchEvent(new Event('offline'));
		leave();
		expect(request).not.toHaveBeenCalled();
	});
});
