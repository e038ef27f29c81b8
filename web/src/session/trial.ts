/** A provider tried with settings that nobody has stored: the checks as a user would get them. */
import type { Environment } from '../base/environment';
import { inTime } from '../base/http';
import { Problem } from '../base/problem';
import { PROVIDERS, type ProviderId } from '../providers/registry';
import type { Verdict } from './attest';
import { wasSealed } from './sealed';
import { DEADLINE, type Verify } from './session';
import { defaults, parseSettings, SEALED_KEY, STORAGE_KEY, type Settings } from './settings';

/** What is tried; texts as somebody writes them. */
export interface Tried {
	provider: ProviderId;
	address: string;
	keys: string;
	policy: string;
}

/** The settings of a user who has taken all of this over; throws as `parseSettings` does. */
const settingsOf = ({ provider, address, keys, policy }: Tried): Settings => {
	// What the server suggests by now is another address than the one that stands in the form.
	if (PROVIDERS[provider].address === '' && !address) throw new Problem('bad-address');
	const texts = { addresses: { [provider]: address }, keys: { [provider]: keys } };
	return parseSettings(JSON.stringify({ ...defaults(), provider, ...texts, policy }));
};

/** A browser that was never here before and holds these settings; what it remembers is thrown away. */
const newcomer = async (env: Environment, settings: Settings): Promise<Environment> => {
	const kept = new Map([[STORAGE_KEY, JSON.stringify(settings)]]);
	// The token goes nowhere in the clear where it would not go otherwise.
	if (await wasSealed(env)) kept.set(SEALED_KEY, '{"v":1,"sealed":true}');
	const nothing = () => {
		// all that is kept is marked as it is
	};
	const getItem = (name: string) => kept.get(name) ?? null;
	return {
		...env,
		memory: {
			getItem,
			setItem(name, text) {
				kept.set(name, text);
			},
			removeItem(name) {
				kept.delete(name);
			}
		},
		marks: { get: (name) => Promise.resolve(getItem(name)), set: nothing, follow: nothing },
		confirmed: () => false
	};
};

/**
 * Verify this server once by way of what is tried, in limited time. Nothing of it gets into this
 * browser's memory, its marks or the verdict on show.
 *
 * Rejects with a Problem where no user could have such settings, and where it ends before its time.
 */
export const tryProvider = async (
	env: Environment,
	verify: Verify,
	tried: Tried,
	signal: AbortSignal
): Promise<Verdict> => {
	const settings = settingsOf(tried);
	const there = await newcomer(env, settings);
	const run = (inner: AbortSignal) => verify(there, settings, inner);
	return inTime(env, signal, 'internal', run, DEADLINE);
};
