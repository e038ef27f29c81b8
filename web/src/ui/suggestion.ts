/** What only this server proposes for the person's settings, and what it means to take that over. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Translate } from '../i18n/texts';
import type { Verdict } from '../session/attest';
import type { Settings } from '../session/settings';
import { policySummary } from './policy-summary';
import { named, visible } from './words';

/** Characters of proposed keys that are shown; more are no proposal. */
const SHOWN_MAX = 1 << 16;

/** What a verdict tells of it. */
export type Heard = Pick<Verdict, 'choice' | 'suggested'>;
/** A change of the settings: what was proposed is then the person's own choice. */
export type Edit = (draft: Settings) => void;

type Provider = NonNullable<Heard['choice']>['provider'];

/** The member of the settings that it is about. */
type Member = 'address' | 'keys' | 'policy';

interface Suggestion {
	name: 'trust' | 'pin' | 'adopt';
	member: Member;
	/** What it is, and what that means. */
	about: TemplateResult;
	/** What the button says. */
	label: string;
	edit: Edit;
}

/** Whoever runs the service decides the verdict. */
const ofAddress = ({ choice }: Heard, t: Translate): Suggestion[] => {
	if (!choice?.serverChosen || !choice.address) return [];
	const { provider, address, path } = choice;
	return [
		{
			name: 'trust',
			member: 'address',
			about: html`<p class="muted" id="about-trust">${t('settings.suggested')}</p>`,
			label: t('settings.trust', named(address)),
			edit(draft) {
				draft.provider = provider;
				// One that itself ends in the well-known path would lose that where it is read.
				draft.addresses[provider] = address.endsWith(path) ? address + path : address;
			}
		}
	];
};

const ofKeys = (provider: Provider, keys: string, t: Translate): Suggestion => ({
	name: 'pin',
	member: 'keys',
	about: html`
		<p class="muted" id="about-pin">${t('settings.suggested.keys')}</p>
		<details>
			<summary>${t('settings.suggested.shown')}</summary>
			<pre class="value">${keys.split('\n').map((line) => `${visible(line, SHOWN_MAX)}\n`)}</pre>
		</details>
	`,
	label: t('settings.pin', t(`provider.${provider}`)),
	edit(draft) {
		draft.keys[provider] = keys;
	}
});

const ofPolicy = (policy: string, t: Translate): Suggestion => ({
	name: 'adopt',
	member: 'policy',
	about: html`
		<p class="muted" id="about-adopt">${t('settings.suggested.policy')}</p>
		${policySummary(policy, t)}
	`,
	label: t('settings.adopt'),
	edit(draft) {
		draft.policy = policy;
	}
});

/** Keys first: an address without HTTPS is taken over only where keys are pinned. */
const suggestionsIn = (heard: Heard, t: Translate): Suggestion[] => {
	const { choice, suggested } = heard;
	return [
		...(choice && suggested?.keys ? [ofKeys(choice.provider, suggested.keys, t)] : []),
		...ofAddress(heard, t),
		...(suggested?.policy ? [ofPolicy(suggested.policy, t)] : [])
	];
};

/** Each with its button; nothing where all is the person's own choice. */
export const suggestionsView = (
	heard: Heard,
	t: Translate,
	act: (edit: Edit, member: Member) => void
): TemplateResult | typeof nothing => {
	const suggestions = suggestionsIn(heard, t);
	if (suggestions.length === 0) return nothing;
	return html`
		<div data-testid="tee-suggestion">
			${suggestions.map(
				({ name, member, about, label, edit }) => html`
					${about}
					<button
						type="button"
						class="link"
						data-testid="tee-${name}"
						aria-describedby="about-${name}"
						@click=${() => {
							act(edit, member);
						}}
					>
						${label}
					</button>
				`
			)}
		</div>
	`;
};
