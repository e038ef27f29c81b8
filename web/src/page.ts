import { atom } from 'nanostores';
import { claim, whoseIn } from './base/account';
import type { Environment } from './base/environment';
import { Passing } from './base/problem';
import { brokenIn } from './i18n/broken';
import { createTexts } from './i18n/texts';
import { watchModels } from './session/chosen';
import { nameFor, openDrawer } from './session/drawer';
import { keepDoor } from './session/doorkeeper';
import { enforcementOf } from './session/enforcement';
import { markedStorage, openMarks } from './session/marks';
import { forget, rememberedIn, startAnew } from './session/remembered';
import { forgetSealed } from './session/sealed';
import { createSession, type Verify } from './session/session';
import { createSettings, MEMORY_KEY, STORAGE_KEY } from './session/settings';
import { tellConsole } from './session/told';
import { CONFIRMED, CONFIRMED_MODELS, confirmations } from './transport/confirmed';
import { courierFetch } from './transport/courier';
import type { Door } from './transport/door';
import type { Desk } from './ui/admin-form';
import { TrustControls } from './ui/controls';
import { TrustBadge } from './ui/badge';
import { showBanner } from './ui/banner';
import { createBlocked } from './ui/blocked';
import type { Parts, TrustElement } from './ui/element';
import { TrustNotice } from './ui/notice';
import { OutsideImage } from './ui/outside-image';
import { BADGE, showModelQuestion, showQuestion } from './ui/question';
import { TrustSettings } from './ui/settings-form';
import { findInSearch } from './ui/settings-search';
import { chosenText } from './ui/workload';

/** Tells this browser's other tabs that a mark was changed. */
const tabs = new BroadcastChannel('tee');
const marks = openMarks(
	() => indexedDB,
	() => sessionStorage,
	() => {
		tabs.postMessage(null);
	}
);

/** This browser's storage. Asked for late: where it is forbidden, even its name throws. */
const storage: Environment['memory'] = {
	getItem: (key) => localStorage.getItem(key),
	setItem: (key, value) => {
		localStorage.setItem(key, value);
	},
	removeItem: (key) => {
		localStorage.removeItem(key);
	}
};

/** Whose things count now. */
const here = () => whoseIn(() => storage);
const whose = here();
const drawer = openDrawer(storage, marks, whose);

/** Milliseconds between two looks at who is signed in. */
const GLANCE = 1_000;

// This file is <api>/tee/page/<name>.
const api = new URL('../..', import.meta.url).href.replace(/\/$/, '');

const later: Environment['later'] = (ms, call) => {
	const timer = setTimeout(call, ms);
	return () => {
		clearTimeout(timer);
	};
};

/**
 * The page's `fetch` as the loader left it. An app may put its own in front, as open-webui 0.12.4 does:
 * that one asks, of an answer to who is not signed in, whether somebody is, and that waits for us.
 */
let ownFetch: typeof fetch = (...args) => fetch(...args);

/** Have what the page asks by itself go by this one. */
export const askBy = (given: typeof fetch): void => {
	ownFetch = given;
};

const askService = courierFetch(document, api, later, (...args) => ownFetch(...args));

/** What the person confirmed at the gate: warnings for this browser, failures for one chat of this tab. */
const warnings = confirmations(() => localStorage, CONFIRMED, here);
const failures = confirmations(() => sessionStorage, CONFIRMED, here);

/** The real outside world. The only place that reads it for the session. */
const environment: Environment = {
	fetch: (input, init) => {
		const address = input instanceof Request ? input.url : input;
		const isOwn = new URL(address, location.href).origin === location.origin;
		return isOwn ? ownFetch(input, init) : askService(input, init);
	},
	now: () => Date.now(),
	elapsed: () => performance.now(),
	online: () => navigator.onLine,
	random: (length) => crypto.getRandomValues(new Uint8Array(length)),
	// Missing where the page came without HTTPS, whatever the types say.
	subtle: (globalThis.crypto as Crypto | undefined)?.subtle,
	...drawer,
	whose,
	token: () => storage.getItem('token') ?? '',
	confirmed: (causes) => {
		const names = [...warnings.read(), ...failures.read()];
		return causes.every((cause) => names.includes(cause));
	},
	origin: location.origin,
	api,
	later
};

const settings = createSettings(drawer.memory);

/** The verification comes as its own piece of code, and only when attestation is on. */
const verify: Verify = async (...args) => {
	const { attest } = await import('./session/attest').catch(() => {
		throw new Passing('internal', 'code');
	});
	return attest(...args);
};

export const session = createSession(environment, settings, verify);

tellConsole(session.state, console);

/** Where people sign in. The app leaves it by itself, and one form of its address signs them out. */
const SIGN_IN = '/auth';

/**
 * What this page holds is one account's: it is loaded anew as soon as another one is signed in. Who
 * signs out is led to another page by the app itself.
 */
const lookWho = (): void => {
	claim(markedStorage(storage, marks));
	const now = here();
	if (now !== null && now !== whose && location.pathname !== SIGN_IN) location.reload();
};
lookWho();
// Nothing tells a page what its own code stores.
setInterval(lookWho, GLANCE);

addEventListener('storage', ({ key }) => {
	lookWho();
	if (key === nameFor(whose, STORAGE_KEY) || key === null) settings.reload();
	if (key === nameFor(whose, MEMORY_KEY) || key === null) session.restart();
});
tabs.addEventListener('message', session.restart);
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

