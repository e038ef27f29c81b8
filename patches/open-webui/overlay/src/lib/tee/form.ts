import type { Readable } from 'svelte/store';
import { h, set } from './dom';
import { parsePolicy } from './policy';
import { asProblem } from './problem';
import { PROVIDERS, providerIds, type ProviderId } from './providers';
import type { Session } from './session';
import type { Choice, Settings, SettingsState, SettingsStore } from './settings';
import type { TextKey, Translate } from './text';
import { COLOURS, MUTED } from './view';

const ROW = 'flex w-full items-center justify-between py-0.5';
const FIELD =
	'mt-0.5 w-full rounded-lg border border-gray-200 bg-transparent px-3 py-1.5 text-xs dark:border-gray-700';
const SWITCH =
	'h-5 w-9 cursor-pointer appearance-none rounded-full border-2 border-transparent bg-gray-300 transition-all before:block before:size-4 before:rounded-full before:bg-white checked:bg-emerald-600 checked:pl-4 dark:bg-gray-700 dark:checked:bg-emerald-600';

interface Parts {
	settings: SettingsStore;
	session: Session;
	t: Readable<Translate>;
}

/** Svelte action: the settings block. What the user writes is stored when a field is left. */
export const settingsForm = (root: HTMLElement, { settings, session, t }: Parts) => {
	let translate: Translate;
	let state: SettingsState;
	let asked: Choice | undefined;
	let provider: ProviderId;
	let filled = '';
	let filledPolicy = '';

	const make = <T extends HTMLElement>(tag: string, id: string, more: Record<string, string>) =>
		h<T>(tag, { 'data-testid': `tee-${id}`, ...more });
	const enabled = make<HTMLInputElement>('input', 'enabled', {
		type: 'checkbox',
		role: 'switch',
		class: SWITCH
	});
	const select = make<HTMLSelectElement>('select', 'provider', {
		class: 'w-fit rounded-sm bg-transparent px-2 py-2 pr-8 text-right outline-hidden dark:bg-gray-900'
	});
	const text = { spellcheck: 'false', autocomplete: 'off', class: FIELD };
	const address = make<HTMLInputElement>('input', 'address', { ...text, inputmode: 'url' });
	const keys = make<HTMLTextAreaElement>('textarea', 'keys', { ...text, rows: '2' });
	const policy = make<HTMLTextAreaElement>('textarea', 'policy', { ...text, rows: '2' });
	const trust = make<HTMLButtonElement>('button', 'trust', { type: 'button', class: 'underline' });
	const keysLabel = h('span', {});
	const error = make('div', 'settings-error', { role: 'alert', class: COLOURS.red });

	const change = (edit: (draft: Settings) => void) => {
		try {
			error.textContent = '';
			settings.change(edit);
		} catch (problem) {
			const { code, detail } = asProblem(problem);
			error.textContent = `${translate(`reason.${code}`)} ${detail}`.trim();
		}
	};
	/** Store both texts; to write an address is to choose its provider. */
	const store = () => {
		const [newAddress, newKeys] = [address.value.trim(), keys.value.trim()];
		const stored = state.settings;
		const same = newAddress === stored.addresses[provider] && newKeys === stored.keys[provider];
		if (same) return void (error.textContent = '');
		change((draft) => {
			draft.provider = provider;
			draft.addresses[provider] = newAddress;
			draft.keys[provider] = newKeys;
		});
	};
	/** A policy by itself: one that is wrong keeps nothing else from being stored, and stays here. */
	const storePolicy = () => {
		const text = policy.value.trim();
		if (text === state.settings.policy) return void (error.textContent = '');
		change((draft) => {
			if (text) parsePolicy(text);
			draft.policy = text;
		});
	};
	enabled.onchange = () => change((draft) => (draft.enabled = enabled.checked));
	select.onchange = () => change((draft) => (draft.provider = (select.value || null) as ProviderId));
	address.onchange = keys.onchange = store;
	policy.onchange = storePolicy;
	trust.onclick = () => {
		if (!asked) return;
		const { provider: id, address: url } = asked;
		change((draft) => (draft.addresses[(draft.provider = id)] = url));
	};

	/** Put the state into the fields. */
	const show = () => {
		const stored = state.settings;
		provider = stored.provider ?? asked?.provider ?? providerIds[0];
		enabled.checked = stored.enabled;
		set(enabled, { 'aria-checked': String(stored.enabled) });
		const option = (value: string, name: string) => h('option', { value }, name);
		select.replaceChildren(
			option('', translate('settings.automatic', PROVIDERS[provider].name)),
			...providerIds.map((id) => option(id, PROVIDERS[id].name))
		);
		select.value = stored.provider ?? '';
		// Only what is stored may replace what the user is writing.
		const fill = JSON.stringify([provider, stored]);
		if (fill !== filled) {
			filled = fill;
			address.value = stored.addresses[provider];
			keys.value = stored.keys[provider];
		}
		if (stored.policy !== filledPolicy) policy.value = filledPolicy = stored.policy;
		const local = provider === 'dcap';
		address.parentElement?.toggleAttribute('hidden', local);
		keysLabel.textContent = translate(local ? 'settings.root' : 'settings.keys');
		const suggested = asked?.provider === provider ? asked.address : '';
		address.placeholder = PROVIDERS[provider].address || suggested;
		trust.hidden = !asked?.serverChosen || !suggested;
		trust.textContent = translate('settings.trust', suggested);
		if (state.broken) error.textContent = translate('settings.broken');
	};

	const build = () => {
		const labelled = (key: TextKey, field: Node, look = '') =>
			h('label', { class: look }, translate(key), field);
		root.replaceChildren(
			h('div', { class: 'mb-1 text-sm' }, translate('settings.title')),
			labelled('settings.enabled', enabled, ROW),
			labelled('settings.provider', select, ROW),
			labelled('settings.address', address),
			trust,
			h('label', {}, keysLabel, keys),
			labelled('settings.policy', policy),
			error,
			h('div', { class: MUTED }, translate('settings.local'))
		);
	};

	const ends = [
		t.subscribe((value) => {
			translate = value;
			build();
			if (state) show();
		}),
		settings.subscribe((value) => {
			state = value;
			show();
		}),
		session.subscribe((value) => {
			// While a check is under way the last answer stands, and with it what is being typed.
			asked = (value.kind === 'done' && value.verdict.choice) || asked;
			show();
		})
	];
	return {
		destroy() {
			// Closing the dialogue with Escape takes a field away before its change event.
			store();
			storePolicy();
			ends.forEach((end) => end());
		}
	};
};
