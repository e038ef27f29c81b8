/** Elements of the page on a jsdom document, with a session that tests play. */
import { atom } from 'nanostores';
import { complete, type Check } from '../../src/base/checks';
import { createTexts } from '../../src/i18n/texts';
import type { Verdict } from '../../src/session/attest';
import type { Remembered } from '../../src/session/remembered';
import type { Session, State } from '../../src/session/session';
import { createSettings, STORAGE_KEY } from '../../src/session/settings';
import type { Enforcement } from '../../src/transport/gate';
import { TrustBadge } from '../../src/ui/badge';
import type { Parts, TrustElement } from '../../src/ui/element';
import { TrustSettings } from '../../src/ui/settings-form';

export const MARKUP = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

customElements.define('cczoo-trust-badge', TrustBadge);
customElements.define('cczoo-trust-settings', TrustSettings);

export const verdict = (
	status: Verdict['status'],
	found: Check[] = [],
	more: Partial<Verdict> = {}
): State => ({
	kind: 'done',
	verdict: {
		status,
		checks: complete(Object.fromEntries(found.map((check) => [check.id, check])), []),
		fields: {},
		at: 0,
		expires: 0,
		...more
	}
});

export const failed: Check = {
	id: 'token-signature',
	outcome: 'fail',
	code: 'token-forged',
	detail: MARKUP
};
export const simulated: Check = { id: 'not-simulated', outcome: 'warn', code: 'simulated' };

/** The parts of a page, and all that its session was asked for, in order. */
export const makeParts = (stored?: string) => {
	const calls: unknown[][] = [];
	const note =
		(name: string) =>
		(...args: unknown[]) => {
			calls.push([name, ...args]);
		};
	const storage = new Map(stored === undefined ? [] : [[STORAGE_KEY, stored]]);
	const state = atom<State>({ kind: 'pending' });
	const session: Session = {
		state,
		attach: () => {
			note('attach')();
			return note('detach');
		},
		chat: note('chat'),
		recheck: note('recheck'),
		accept: note('accept'),
		forget: note('forget'),
		mend: (act) => {
			note('mend')();
			act();
		},
		restart: note('restart'),
		offline: note('offline'),
		online: note('online'),
		visible: note('visible')
	};
	const settings = createSettings({
		getItem: (name) => storage.get(name) ?? null,
		setItem: (name, value) => {
			storage.set(name, value);
		}
	});
	const remembered: Remembered = { machine: null, workload: null };
	const kept = {
		remembered: () => remembered,
		forget: note('forget'),
		anew: () => {
			note('anew')();
			return Promise.resolve();
		}
	};
	/** How strict the page is. */
	const strict = { word: 'warn' as Enforcement };
	const model = atom<string | null>(null);
	const chat = atom('1');
	const settingsInPanel = atom(false);
	const rightsTaken = atom(false);
	const texts = createTexts().state;
	const parts: Parts = {
		session,
		settings,
		texts,
		model,
		chat,
		whose: '',
		kept,
		enforcement: () => Promise.resolve(strict.word),
		settingsInPanel,
		rightsTaken
	};
	return {
		parts,
		calls,
		state,
		settings,
		storage,
		model,
		chat,
		remembered,
		strict,
		settingsInPanel,
		rightsTaken
	};
};

/** Put an element with these parts on the page, and wait until it shows them. */
export const show = async <T extends TrustElement>(element: T, parts: Parts): Promise<T> => {
	element.parts = parts;
	document.body.append(element);
	await element.updateComplete;
	return element;
};

export const find = (element: TrustElement, id: string): HTMLElement | null =>
	element.renderRoot.querySelector<HTMLElement>(`[data-testid="tee-${id}"]`);

export const need = (element: TrustElement, id: string): HTMLElement => {
	const found = find(element, id);
	if (!found) throw new Error(`no ${id}`);
	return found;
};

export const all = (element: TrustElement, id: string): HTMLElement[] => [
	...element.renderRoot.querySelectorAll<HTMLElement>(`[data-testid="tee-${id}"]`)
];

/** What an element says, without the blanks that HTML does not show. */
export const textOf = (element: Element | null): string | undefined =>
	element?.textContent.replace(/\s+/g, ' ').trim();

export const fire = (element: Element, name: string): boolean =>
	element.dispatchEvent(new Event(name, { bubbles: true, composed: true }));
