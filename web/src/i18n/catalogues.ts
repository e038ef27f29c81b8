import type { Catalogue } from './en';

export type Direction = 'ltr' | 'rtl';

/** A language that the page speaks besides English. */
export interface Language {
	direction: Direction;
	/** Its texts: a piece of code of their own, which comes when the language is used. */
	load: () => Promise<{ default: Catalogue }>;
}

/** By language tag (BCP 47) in lower case. */
export type Languages = Readonly<Record<string, Language>>;

/**
 * The languages besides English, which every page has from the start. One more is a file beside
 * `en.ts`, its sentences in `auditors.ts`, `broken.ts`, `refusals.ts` and `reverted.ts`, and an entry here:
 * `fr: { direction: 'ltr', load: () => import('./fr') }`.
 */
export const LANGUAGES = {
	'zh-hans': { direction: 'ltr', load: () => import('./zh-hans') }
} as const satisfies Languages;

/** Whatever is said in each language that has a catalogue. */
export type InEach<Said> = Readonly<Record<'en' | keyof typeof LANGUAGES, Said>>;
