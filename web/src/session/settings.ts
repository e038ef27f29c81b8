import { atom, type ReadableAtom } from 'nanostores';
import { normaliseAddress } from '../base/address';
import { isObject, own, parseObject, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import type { Preferences } from '../providers/choice';
import { isProviderId, perProvider, providerIds, type ProviderId } from '../providers/registry';
import { parsePins } from '../token/keys';

/** Names in this browser's storage, which every origin has for itself. */
export const STORAGE_KEY = 'tee.settings';
export const MEMORY_KEY = 'tee.memory';
export const EDITIONS_KEY = 'tee.editions';

/** Characters of any text in the settings, and of all of them as they are stored. */
const TEXT_LIMIT = 1 << 16;
const STORED_LIMIT = 1 << 19;

/**
 * What the user decided. It lives in the browser's storage and not on the server, because it
 * protects the user against the server.
 */
export interface Settings extends Preferences {
	v: 1;
	enabled: boolean;
	/** The appraisal policy's JSON text; empty: the default one. */
	policy: string;
}

export interface SettingsState {
	settings: Settings;
	/** What was stored cannot be read: nothing is asked, and nothing changed, until it can. */
	broken: boolean;
}

export interface SettingsStore {
	state: ReadableAtom<SettingsState>;
	/**
	 * Change and store; throws `bad-address`, `keys-malformed` or `settings-unreadable`, and then
	 * nothing is changed.
	 */
	change: (edit: (settings: Settings) => void) => void;
	/** Read the storage again: somebody else has written. */
	reload: () => void;
}

const MEMBERS = ['v', 'enabled', 'provider', 'addresses', 'keys', 'policy'];

export const defaults = (): Settings => ({
	v: 1,
	enabled: true,
	provider: null,
	addresses: perProvider(() => ''),
	keys: perProvider(() => ''),
	policy: ''
});

/** Refuse what has the wrong shape, by the name of the member. */
const refusal = (member: string) => new Problem('settings-unreadable', member);

/** What is not known was somebody's decision all the same: it is not dropped. */
const requireKnown = (value: JsonObject, names: readonly string[], prefix = ''): void => {
	const unknown = Object.keys(value).find((name) => !names.includes(name));
	if (unknown !== undefined) throw refusal(prefix + unknown);
};

const readText = (value: unknown = '', member: string): string => {
	if (typeof value !== 'string' || value.length > TEXT_LIMIT) throw refusal(member);
	return value;
};

/** One text per provider, each of which is empty or passes the check. */
const readTexts = (
	value: unknown,
	member: string,
	check: (text: string) => void
): Record<ProviderId, string> => {
	if (value !== undefined) {
		if (!isObject(value)) throw refusal(member);
		requireKnown(value, providerIds, `${member}.`);
	}
	return perProvider((id) => {
		const text = readText(own(value, id), `${member}.${id}`);
		if (text) check(text);
		return text;
	});
};

const readProvider = (value: unknown): ProviderId | null => {
	if (value === null || isProviderId(value)) return value;
	throw refusal('provider');
};

/**
 * Read stored settings. Throws where anything in them has the wrong shape: `bad-address`,
 * `keys-malformed`, or `settings-unreadable` with the member's name.
 */
export const parseSettings = (text: string): Settings => {
	if (text.length > STORED_LIMIT) throw refusal('size');
	const stored = parseObject(text);
	const { v, enabled = true, provider = null, addresses, keys, policy } = stored;
	if (v !== 1) throw refusal('v');
	requireKnown(stored, MEMBERS);
	if (typeof enabled !== 'boolean') throw refusal('enabled');
	return {
		v,
		enabled,
		provider: readProvider(provider),
		addresses: readTexts(addresses, 'addresses', normaliseAddress),
		keys: readTexts(keys, 'keys', parsePins),
		// Read with the verification: a policy that is wrong fails there, and does not turn it off.
		policy: readText(policy, 'policy')
	};
};

export const createSettings = (storage: Pick<Storage, 'getItem' | 'setItem'>): SettingsStore => {
	const read = (): SettingsState => {
		try {
			const text = storage.getItem(STORAGE_KEY);
			return { settings: text === null ? defaults() : parseSettings(text), broken: false };
		} catch {
			return { settings: defaults(), broken: true };
		}
	};
	const state = atom(read());
	return {
		state,
		change(edit) {
			if (state.get().broken) throw new Problem('settings-unreadable');
			const draft = structuredClone(state.get().settings);
			edit(draft);
			const text = JSON.stringify(draft);
			const settings = parseSettings(text);
			try {
				storage.setItem(STORAGE_KEY, text);
			} catch {
				// the change then holds for this page only, and the check `settings` says so
			}
			state.set({ settings, broken: false });
		},
		reload() {
			state.set(read());
		}
	};
};
