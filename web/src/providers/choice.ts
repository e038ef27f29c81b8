import { normaliseAddress } from '../base/address';
import { own, parseObject } from '../base/json';
import { parsePolicy } from '../policy/policy';
import { parsePins } from '../token/keys';
import { ENFORCEMENTS, type Enforcement } from '../transport/gate';
import type { Target } from './provider';
import { DEFAULT_PROVIDER, isProviderId, PROVIDERS, type ProviderId } from './registry';

/** What the user decided about whom to ask. */
export interface Preferences {
	/** Null: not chosen. */
	provider: ProviderId | null;
	/** Address of each provider's service; empty: the built-in or suggested one. */
	addresses: Record<ProviderId, string>;
	/** What is pinned for each provider (`parsePins`); empty: ask the service for its keys. */
	keys: Record<ProviderId, string>;
	/** Send each provider's service the event logs as well? */
	logs: Record<ProviderId, boolean>;
}

/** What the server suggests (`GET /tee/config`). A suggestion, never a reason to trust. */
export interface ServerConfig {
	defaultProvider: ProviderId | null;
	/** The address of a provider's service; empty where none is suggested. */
	url: (id: ProviderId) => string;
	/** The address to which the server offers to pass evidence on; empty where it offers none. */
	relay: (id: ProviderId) => string;
	/** Keys to be pinned for a provider's service, as text; empty where none are suggested. */
	keys: (id: ProviderId) => string;
	/** An appraisal policy, as text; empty where none is suggested. */
	policy: string;
	/** How strict pages shall be; undefined where nothing is said. It only ever makes them stricter. */
	enforcement: Enforcement | undefined;
	/** The root key of a simulator, as text; nothing that it vouches for is ever green. */
	root: unknown;
}

export interface Choice extends Target {
	provider: ProviderId;
}

const parse = (text: string): unknown => {
	try {
		return parseObject(text);
	} catch {
		return {};
	}
};

/** A word that nobody knows was meant to be some strictness. */
const readEnforcement = (word: unknown): Enforcement | undefined =>
	word === undefined ? undefined : (ENFORCEMENTS.find((known) => known === word) ?? 'block');

/** A text for somebody's settings; empty where it could not be one. */
const readText = (value: unknown, check: (text: string) => void): string => {
	if (typeof value !== 'string') return '';
	try {
		if (value) check(value);
		return value;
	} catch {
		return '';
	}
};

/** Read the server's suggestions; whatever is wrong in them counts as not said. */
export const parseConfig = (text: string): ServerConfig => {
	const config = parse(text);
	const about = (id: ProviderId) => own(own(config, 'providers'), id);
	const suggested = own(config, 'default_provider');
	const addressIn = (id: ProviderId, member: 'url' | 'relay', path: string): string => {
		const address = own(about(id), member);
		try {
			return typeof address === 'string' ? normaliseAddress(address, path) : '';
		} catch {
			return '';
		}
	};
	return {
		defaultProvider: isProviderId(suggested) ? suggested : null,
		url: (id) => addressIn(id, 'url', PROVIDERS[id].path),
		// Without its well-known path already: a prefix of that name stays.
		relay: (id) => addressIn(id, 'relay', ''),
		keys: (id) => readText(own(about(id), 'keys'), parsePins),
		policy: readText(own(config, 'policy'), parsePolicy),
		enforcement: readEnforcement(own(config, 'enforcement')),
		root: own(about('dcap'), 'root')
	};
};

export const NO_CONFIG = parseConfig('');

/** Which service to ask: the user's word first, then what is built in, then the suggestion. */
export const choose = (preferences: Preferences, config: ServerConfig): Choice => {
	const provider = preferences.provider ?? config.defaultProvider ?? DEFAULT_PROVIDER;
	const { address: builtIn, path } = PROVIDERS[provider];
	const trusted = preferences.addresses[provider] || builtIn;
	const suggestedProvider = preferences.provider === null && provider !== DEFAULT_PROVIDER;
	return {
		provider,
		address: trusted ? normaliseAddress(trusted, path) : config.url(provider),
		path,
		keys: preferences.keys[provider],
		logs: preferences.logs[provider],
		// Where nobody is asked, nobody else is trusted.
		serverChosen: builtIn !== null && (!trusted || suggestedProvider)
	};
};

/** What this server suggests where the person's own settings say nothing; empty where that is nothing. */
export interface Suggested {
	/** Of the provider that is asked. */
	keys: string;
	policy: string;
}

/** What is proposed to a person with these settings, of which the choice came. */
export const suggestedTo = (
	{ keys, policy }: Pick<Preferences, 'keys'> & { policy: string },
	config: ServerConfig,
	{ provider }: Choice
): Suggested => ({
	keys: keys[provider] ? '' : config.keys(provider),
	policy: policy ? '' : config.policy
});
