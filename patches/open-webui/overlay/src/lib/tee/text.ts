import { readable, type Readable } from 'svelte/store';
import type { LATER } from './wording';

/**
 * The texts that a page has from the start (all others: wording.ts), in English only for the sake of
 * its weight. open-webui's own i18n is no home for them: asked for a namespace file that is not
 * there, it answers with its loading screen, for good.
 */
const TEXTS = {
	'state.off': 'Remote attestation is off',
	'state.pending': 'Checking this server…',
	'state.green': 'Verified: a genuine Intel TDX trust domain',
	'state.amber': 'Verified, with warnings',
	'state.simulated': 'Simulated TD: no hardware protection',
	'state.red': 'Not verified',

	'panel.recheck': 'Check again',
	'panel.accept': 'Accept these measurements from now on',
	'panel.events': 'Event logs, in their own words',
	'panel.note': 'The page itself comes from the machine being checked; cczoo-verify checks from your own machine.',

	'outcome.pass': 'passed',
	'outcome.warn': 'warning',
	'outcome.fail': 'failed',
	'outcome.skipped': 'skipped',

	'reason.not-run': 'An earlier check failed.',
	'reason.not-offered': 'Not checked by this page.',
	'reason.internal': 'The check itself broke; reload the page.',
	'reason.offline': 'You are offline.',

	'advice.retry': 'Check again in a moment; send nothing confidential until then.',

	'settings.title': 'Remote attestation'
} satisfies Record<string, string>;

export type TextKey = keyof typeof TEXTS | keyof typeof LATER;
export type Translate = (key: TextKey, value?: string) => string;

const texts: Partial<Record<TextKey, string>> = TEXTS;

/** Texts that come with a later piece of code. */
export const addTexts = (more: typeof texts): void => void Object.assign(texts, more);

export const translate: Translate = (key, value = '') =>
	(texts[key] ?? TEXTS['reason.internal']).replace('{0}', () => value);

/** A store, so that views follow once there is more than one language. */
export const t: Readable<Translate> = readable(translate);