/** Settles when the first texts are in the reader's language. */
export const spoken = texts.speak(storedLanguage() || page.lang || navigator.language);
new MutationObserver(() => void texts.speak(page.lang)).observe(page, {
	attributeFilter: ['lang']
});

const chat = atom('');
const settingsInPanel = atom(false);
const rightsTaken = atom(false);

const enforcement = () => {
	const state = session.state.get();
	const heard = state.kind === 'done' ? state.verdict : {};
	return enforcementOf(environment, settings.state.get().settings, heard);
};
const chosenModels = confirmations(() => localStorage, CONFIRMED_MODELS, here);
const models = watchModels({
	token: environment.token,
	later,
	session,
	confirmed: chosenModels,
	enforcement,
	say({ model, chosen }) {
		const { t } = texts.state.get();
		return t('chosen.refused', chosenText(model, chosen, t));
	}
});

export const parts: Parts = {
	session,
	settings,
	texts: texts.state,
	model: models.model,
	chat,
	whose,
	kept: {
		remembered: () => rememberedIn(environment),
		forget(what) {
			forget(environment, what);
		},
		async anew() {
			await startAnew(environment, [warnings, failures, chosenModels]).catch(() => undefined);
			location.reload();
		}
	},
	enforcement,
	settingsInPanel,
	rightsTaken
};

const ELEMENTS = {
	badge: { tag: BADGE, element: TrustBadge },
	settings: { tag: 'cczoo-trust-settings', element: TrustSettings },
	controls: { tag: 'cczoo-trust-controls', element: TrustControls }
} as const;
const ADMIN = 'cczoo-trust-admin';

for (const { tag, element } of Object.values(ELEMENTS)) customElements.define(tag, element);
customElements.define('cczoo-outside-image', OutsideImage);
customElements.define('cczoo-trust-notice', TrustNotice);
document.documentElement.append(Object.assign(new TrustNotice(), { parts }));

/** What stands at the message box, wherever the app shows that. */
let placeBanner = (): void => undefined;

/** What the administrators' form works with. */
const desk: Desk = { env: environment, verify };
/** That form, and what stands for it until it comes. */
const forms = new WeakSet<Element>();

/** Put the administrators' form into a place: it is a piece of its own, for the few who need it. */
const mountForm = async (place: HTMLElement): Promise<void> => {
	const { firstElementChild } = place;
	if (firstElementChild && forms.has(firstElementChild)) return;
	const holder = document.createElement('div');
	forms.add(holder);
	place.replaceChildren(holder);
	try {
		const { TrustAdmin } = await import('./ui/admin-form');
		if (!customElements.get(ADMIN)) customElements.define(ADMIN, TrustAdmin);
		const form = Object.assign(new TrustAdmin(), { parts, desk });
		forms.add(form);
		holder.replaceWith(form);
	} catch {
		holder.textContent = brokenIn(page.lang);
	}
};

findInSearch(document, texts.state);

/** Put the badge, or a form, into a place; nothing happens where it already is. */
export const mount = (place: HTMLElement, name: keyof typeof ELEMENTS | 'admin'): void => {
	if (name === 'admin') {
		void mountForm(place);
		return;
	}
	const { element } = ELEMENTS[name];
	lookWho(); // the app shows a place as soon as somebody has signed in
	const { firstElementChild } = place;
	if (firstElementChild instanceof element && firstElementChild.parts) return;
	const mounted: TrustElement = new element();
	mounted.parts = parts;
	if (name === 'badge') place.style.alignSelf = 'center'; // in the app's row of buttons
	place.replaceChildren(mounted);
	if (name === 'badge') placeBanner();
};

/** Have this page's requests go by what the verification finds. */
export const enter = (door: Door): void => {
	keepDoor(environment, session, () => settings.state.get().settings, enforcement, door);
	door.weigh(models.mind);
	chat.listen(() => {
		door.gate.another();
	});
	showModelQuestion(document, models, texts.state);
	const badge = (place: HTMLElement) => {
		offerSettings(); // the app shows none either
		mount(place, 'badge');
	};
	showQuestion(document, door.gate, texts.state, {
		async forget() {
			forgetSealed(environment);
			await door.forget();
			location.reload();
		},
		badge
	});
	placeBanner = showBanner(document, door.gate, texts.state, badge);
};

/** Another chat is open, by its number: it is attested anew. */
export const openChat = (number: string): void => {
	chat.set(number);
};

/** Have the settings in the badge's panel: the app has no place for them. */
export const offerSettings = (): void => {
	settingsInPanel.set(true);
};

/** The app asked for this page's origin for something from outside: the panel says so. */
export const originAsked = (): void => {
	rightsTaken.set(true);
};

/** The page's policy kept something from loading: it is shown, or told to the server's log. */
export const blocked = createBlocked(document, {
	cover: (address, alt) =>
		Object.assign(new OutsideImage(), { parts, address, alt, frame: `${api}/tee/image` }),
	tell: (directive, origin) => {
		const body = JSON.stringify({ v: 1, blocked: { directive, origin } });
		const headers = { 'content-type': 'application/json' };
		ownFetch(`${api}/tee/report`, { method: 'POST', headers, body, credentials: 'omit' }).catch(
			() => {
				// the browser has said so in its console
			}
		);
	}
});
