import { atom } from 'nanostores';
import type { Environment } from './base/environment';
import { Problem } from './base/problem';
import { createTexts } from './i18n/texts';
import { createSession } from './session/session';
import { createSettings, MEMORY_KEY, STORAGE_KEY } from './session/settings';
import { TrustBadge } from './ui/badge';
import type { Parts, TrustElement } from './ui/element';
import { TrustSettings } from './ui/settings-form';

/** This browser's storage. Asked for late: where it is forbidden, even its name throws. */
const storage: Environment['memory'] = {
	getItem: (key) => localStorage.getItem(key),
	setItem: (key, value) => {
		localStorage.setItem(key, value);
	}
};

/** The real outside world. The only place that reads it for the session. */
const environment: Environment = {
	fetch: (...args) => fetch(...args),
	now: () => Date.now(),
	random: (length) => crypto.getRandomValues(new Uint8Array(length)),
	// Missing where the page came without HTTPS, whatever the types say.
	subtle: (globalThis.crypto as Crypto | undefined)?.subtle,
	memory: storage,
	token: () => storage.getItem('token') ?? '',
	// This file is <api>/tee/page/<name>.
	api: new URL('../..', import.meta.url).href.replace(/\/$/, ''),
	later: (ms, call) => {
		const timer = setTimeout(call, ms);
		return () => {
			clearTimeout(timer);
		};
	}
};

export const settings = createSettings(storage);

/** The verification comes as its own piece of code, and only when attestation is on. */
export const session = createSession(environment, settings, async (...args) => {
	const { attest } = await import('./session/attest').catch(() => {
		throw new Problem('internal');
	});
	return attest(...args);
});

addEventListener('storage', ({ key }) => {
	if (key === STORAGE_KEY || key === null) settings.reload();
	if (key === MEMORY_KEY || key === null) session.restart();
});
addEventListener('offline', session.offline);
addEventListener('online', session.online);
document.addEventListener('visibilitychange', () => {
	if (document.visibilityState === 'visible') session.visible();
});

const texts = createTexts();
const page = document.documentElement;

/** The language that the user chose in the app, before it says so in its `lang`. */
const storedLanguage = (): string => {
	try {
		return storage.getItem('locale') ?? '';
	} catch {
		return '';
	}
};

void texts.speak(storedLanguage() || page.lang || navigator.language);
new MutationObserver(() => void texts.speak(page.lang)).observe(page, {
	attributeFilter: ['lang']
});

const chat = atom('');
const settingsInPanel = atom(false);
const parts: Parts = { session, settings, texts: texts.state, chat, settingsInPanel };

const ELEMENTS = {
	badge: { tag: 'cczoo-trust-badge', element: TrustBadge },
	settings: { tag: 'cczoo-trust-settings', element: TrustSettings }
} as const;

for (const { tag, element } of Object.values(ELEMENTS)) customElements.define(tag, element);

/** Put the badge, or the settings, into a place; nothing happens where it already is. */
export const mount = (place: HTMLElement, name: keyof typeof ELEMENTS): void => {
	const { element } = ELEMENTS[name];
	const { firstElementChild } = place;
	if (firstElementChild instanceof element && firstElementChild.parts) return;
	const mounted: TrustElement = new element();
	mounted.parts = parts;
	if (name === 'badge') place.style.alignSelf = 'center'; // in the app's row of buttons
	place.replaceChildren(mounted);
};

/** Another chat is open, by its number: it is attested anew. */
export const openChat = (number: string): void => {
	chat.set(number);
};

/** Have the settings in the badge's panel: the app has no place for them. */
export const offerSettings = (): void => {
	settingsInPanel.set(true);
};
