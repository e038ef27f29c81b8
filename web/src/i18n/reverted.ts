/**
 * What the worker says where this origin gave sealed connections before, and now has nothing of the
 * kit: in each language that has a catalogue.
 */
export interface RevertedWords {
	title: string;
	text: string;
	forget: string;
}

export const REVERTED = {
	en: {
		title: 'The sealed connection is gone',
		text: 'This browser talked to this address by a sealed connection before. Now the address offers none, so nothing was sent to it. Whoever runs it may have removed the trust badge; then you can go on without it. If nobody told you so, somebody may be reading along: do not go on.',
		forget: 'Forget the sealed connection and go on without it'
	}
} as const satisfies Record<string, RevertedWords>;

/** Those words in the language of the first of these tags (BCP 47) that has them, or in English. */
export const revertedIn = (tags: readonly string[]): RevertedWords => {
	const words: Readonly<Record<string, RevertedWords>> = REVERTED;
	for (const tag of tags) {
		const [language = ''] = tag.toLowerCase().split(/[-_]/, 1);
		const found = Object.hasOwn(words, language) ? words[language] : undefined;
		if (found) return found;
	}
	return REVERTED.en;
};
