import { readable, type Readable } from 'svelte/store';

/**
 * Every text of the kit, in English only for the sake of the page's weight. open-webui's own i18n is
 * no home for them: asked for a namespace file that is not there, it answers with its loading
 * screen, for good.
 */
const TEXTS = {
	'state.off': 'Remote attestation is off',
	'state.pending': 'Checking this server…',
	'state.green': 'Verified: a genuine Intel TDX trust domain',
	'state.amber': 'Verified, with warnings',
	'state.simulated': 'Simulated TD: no hardware protection',
	'state.red': 'Not verified',

	'panel.recheck': 'Check again',
	'panel.note': 'The page itself comes from the machine being checked; cczoo-verify checks from your own machine.',

	'outcome.pass': 'passed',
	'outcome.warn': 'warning',
	'outcome.fail': 'failed',
	'outcome.skipped': 'skipped',

	'reason.not-run': 'An earlier check failed.',
	'reason.not-offered': 'Not checked by this page.',
	'reason.internal': 'The check itself broke; reload the page.',
	'reason.offline': 'You are offline.',
	'reason.insecure': 'Without HTTPS the browser cannot check anything.',
	'reason.quote-unreachable': 'This server did not answer.',
	'reason.quote-refused': 'This server gave no quote.',
	'reason.tdx-not-available': 'This server does not run in an Intel TDX trust domain.',
	'reason.evidence-malformed': 'This server’s answer holds no intact Intel TDX quote.',
	'reason.nonce': 'The quote was not made for this page: it may be old or foreign.',
	'reason.bad-address': 'The service needs an https:// address (http:// on this machine).',
	'reason.service-unreachable': 'The attestation service did not answer.',
	'reason.service-rejected': 'The attestation service refused the evidence.',
	'reason.keys-unreachable': 'The attestation service gave no keys.',
	'reason.keys-malformed': 'This is no set of public keys (JWK Set).',
	'reason.token-malformed': 'The attestation service gave no acceptable token.',
	'reason.token-forged': 'The token is not signed by the attestation service.',
	'reason.server-chosen': 'This server chose the attestation service; confirm the address in Settings to trust it.',
	'reason.token-claim': 'The token is about another quote or service.',
	'reason.token-time': 'The token is expired or not valid yet; is your clock right?',
	'reason.appraisal': 'The attestation service does not fully approve.',
	'reason.tcb-status': 'The platform needs an update.',
	'reason.td-attributes': 'The TD attributes are not safe.',
	'reason.simulated': 'The evidence is simulated: for demonstrations only.',

	'advice.retry': 'Check again in a moment; send nothing confidential until then.',
	'advice.settings': 'See Settings › General › Remote attestation.',
	'advice.distrust': 'Send nothing confidential, and tell the administrator of this server.',

	'settings.title': 'Remote attestation',
	'settings.enabled': 'Check this server',
	'settings.provider': 'Attestation service',
	'settings.automatic': 'Automatic ({0})',
	'settings.address': 'Address',
	'settings.keys': 'Pinned keys (JWK Set)',
	'settings.local': 'Kept in this browser, not on this server.',
	'settings.trust': 'Trust {0}',
	'settings.broken': 'The stored settings are unreadable; defaults are in force.'
} satisfies Record<string, string>;

export type TextKey = keyof typeof TEXTS;
export type Translate = (key: TextKey, value?: string) => string;

export const translate: Translate = (key, value = '') => TEXTS[key].replace('{0}', () => value);

/** A store, so that views follow once there is more than one language. */
export const t: Readable<Translate> = readable(translate);
