/** Words from outside among the page's own, and the gate's causes in a person's. */
import { isText, type Translate } from '../i18n/texts';
import type { Cause } from '../transport/gate';

/** Characters of one name. */
const NAME_MAX = 120;

/**
 * As it is, but for what does not show, or changes how what is beside it shows: that is spelled out.
 * Not more than `max` characters of it.
 */
export const visible = (text: string, max: number): string => {
	const cut = Array.from(text.slice(0, 2 * max))
		.slice(0, max)
		.join('');
	const spelled = cut.replace(/(?! )[\p{C}\p{Z}]/gu, (character) => {
		const code = character.codePointAt(0) ?? 0;
		return `\\u{${code.toString(16)}}`;
	});
	return cut.length < text.length ? `${spelled}…` : spelled;
};

/** Among other words, and in its own direction, whatever letters it has. */
export const isolated = (text: string): string => `\u2068${text}\u2069`;

/** A name among other words. */
export const named = (text: string): string => isolated(visible(text, NAME_MAX));

/** The day of a date as the reader writes it; what is none, as it is. */
export const day = (since: string): string => {
	const date = new Date(since);
	return isNaN(date.getTime())
		? named(since)
		: isolated(date.toLocaleDateString(undefined, { dateStyle: 'long', timeZone: 'UTC' }));
};

/** Why the gate does not simply open, in a person's words, where there are some. */
export const causeIn = (cause: Cause, t: Translate): string => {
	const [id = '', code = ''] = cause.split(':');
	const inWords = (key: string, other: string) => (isText(key) ? t(key) : other);
	return inWords(`check.${id}`, id) + t('check.colon') + inWords(`reason.${code}`, code);
};
