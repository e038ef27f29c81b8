import { writable, type Readable } from 'svelte/store';
import { isObject, own, parseObject } from './json';
import { parsePins } from './keys';
import { Problem } from './problem';
import { PROVIDERS, providerIds, type ProviderId } from './providers';

/** Names in this browser's storage, which every origin has for itself. */
export const STORAGE_KEY = 'tee.settings';
export const MEMORY_KEY = 'tee.memory';
const TEXT_LIMIT = 1 << 16;

/**
 * What the user decided. It lives in the browser's storage and not on the server, because it
 * protects the user against the server.
 */
export interface Settings {
	v: 1;
	enabled: boolean;
	/** Null: not chosen. */
	provider: ProviderId | null;
	/** Address of each provider's service; empty: the built-in or suggested one. */
	addresses: Record<ProviderId, string>;
	/** What is pinned for each provider (`parsePins`); empty: ask the service for its keys. */
	keys: Record<ProviderId, string>;
	/** The appraisal policy's JSON text; empty: the default one. */
	policy: string;
}

const perProvider = (text: (id: ProviderId) => string) =>
	Object.fromEntries(providerIds.map((id) => [id, text(id)])) as Record<ProviderId, string>;

export const defaults = (): Settings => ({
	v: 1,
	enabled: true,
	provider: null,
	addresses: perProvider(() => ''),
	keys: perProvider(() => ''),
	policy: ''
});

/**
 * The address of a service in its one spelling, without a slash at the end; throws `bad-address`.
 * HTTPS, or plain HTTP to this machine itself.
 */
export const normaliseAddress = (text: string): string => {
	let url: URL;
	try {
		url = new URL(text.trim());
	} catch {
		throw new Problem('bad-address');
	}
	const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
	const scheme = url.protocol === 'https:' || (url.protocol === 'http:' && local);
	if (!scheme || url.username || url.password || url.search || url.hash) {
		throw new Problem('bad-address');
	}
	return (url.origin + url.pathname).replace(/\/+$/, '');
};

const readText = (text: unknown = ''): string => {
	if (typeof text !== 'string' || text.length > TEXT_LIMIT) throw new Problem('internal', 'size');
	return text;
};

const readTexts = (value: unknown, check: (text: string) => void): Record<ProviderId, string> => {
	if (value !== undefined && !isObject(value)) throw new Problem('internal');
	return perProvider((id) => {
		const text = readText(own(value, id) ?? '');
		if (text) check(text);
		return text;
	});
};

/** Read stored settings; throws where anything in them has the wrong shape. */
export const parseSettings = (text: string): Settings => {
	const value = parseObject(text);
	const { enabled = true, provider = null } = value;
	const known = provider === null || providerIds.includes(provider as ProviderId);
	if (value.v !== 1 || typeof enabled !== 'boolean' || !known) throw new Problem('internal');
	return {
		v: 1,
		enabled,
		provider: provider as ProviderId | null,
		addresses: readTexts(value.addresses, normaliseAddress),
		keys: readTexts(value.keys, parsePins),
		// Read with the verification: a policy that is wrong fails there, and does not turn it off.
		policy: readText(value.policy)
	};
};

export interface SettingsState {
	settings: Settings;
	/** What was stored could not be read, and the defaults hold. */
	broken: boolean;
}

export interface SettingsStore extends Readable<SettingsState> {
	/** Change and store; throws `bad-address` or `keys-malformed`, and then nothing is changed. */
	change: (edit: (settings: Settings) => void) => void;
	/** Read the storage again: another tab has written. */
	reload: () => void;
}

export const createSettings = (storage: Pick<Storage, 'getItem' | 'setItem'>): SettingsStore => {
	const read = (): SettingsState => {
		try {
			const text = storage.getItem(STORAGE_KEY);
			return { settings: text === null ? defaults() : parseSettings(text), broken: false };
		} catch {
			return { settings: defaults(), broken: true };
		}
	};
	let state = read();
	const { subscribe, set } = writable(state);
	const publish = (next: SettingsState) => set((state = next));
	return {
		subscribe,
		change(edit) {
			const draft = JSON.parse(JSON.stringify(state.settings)) as Settings;
			edit(draft);
			const next = JSON.stringify(draft);
			const settings = parseSettings(next);
			try {
				storage.setItem(STORAGE_KEY, next);
			} catch {
				// private windows may refuse storage: the change then holds for this page only
			}
			publish({ settings, broken: false });
		},
		reload: () => publish(read())
	};
};

/** What the server suggests (`GET /tee/config`). A suggestion, never a reason to trust. */
export interface ServerConfig {
	defaultProvider: ProviderId | null;
	url: (id: ProviderId) => string;
	relay: (id: ProviderId) => boolean;
	/** The root key of a simulator, as text; nothing that it vouches for is ever green. */
	root: unknown;
}

/** Read the server's suggestions; whatever is wrong in them counts as not said. */
export const parseConfig = (text: string): ServerConfig => {
	let value: unknown;
	try {
		value = parseObject(text);
	} catch {
		value = {};
	}
	const about = (id: ProviderId) => own(own(value, 'providers'), id);
	return {
		defaultProvider: providerIds.find((id) => id === own(value, 'default_provider')) ?? null,
		url: (id) => {
			try {
				return normaliseAddress(own(about(id), 'url') as string);
			} catch {
				return '';
			}
		},
		relay: (id) => own(about(id), 'relay') === true,
		root: own(about('dcap'), 'root')
	};
};

export const NO_CONFIG = parseConfig('');

export interface Choice {
	provider: ProviderId;
	/** Empty: there is none. */
	address: string;
	/** The user's pinned keys; empty: discover. */
	keys: string;
	/** Only this server named the provider or the address: such a result is never green. */
	serverChosen: boolean;
}

/** Which service to ask: the user's word first, then what is built in, then the suggestion. */
export const choose = (settings: Settings, config: ServerConfig): Choice => {
	const fallback = providerIds[0];
	const provider = settings.provider ?? config.defaultProvider ?? fallback;
	const trusted = settings.addresses[provider] || PROVIDERS[provider].address;
	return {
		provider,
		address: trusted ? normaliseAddress(trusted) : config.url(provider),
		keys: settings.keys[provider],
		// Where nobody is asked, nobody else is trusted.
		serverChosen:
			provider !== 'dcap' && (!trusted || (settings.provider === null && provider !== fallback))
	};
};
