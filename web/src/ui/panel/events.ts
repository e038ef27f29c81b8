import { html, nothing } from 'lit';
import type { Translate } from '../../i18n/texts';
import { fold, rows } from '../rows';
import { SIGNS, shown, type Section } from './section';

/** What a register proves; all else in a row, its kind included, is the machine's own word. */
const factView = (fact: string, t: Translate) => html`
	<b class="pass" role="img" aria-label=${t('panel.events.proven')}>${SIGNS.pass}</b>
	<span class="value" data-testid="tee-fact">${shown(fact)}</span>
`;

export const events: Section = ({ events = [], status }, t) => {
	if (status === 'red' || events.length === 0) return nothing;
	const content = html`
		<p class="muted">${t('panel.events.proof')}</p>
		${rows(
			events,
			t,
			([register, kind, word, fact]) =>
				html`<div class="row" data-testid="tee-event">
					${shown(register)} <span class="muted">${shown(kind)} ${shown(word)}</span>
					${fact ? factView(fact, t) : nothing}
				</div>`
		)}
	`;
	return fold('panel.events', t, content, 'events');
};
