import { html, nothing } from 'lit';
import { PROVIDERS } from '../../providers/registry';
import type { Verdict } from '../../session/attest';
import type { SavedEvidence } from '../../session/evidence-file';
import { copyable } from '../copy';
import { fold } from '../rows';
import type { Section } from './section';

/** Where the command expects the keys that the person pinned. */
export const KEYS_FILE = 'keys.txt';

/** Milliseconds that a file is kept for the browser to save. */
const KEPT = 60_000;

/** A word of a command line as any shell takes it, whatever is in it. */
export const quoted = (word: string): string =>
	/^[\w.:/@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** How to ask the same service from outside; not one that only the checked server named. */
const serviceOptions = ({ choice }: Verdict): string[] => {
	if (!choice || choice.provider === 'dcap' || choice.serverChosen) return [];
	const { provider, address, path, keys, logs } = choice;
	const isBuiltIn = address === PROVIDERS[provider].address;
	// One that itself ends in the well-known path would lose that where it is read.
	const written = address.endsWith(path) ? address + path : address;
	return [
		'--provider',
		provider,
		...(isBuiltIn ? [] : ['--service', written]),
		...(keys ? ['--service-keys', KEYS_FILE] : []),
		...(logs ? ['--send-logs'] : [])
	];
};

/** The command that checks this server from another machine. */
export const commandOf = (verdict: Verdict, server: string): string =>
	['cczoo-verify', server, ...serviceOptions(verdict)].map(quoted).join(' ');

/** Hand a file over to the person. The link is in no document: the app sees nothing of it. */
const save = (evidence: SavedEvidence): void => {
	const blob = new Blob([JSON.stringify(evidence)], { type: 'application/json' });
	const href = URL.createObjectURL(blob);
	Object.assign(document.createElement('a'), { href, download: 'evidence.json' }).click();
	// Some browsers read it a while after the click.
	setTimeout(() => {
		URL.revokeObjectURL(href);
	}, KEPT);
};

/** How to check from outside: what runs elsewhere did not come from this server. */
export const outside: Section = (verdict, t) => {
	const { server, saved } = verdict;
	if (server === undefined) return nothing;
	const command = commandOf(verdict, server);
	const code = html`<code class="value whole" dir="ltr" data-testid="tee-command"
		>${command}</code
	>`;
	const content = html`
		<p>${t('panel.outside.how')}</p>
		${copyable(code, command, t('panel.outside'), t)}
		${command.includes(` ${KEYS_FILE}`) ? html`<p>${t('panel.outside.keys', KEYS_FILE)}</p>` : nothing}
		${
			saved
				? html`<button
						type="button"
						class="row link"
						data-testid="tee-download"
						@click=${() => {
							save(saved);
						}}
					>
						${t('panel.evidence')}
					</button>`
				: nothing
		}
	`;
	return fold('panel.outside', t, content, 'outside');
};
