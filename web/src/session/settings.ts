import { atom, type ReadableAtom } from 'nanostores';
import { normaliseAddress } from '../base/address';
import { isObject, own, parseObject } from '../base/json';
import { Problem } from '../base/problem';
import type { Preferences } from '../providers/choice';
import { perProvider, isProviderId, type ProviderId } from '../providers/registry';
import { parsePins } from '../token/keys';

/** Names in this browser's storage, which every origin has for itself. */
export const STORAGE_KEY = 'tee.settings';
export const MEMORY_KEY = 'tee.memory';

/** Characters of any text in the settings. */
const TEXT_LIMIT = 1 << 16;

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
	/** What was stored could not be read, and the defaults hold. */
	broken: boolean;
}

export interface SettingsStore {
	state: ReadableAtom<SettingsState>;
	/** Change and store; throws `bad-address` or `keys-malformed`, and then nothing is changed. */
	change: (edit: (settings: Settings) => void) => void;
	/** Read the storage again: another tab has written. */
	reload: () => void;
}

export const defaults = (): Settings => ({
	v: 1,
	enabled: true,
	provider: null,
	addresses: perProvider(() => ''),
	keys: perProvider(() => ''),
	policy: ''
});

const readText = (text: unknown = ''): string => {
	if (typeof text !== 'string' || text.length > TEXT_LIMIT) throw new Problem('internal', 'size');
	return text;
};

/** One text per provider, each of which is empty or passes the check. */
const readTexts = (value: unknown, check: (text: string) => void): Record<ProviderId, string> => {
	if (value !== undefined && !isObject(value)) throw new Problem('internal');
	return perProvider((id) => {
		const text = readText(own(value, id) ?? '');
		if (text) check(text);
		return text;
	});
};

const readProvider = (value: unknown): ProviderId | null => {
	if (value === null || isProviderId(value)) return value;
	throw new Problem('internal', 'provider');
};

/** Read stored settings; throws where anything in them has the wrong shape. */
export const parseSettings = (text: string): Settings => {
	const { v, enabled = true, provider = null, addresses, keys, policy } = parseObject(text);
	if (v !== 1 || typeof enabled !== 'boolean') throw new Problem('internal');
	return {
		v,
		enabled,
		provider: readProvider(provider),
		addresses: readTexts(addresses, normaliseAddress),
		keys: readTexts(keys, parsePins),
		// Read with the verification: a policy that is wrong fails there, and does not turn it off.
		policy: readText(policy)
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
			const draft = structuredClone(state.get().settings);
			edit(draft);
			const text = JSON.stringify(draft);
			const settings = parseSettings(text);
			try {
				storage.setItem(STORAGE_KEY, text);
			} catch {
				// private windows may refuse storage: the change then holds for this page only
			}
			state.set({ settings, broken: false });
		},
		reload() {
			state.set(read());
		}
	};
};
