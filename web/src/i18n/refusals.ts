/** Why a request is refused, in each language that has a catalogue: the app shows it as an error. */
import type { Refusal } from '../transport/gate';

export const REFUSALS = {
	en: {
		'key-refuted':
			'Nothing was sent: the key that this server names is not the one that its hardware vouches for.',
		'no-way-back':
			'Nothing was sent: this browser talked to this server by a sealed connection before, and the server offers none now.',
		blocked: 'Nothing was sent: the check of this server failed.',
		undecided: 'Nothing was sent: the check of this server came to no result in time.',
		crowded: 'Nothing was sent: too many requests wait for the check of this server.',
		model: 'Nothing was sent: the model in use does not run inside.'
	}
} as const satisfies Record<string, Record<Refusal, string>>;

/** That sentence in the language of this tag (BCP 47), or in English. */
export const refusalIn = (tag: string, reason: Refusal): string => {
	const words: Readonly<Record<string, Record<Refusal, string>>> = REFUSALS;
	const [language = ''] = tag.toLowerCase().split(/[-_]/, 1);
	return (
		(Object.hasOwn(words, language) ? words[language] : undefined)?.[reason] ?? REFUSALS.en[reason]
	);
};
