/**
 * How strict this page is: what the server asks for and the person's own word, the stricter of them.
 *
 * What a server says of this comes in the clear, and anybody on the way may have said it. So it only
 * ever makes pages stricter: this browser remembers the strictest that was asked for, and nobody but
 * the person takes that back.
 */
import type { Environment } from '../base/environment';
import { request } from '../base/http';
import { own, parseObject } from '../base/json';
import { parseConfig } from '../providers/choice';
import { ENFORCEMENTS, type Enforcement } from '../transport/gate';
import { readMark } from './keeping';
import { ENFORCEMENT_KEY, type Settings } from './settings';

/** What counts where nothing was asked for. */
const DEFAULT: Enforcement = 'warn';
/** Characters of the stored word. */
const TEXT_LIMIT = 1 << 10;

type Word = Enforcement | null | undefined;

const isStricter = (one: Enforcement, other: Enforcement): boolean =>
	ENFORCEMENTS.indexOf(one) > ENFORCEMENTS.indexOf(other);

/** The strictest of these words; those that are not there ask for nothing. */
const strictest = (...words: Word[]): Enforcement =>
	words.reduce<Enforcement>((most, word) => (word && isStricter(word, most) ? word : most), 'off');

/** What a stored text asks for; what cannot be read was some strictness. */
const wordIn = (text: string | null): Enforcement => {
	if (text === null) return DEFAULT;
	try {
		const word = text.length <= TEXT_LIMIT && own(parseObject(text), 'enforcement');
		return ENFORCEMENTS.find((known) => known === word) ?? 'block';
	} catch {
		return 'block';
	}
};

const stored = ({ memory }: Environment): Enforcement => {
	try {
		return wordIn(memory.getItem(ENFORCEMENT_KEY));
	} catch {
		return DEFAULT; // the check `settings` says that this browser keeps nothing
	}
};

/** The strictest that was asked for, by this browser's storage or by the mark of what the kit put there. */
export const remembered = async (env: Environment): Promise<Enforcement> => {
	const kept = stored(env);
	const marked = await readMark(env, ENFORCEMENT_KEY).then(wordIn, () => kept);
	return strictest(kept, marked);
};

const textOf = (word: Enforcement): string => JSON.stringify({ v: 1, enforcement: word });

/** What the server asks for now, and what makes the page go by it where that is less than before. */
export interface Proposal {
	proposed?: Enforcement;
	/** What it asked for before; only where that was more. */
	stricter?: Enforcement;
	/** By the person's word: from now on as it asks now; throws where storage does. */
	relax?: () => void;
}

/** Hear what the server asks for: more is remembered, and less waits for the person. */
export const hearProposal = async (
	env: Environment,
	proposed: Enforcement | undefined
): Promise<Proposal> => {
	if (proposed === undefined) return {};
	const before = await remembered(env);
	if (isStricter(before, proposed)) {
		const relax = () => {
			env.memory.setItem(ENFORCEMENT_KEY, textOf(proposed));
			env.marks.set(ENFORCEMENT_KEY, textOf(proposed));
		};
		return { proposed, stricter: before, relax };
	}
	try {
		if (isStricter(proposed, before)) env.memory.setItem(ENFORCEMENT_KEY, textOf(proposed));
	} catch {
		// then it holds as long as the verdict does
	}
	return { proposed };
};

/** The same where nothing else asks the server: who has switched the check off may not be laxer. */
export const hearServer = async (env: Environment, signal: AbortSignal): Promise<Proposal> => {
	const address = `${env.api}/tee/config`;
	const { status, text } = await request(env, signal, address, 'quote-unreachable');
	return hearProposal(env, status === 200 ? parseConfig(text).enforcement : undefined);
};

/** How strict the page is: by the person's settings, by what was asked for before, and by what is now. */
export const enforcementOf = async (
	env: Environment,
	{ enforcement }: Pick<Settings, 'enforcement'>,
	{ proposed }: Proposal
): Promise<Enforcement> => strictest(enforcement, proposed, await remembered(env));
