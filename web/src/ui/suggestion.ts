/** An attestation service that only this server names, and what it means to believe it. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Translate } from '../i18n/texts';
import type { Choice } from '../providers/choice';
import type { SettingsStore } from '../session/settings';
import { named } from './words';

/** Believe the service that the server chose: it is then the person's own choice. May throw as `change`. */
export const believe = ({ change }: Pick<SettingsStore, 'change'>, asked: Choice): boolean =>
	change((draft) => {
		const { provider, address, path } = asked;
		draft.provider = provider;
		// One that itself ends in the well-known path would lose that where it is read.
		draft.addresses[provider] = address.endsWith(path) ? address + path : address;
	});

/** What that means, and the button for it; nothing where the service is the person's own choice. */
export const suggestionView = (
	asked: Choice | undefined,
	t: Translate,
	act: (asked: Choice) => void
): TemplateResult | typeof nothing => {
	if (!asked?.serverChosen || !asked.address) return nothing;
	return html`
		<div data-testid="tee-suggestion">
			<p class="muted" id="suggested">${t('settings.suggested')}</p>
			<button
				type="button"
				class="link"
				data-testid="tee-trust"
				aria-describedby="suggested"
				@click=${() => {
					act(asked);
				}}
			>
				${t('settings.trust', named(asked.address))}
			</button>
		</div>
	`;
};
