/**
 * What the loader says where nothing else of the page comes: the one text that it has itself, in
 * each language that has a catalogue.
 */
export const BROKEN = {
	en: 'The check itself broke; reload the page.'
} as const;

/** That text in the language of this tag (BCP 47), or in English. */
export const brokenIn = (tag: string): string => {
	const texts: Readonly<Record<string, string>> = BROKEN;
	const [language = ''] = tag.toLowerCase().split(/[-_]/, 1);
	return (Object.hasOwn(texts, language) ? texts[language] : undefined) ?? BROKEN.en;
};
