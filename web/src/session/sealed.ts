import type { Environment } from '../base/environment';
import { own, parseObject } from '../base/json';
import { readMark } from './keeping';
import { SEALED_KEY } from './settings';

/** Characters of the stored fact. */
const TEXT_LIMIT = 1 << 10;

/** Does a text say that there was no sealed connection? What cannot be read does not say so. */
const deniesIt = (text: string | null): boolean => {
	if (text === null) return true;
	try {
		return text.length <= TEXT_LIMIT && own(parseObject(text), 'sealed') === false;
	} catch {
		return false;
	}
};

/**
 * Did this browser ever have a sealed connection to this origin, by its storage or by the mark of
 * what the kit put there? Either one is enough: deleting the other makes nobody forget it.
 */
export const wasSealed = async (env: Environment): Promise<boolean> => {
	if (!deniesIt(env.memory.getItem(SEALED_KEY))) return true;
	return !deniesIt(await readMark(env, SEALED_KEY).catch(() => null));
};

/** Remember, from `now` (milliseconds since 1970) on, that requests to this origin were sealed. */
export const rememberSealed = ({ memory, now }: Environment): void => {
	try {
		// Left as it is where it is known: to other tabs, a text that changes is something new.
		if (!deniesIt(memory.getItem(SEALED_KEY))) return;
		const since = new Date(now()).toISOString();
		memory.setItem(SEALED_KEY, JSON.stringify({ v: 1, sealed: true, since }));
	} catch {
		// the check `settings` says that this browser keeps nothing
	}
};

/** By the person's word, and nobody else's; throws where storage does. */
export const forgetSealed = ({ memory, marks }: Environment): void => {
	const text = JSON.stringify({ v: 1, sealed: false });
	memory.setItem(SEALED_KEY, text);
	marks.set(SEALED_KEY, text);
};
