/** Words from outside among the page's own, and the gate's causes in a person's. */
import { isText, type Translate } from '../i18n/texts';
import type { Cause } from '../transport/gate';

/** Characters of one name. */
const NAME_MAX = 120;

/**
 * As it is, but for what does not show, or changes how what is beside it shows: that is spelled out.
 * In its own direction, whatever letters it has.
 */
export const named = (text: string): string => {
	const cut = Array.from(text.slice(0, 2 * NAME_MAX))
		.slice(0, NAME_MAX)
		.join('');
	const visible = cut.replace(/(?! )[\p{C}\p{Z}]/gu, (character) => {
		const code = character.codePointAt(0) ?? 0;
		return `\\u{${code.toString(16)}}`;
	});
	return `\u2068${visible}${cut.length < text.length ? '…' : ''}\u2069`;
};

/** Why the gate does not simply open, in a person's words, where there are some. */
export const causeIn = (cause: Cause, t: Translate): string => {
	const [id = '', code = ''] = cause.split(':');
	const inWords = (key: string, other: string) => (isText(key) ? t(key) : other);
	return inWords(`check.${id}`, id) + t('check.colon') + inWords(`reason.${code}`, code);
};
