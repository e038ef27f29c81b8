import { atom, type ReadableAtom } from 'nanostores';
import { LANGUAGES, type Direction, type Languages } from './catalogues';
import en, { type TextKey } from './en';
import { nearest } from './tags';

/** A text in the page's language; the values stand where the text says {0}, {1} and so on. */
export type Translate = (key: TextKey, ...values: (string | number)[]) => string;

/** The language on show. */
export interface Texts {
	/** Its tag (BCP 47), for `lang`. */
	language: string;
	direction: Direction;
	t: Translate;
}

export interface TextStore {
	state: ReadableAtom<Texts>;
	/**
	 * Speak the language of this tag, or English where there is none such. Never rejects; settles
	 * when the texts are on show, or those of a later call will be.
	 */
	speak: (tag: string) => Promise<void>;
}

/** A function that reads from this catalogue, or from a part's own. */
export const translator =
	<Key extends string>(catalogue: Readonly<Record<Key, string>>) =>
	(key: Key, ...values: (string | number)[]): string =>
		catalogue[key].replace(/\{(\d)\}/g, (_, place) => String(values[Number(place)] ?? ''));

/** Is there a text of this name? */
export const isText = (key: string): key is TextKey => Object.hasOwn(en, key);

const ENGLISH: Texts = { language: 'en', direction: 'ltr', t: translator(en) };

const textsOf = async (languages: Languages, tag: string): Promise<Texts> => {
	const language = nearest(languages, tag);
	const found = language === undefined ? undefined : languages[language];
	if (language === undefined || !found) return ENGLISH;
	const { direction, load } = found;
	try {
		const { default: catalogue } = await load();
		return { language, direction, t: translator(catalogue) };
	} catch {
		return ENGLISH; // a badge in English is better than none
	}
};

/** The texts of the page: English at once, another language as soon as its catalogue is there. */
export const createTexts = (languages: Languages = LANGUAGES): TextStore => {
	const state = atom(ENGLISH);
	let newest = 0;
	return {
		state,
		async speak(tag) {
			newest += 1;
			const mine = newest;
			const texts = await textsOf(languages, tag);
			if (mine === newest) state.set(texts);
		}
	};
};
