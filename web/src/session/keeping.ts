import { OWNER_KEY } from '../base/account';
import type { Finding } from '../base/checks';
import type { Environment } from '../base/environment';
import { asProblem, Problem } from '../base/problem';
import {
	defaults,
	EDITIONS_KEY,
	ENFORCEMENT_KEY,
	MEMORY_KEY,
	parseSettings,
	SEALED_KEY,
	STORAGE_KEY,
	WORKLOAD_KEY,
	type Settings
} from './settings';

/** Milliseconds until a browser that does not answer counts as one that keeps no marks. */
const PATIENCE = 30_000;

/** What this browser keeps about trust besides the settings, by its names in the storage. */
const OTHERS = [
	MEMORY_KEY,
	EDITIONS_KEY,
	SEALED_KEY,
	WORKLOAD_KEY,
	ENFORCEMENT_KEY,
	OWNER_KEY
] as const;

/** One thing that is kept: what is stored now, and what the kit stored last. */
export interface Kept {
	name: string;
	text: string | null;
	/** Undefined where this browser keeps no marks. */
	mark: string | null | undefined;
}

/** What the person can do about it. */
export interface Remedy {
	name: 'confirm' | 'restore' | 'anew';
	/** Throws where storage does. */
	apply: () => void;
}

/** What the check tells beyond its outcome. */
export interface Keeping {
	/** What is stored and is not as the kit left it. */
	unmarked?: readonly Kept[];
	remedies?: readonly Remedy[];
}

const readText = ({ memory }: Environment, name: string): string | null => {
	try {
		return memory.getItem(name);
	} catch {
		throw new Problem('settings-storage');
	}
};

/** The mark of a name, in limited time; rejects where this browser keeps none. */
export const readMark = (env: Environment, name: string): Promise<string | null> =>
	new Promise((resolve, reject) => {
		const cancel = env.later(PATIENCE, () => {
			reject(new Problem('marks'));
		});
		env.marks.get(name).then(resolve, reject).finally(cancel);
	});

const look = async (env: Environment, name: string): Promise<Kept> => {
	const text = readText(env, name);
	const mark = await readMark(env, name).catch(() => undefined);
	return { name, text, mark };
};

/** The settings in a text, spelt in one way; throws where they cannot be read. */
const canonical = (text: string | null): string =>
	JSON.stringify(text === null ? defaults() : parseSettings(text));

/** Can it be read, as far as that matters here? A damaged memory warns where it is used. */
const readable = (name: string, text: string): boolean => {
	try {
		if (name === STORAGE_KEY) canonical(text);
		return true;
	} catch {
		return false;
	}
};

/** Store a text by the person's word. */
const put = ({ memory, marks }: Environment, name: string, text: string): void => {
	memory.setItem(name, text);
	marks.set(name, text);
};

const confirm = (env: Environment, changed: Kept[]): Remedy => ({
	name: 'confirm',
	apply: () => {
		for (const { name, text } of changed) {
			// Written once more: what counts is what was shown, whatever is stored by now.
			if (text === null) env.marks.set(name, null);
			else put(env, name, text);
		}
	}
});

/** Back to what the kit stored last, where that is known of all that changed. */
const restore = (env: Environment, changed: Kept[]): Remedy[] => {
	const marks = changed.flatMap(({ name, mark }) =>
		typeof mark === 'string' && readable(name, mark) ? [{ name, mark }] : []
	);
	const apply = () => {
		for (const { name, mark } of marks) put(env, name, mark);
	};
	return marks.length === changed.length ? [{ name: 'restore', apply }] : [];
};

const anew = (env: Environment): Remedy => ({
	name: 'anew',
	apply: () => {
		put(env, STORAGE_KEY, JSON.stringify(defaults()));
	}
});

/** Settings without which nothing may be asked; throws `settings-gone` or `settings-unreadable`. */
const requireSettings = (env: Environment, settings: Kept, told: Keeping): void => {
	const { text, mark } = settings;
	const lost = (problem: Problem): never => {
		told.unmarked = [settings];
		told.remedies = [...restore(env, [settings]), anew(env)];
		throw problem;
	};
	if (text === null && typeof mark === 'string') lost(new Problem('settings-gone'));
	try {
		canonical(text);
	} catch (error) {
		const { code, detail } = asProblem(error);
		lost(new Problem('settings-unreadable', detail || code));
	}
};

/** What changed and was not changed by the kit, or is somebody else's. */
const tellChanged = (env: Environment, changed: Kept[], told: Keeping): Finding => {
	const [{ name, text }] = changed as [Kept];
	const settings = name === STORAGE_KEY ? text : null;
	const isOthers = env.whose === null && settings !== null;
	told.unmarked = changed;
	told.remedies = [confirm(env, changed), ...(isOthers ? [anew(env)] : restore(env, changed))];
	// Nothing is asked then, and nobody may take that for the person's wish.
	if (settings !== null && !parseSettings(settings).enabled) {
		throw new Problem(isOthers ? 'settings-others' : 'settings-off');
	}
	if (isOthers) return { outcome: 'warn', code: 'settings-others' };
	const unmarked = changed.every(({ mark }) => mark === null);
	return {
		outcome: 'warn',
		code: unmarked ? 'settings-unmarked' : 'settings-foreign',
		detail: changed.map(({ name }) => name).join(', ')
	};
};

/**
 * The check `settings`: what this browser keeps about trust can be read and is what the kit itself
 * stored, and the settings that hold are the stored ones.
 *
 * Throws where settings are lost: the defaults never stand in for what somebody had decided.
 */
export const examineKept = async (
	env: Environment,
	inForce: Settings,
	told: Keeping
): Promise<Finding | undefined> => {
	const [settings, ...others] = await Promise.all([
		look(env, STORAGE_KEY),
		...OTHERS.map((name) => look(env, name))
	]);
	requireSettings(env, settings, told);
	const kept = [settings, ...others];
	if (kept.some(({ mark }) => mark === undefined)) return { outcome: 'warn', code: 'marks' };
	const changed = kept.filter(({ text, mark }) => text !== mark);
	if (changed.length > 0) return tellChanged(env, changed, told);
	if (canonical(settings.text) !== JSON.stringify(inForce)) {
		return { outcome: 'warn', code: 'settings-differ' };
	}
	return undefined;
};
