import { html, nothing } from 'lit';
import { remedyButtons } from '../kept';
import { suggestionsView } from '../suggestion';
import type { Section } from './section';

/** What to do about what this browser keeps; most of it takes a look at that first. */
export const keeping: Section = ({ remedies = [] }, t, { review, mend }) => {
	if (!review || remedies.length === 0) return nothing;
	const blind = remedies.filter(({ name }) => name === 'anew');
	return html`
		<button type="button" class="row link" data-testid="tee-review" @click=${review}>
			${t('settings.review')}
		</button>
		${remedyButtons(blind, t, mend)}
	`;
};

/** Requests to this server were sealed once and cannot be now: that may be the person's own doing. */
export const unsealed: Section = ({ forget }, t, actions) =>
	forget
		? html`
				<p data-testid="tee-unsealed">${t('panel.unsealed')}</p>
				<button type="button" class="row link" data-testid="tee-forget" @click=${actions.forget}>
					${t('panel.forget')}
				</button>
			`
		: nothing;

/** This server asked for more before: that it asks for less now may be somebody else's doing. */
export const relaxing: Section = ({ proposed, stricter, relax }, t, actions) =>
	relax && proposed && stricter
		? html`
				<p data-testid="tee-stricter">${t('panel.stricter', t(`enforcement.${stricter}`))}</p>
				<button type="button" class="row link" data-testid="tee-relax" @click=${actions.relax}>
					${t('panel.relax', t(`enforcement.${proposed}`))}
				</button>
			`
		: nothing;

/** What this server proposes for the settings: it counts for nothing until the person takes it over. */
export const suggested: Section = (verdict, t, { review, take }) =>
	review ? suggestionsView(verdict, t, take) : nothing;
