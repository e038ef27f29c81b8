// @vitest-environment jsdom
/** What leads to the settings: the line in the chat's controls, and the one in the app's search. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TrustControls } from '../../src/ui/controls';
import { TrustSettings } from '../../src/ui/settings-form';
import { findInSearch } from '../../src/ui/settings-search';
import { find, fire, makeParts, need, show } from './fixture';

customElements.define('cczoo-trust-controls', TrustControls);
Element.prototype.scrollIntoView = () => undefined;

afterEach(() => {
	document.body.replaceChildren();
	vi.useRealTimers();
});

/** An app whose settings open by its keys, on this tab; the first tab is ours. */
const app = (parts: ReturnType<typeof makeParts>['parts'], tab: 'general' | 'other') => {
	const place = document.createElement('div');
	place.setAttribute('data-tee-place', 'settings');
	const button = document.createElement('button');
	button.setAttribute('aria-controls', 'tab-general');
	const showGeneral = () => {
		const form = new TrustSettings();
		form.parts = parts;
		place.replaceChildren(form);
		document.body.append(place);
	};
	button.onclick = showGeneral;
	const open = () => {
		if (tab === 'general') showGeneral();
		else document.body.append(button);
	};
	const onKey = ({ key, ctrlKey }: KeyboardEvent) => {
		if (key === '.' && ctrlKey) open();
	};
	document.addEventListener('keydown', onKey);
	return {
		place,
		open,
		end: () => {
			document.removeEventListener('keydown', onKey);
		}
	};
};

describe('the line in the chat’s controls', () => {
	it.each(['general', 'other'] as const)('opens the settings, from the tab %s', async (tab) => {
		const { parts } = makeParts();
		const { place, end } = app(parts, tab);
		const controls = await show(new TrustControls(), parts);
		need(controls, 'to-settings').click();
		await vi.waitFor(() => {
			expect(place.isConnected).toBe(true);
		});
		await vi.waitFor(() => {
			expect(place.querySelector('cczoo-trust-settings')?.shadowRoot?.hasChildNodes()).toBe(true);
		});
		expect(controls.renderRoot.querySelector('cczoo-trust-settings')).toBeNull();
		end();
	});

	it('has the settings itself where the app does not open them', async () => {
		vi.useFakeTimers();
		const { parts } = makeParts();
		const controls = await show(new TrustControls(), parts);
		// What a model wrote is not taken for them.
		const fake = document.body.appendChild(document.createElement('div'));
		fake.setAttribute('data-tee-place', 'settings');
		fake.append(document.createElement('cczoo-trust-settings'));
		need(controls, 'to-settings').click();
		await vi.runAllTimersAsync();
		await controls.updateComplete;
		const form = controls.renderRoot.querySelector<TrustSettings>('cczoo-trust-settings');
		await form?.updateComplete;
		expect(form && find(form, 'enabled')).not.toBeNull();
	});
});

describe('the app’s search for settings', () => {
	const search = () => {
		const page = makeParts();
		const box = document.body.appendChild(document.createElement('div'));
		const field = box.appendChild(document.createElement('input'));
		field.id = 'search-input-settings-modal';
		findInSearch(document, page.parts.texts);
		const found = () => document.querySelector<HTMLElement>('[data-testid=tee-found]');
		const write = (value: string) => {
			field.value = value;
			fire(field, 'input');
			return found()?.textContent;
		};
		return { ...page, field, write, found };
	};

	it('finds ours by what they are about, and nothing else', () => {
		const { write } = search();
		expect(write('Remote att')).toBe('Remote attestation');
		expect(write('tdx policy')).toBe('Remote attestation');
		for (const other of ['', ' ', 'r', 'theme', 'remote theme', 'x'.repeat(1000)]) {
			expect(write(other)).toBeUndefined();
		}
	});

	it('leads there, with an empty search', async () => {
		const { parts, write, found, field } = search();
		const { place, open, end } = app(parts, 'other');
		open();
		write('attestation');
		const heard: string[] = [];
		field.addEventListener('input', () => heard.push(field.value));
		found()?.click();
		await vi.waitFor(() => {
			expect(place.isConnected).toBe(true);
		});
		expect([heard, found()]).toEqual([[''], null]);
		end();
	});
});
