import { html, type nothing, type TemplateResult } from 'lit';
import type { Check } from '../../base/checks';
import type { Reached } from '../../base/steps';
import type { Translate } from '../../i18n/texts';
import type { Verdict } from '../../session/attest';
import type { Remedy } from '../../session/keeping';
import type { Edit } from '../suggestion';
import { isolated, visible } from '../words';

/** Characters of a text from outside that are shown. */
const TEXT_MAX = 8_192;

/** What the reader can do in the panel. */
export interface Actions {
	recheck: () => void;
	accept: () => void;
	mend: (remedy: Remedy) => void;
	/** Forget that requests to this server were ever sealed. */
	forget: () => void;
	/** Be as strict as the server asks for now, which is less than before. */
	relax: () => void;
	/** The model that the last request named; null where none has yet. */
	model: string | null;
	/** Take over what this server proposes: it is then the person's own choice. */
	take: (edit: Edit) => void;
	/** Look at the settings as they are stored; missing where they are on show. */
	review: (() => void) | undefined;
	/** Have this server checked again, after the person had switched that off. */
	enable: () => void;
	/** Close the panel; undefined where it is part of a page. */
	close: (() => void) | undefined;
}

/** A part of the panel about a verdict; nothing where it has nothing to say. */
export type Section = (
	verdict: Verdict,
	t: Translate,
	actions: Actions
) => TemplateResult | typeof nothing;

export const SIGNS: Record<Reached, string> = {
	pass: '✓',
	warn: '!',
	fail: '✕',
	skipped: '–',
	'not-reached': '–'
};

/** Text from outside: whatever it is, as text, and not more of it than anybody reads. */
export const shown = (value: unknown): string => visible(String(value), TEXT_MAX);

/** A name for people, and in small print the id. */
export const named = (name: string, id: string): TemplateResult =>
	html`${name} <small class="muted">${id}</small>`;

export const nameOf = ({ id }: Check, t: Translate): TemplateResult => named(t(`check.${id}`), id);

/** Why a check is not a plain pass, in words. */
export const why = (t: Translate, { code }: Check): string => (code ? t(`reason.${code}`) : '');

/** A moment as the reader writes it. */
export const moment = (ms: number): string =>
	isolated(new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }));
