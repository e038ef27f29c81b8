/** A language with its script, as a tag's most likely one: of `zh-CN` it is `zh-hans`, of `zh-TW` `zh-hant`. */
const withScript = (tag: string): string[] => {
	try {
		const { language, script } = new Intl.Locale(tag).maximize();
		return [`${language}-${script}`.toLowerCase()];
	} catch {
		return []; // not a tag
	}
};

/**
 * The first of these names (BCP 47, in lower case) that a tag goes by: of `zh-Hant-TW` the name
 * `zh-hant-tw`, or `zh-hant`, or `zh`; and besides that of its language in its script.
 */
export const nearest = <Entries extends object>(
	entries: Entries,
	tag: string
): (keyof Entries & string) | undefined => {
	const parts = tag.toLowerCase().split(/[-_]/, 4);
	const prefixes = parts.map((_, at) => parts.slice(0, parts.length - at).join('-'));
	const names = [...prefixes, ...withScript(parts.join('-'))];
	return names.find((name): name is keyof Entries & string => Object.hasOwn(entries, name));
};
