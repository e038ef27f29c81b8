import { atom, type ReadableAtom } from 'nanostores';
import { isPrivate, normaliseAddress } from '../base/address';
import { isObject, own, parseObject, type JsonObject } from '../base/json';
import { Problem } from '../base/problem';
import type { Preferences } from '../providers/choice';
import { isProviderId, perProvider, providerIds, type ProviderId } from '../providers/registry';
import { parsePins } from '../token/keys';
import { ENFORCEMENTS, type Enforcement } from '../transport/gate';

/** Names in this browser's storage, which every origin has for itself. */
export const STORAGE_KEY = 'tee.settings';
export const MEMORY_KEY = 'tee.memory';
export const EDITIONS_KEY = 'tee.editions';
export const SEALED_KEY = 'tee.sealed';
export const WORKLOAD_KEY = 'tee.workload';
export const ENFORCEMENT_KEY = 'tee.enforcement';

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
	/** How strict the page shall be at least; null: as strict as the server asks for. */
	enforcement: Enforcement | null;
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
	 * Change and store; throws `bad-address`, `http-unpinned`, `keys-malformed` or
	 * `settings-unreadable`, and then nothing is changed. False where this browser did not store it:
	 * it then holds for this page only.
	 */
	change: (edit: (settings: Settings) => void) => boolean;
	/** Read the storage again: somebody else has written. */
	reload: () => void;
}

const MEMBERS = ['v', 'enabled', 'provider', 'addresses', 'keys', 'logs', 'enforcement', 'policy'];

export const defaults = (): Settings => ({
	v: 1,
	enabled: true,
	provider: null,
	addresses: perProvider(() => ''),
	keys: perProvider(() => ''),
	logs: perProvider(() => false),
	enforcement: null,
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

/** One value per provider; what is not there is undefined. */
const readEach = <Value>(
	value: unknown,
	member: string,
	read: (value: unknown, member: string) => Value
): Record<ProviderId, Value> => {
	if (value !== undefined) {
		if (!isObject(value)) throw refusal(member);
		requireKnown(value, providerIds, `${member}.`);
	}
	return perProvider((id) => read(own(value, id), `${member}.${id}`));
};

/** One text per provider, each of which is empty or passes the check. */
const readTexts = (
	value: unknown,
	member: string,
	check: (text: string) => void
): Record<ProviderId, string> =>
	readEach(value, member, (one, name) => {
		const text = readText(one, name);
		if (text) check(text);
		return text;
	});

const readSwitch = (value: unknown = false, member: string): boolean => {
	if (typeof value !== 'boolean') throw refusal(member);
	return value;
};

/** Nobody on the way may choose the keys: what is asked over plain HTTP has pinned ones. */
const requirePins = (addresses: Record<ProviderId, string>, keys: Record<ProviderId, string>) => {
	for (const id of providerIds) {
		const address = addresses[id];
		if (address && !keys[id] && !isPrivate(normaliseAddress(address))) {
			throw new Problem('http-unpinned', address);
		}
	}
};

const readProvider = (value: unknown): ProviderId | null => {
	if (value === null || isProviderId(value)) return value;
	throw refusal('provider');
};

const readEnforcement = (value: unknown = null): Enforcement | null => {
	const known = ENFORCEMENTS.find((word) => word === value);
	if (value !== null && known === undefined) throw refusal('enforcement');
	return known ?? null;
};

/**
 * Read stored settings. Throws where anything in them has the wrong shape: `bad-address`,
 * `http-unpinned`, `keys-malformed`, or `settings-unreadable` with the member's name.
 */
export const parseSettings = (text: string): Settings => {
	if (text.length > STORED_LIMIT) throw refusal('size');
	const stored = parseObject(text);
	const { v, provider = null, policy } = stored;
	if (v !== 1) throw refusal('v');
	requireKnown(stored, MEMBERS);
	const { enabled = true } = stored;
	const addresses = readTexts(stored.addresses, 'addresses', normaliseAddress);
	const keys = readTexts(stored.keys, 'keys', parsePins);
	requirePins(addresses, keys);
	return {
		v,
		enabled: readSwitch(enabled, 'enabled'),
		provider: readProvider(provider),
		addresses,
		keys,
		logs: readEach(stored.logs, 'logs', readSwitch),
		enforcement: readEnforcement(stored.enforcement),
		// Read with the verification: a policy that is wrong fails there, and does not turn it off.
		policy: readText(policy, 'policy')
	};
};

/** Does a stored text choose anything but to be stricter? What cannot be read was some choice. */
export const isOwnSay = (text: string): boolean => {
	try {
		const chosen = { ...parseSettings(text), enforcement: null };
		return JSON.stringify(chosen) !== JSON.stringify(defaults());
	} catch {
		return true;
	}
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
	const put = (text: string): boolean => {
		try {
			storage.setItem(STORAGE_KEY, text);
			return true;
		} catch {
			return false; // and the check `settings` says so
		}
	};
	return {
		state,
		change(edit) {
			if (state.get().broken) throw new Problem('settings-unreadable');
			const draft = structuredClone(state.get().settings);
			edit(draft);
			const text = JSON.stringify(draft);
			const settings = parseSettings(text);
			const isStored = put(text);
			state.set({ settings, broken: false });
			return isStored;
		},
		reload() {
			state.set(read());
		}
	};
};
