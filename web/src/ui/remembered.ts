/** What this browser remembers of this server, with what forgets it. */
import { html, nothing, type TemplateResult } from 'lit';
import type { TextKey } from '../i18n/en';
import type { Translate } from '../i18n/texts';
import type { Forgettable, Remembered } from '../session/remembered';
import { rows } from './rows';
import { day, named } from './words';

/** Rows of what runs there. */
const ROWS_MAX = 50;

/** What the person can forget, each of it after one question. */
export type Asked = Forgettable | 'everything';

export interface Forgetting {
	/** What the person is asked about; empty for nothing. */
	asked: Asked | '';
	ask: (what: Asked | '') => void;
	forget: (what: Asked) => void;
}

const button = (id: string, text: string, act: () => void) => html`
	<button type="button" class="link" data-testid="tee-${id}" @click=${act}>${text}</button>
`;

/** The button that asks, or the question with its two answers. */
export const forgetView = (
	what: Asked,
	t: Translate,
	{ asked, ask, forget }: Forgetting
): TemplateResult => {
	const text: TextKey = what === 'everything' ? 'settings.everything' : 'settings.forget';
	if (asked !== what) {
		return button(`forget-${what}`, t(text), () => {
			ask(what);
		});
	}
	return html`
		<div role="group" aria-label=${t(text)}>
			<p>${t(`${text}.sure`)}</p>
			${button('forget-yes', t('settings.yes'), () => {
				forget(what);
			})}
			${button('forget-no', t('settings.no'), () => {
				ask('');
			})}
		</div>
	`;
};

const valueRow = ([name, value]: [string, string]) =>
	html`<div class="value">${named(name)} <span class="muted">${named(value)}</span></div>`;

const part = <Known>(
	what: Forgettable,
	known: Known | 'damaged' | null,
	t: Translate,
	acts: Forgetting,
	view: (known: Known) => TemplateResult
) => {
	if (known === null) return nothing;
	return html`
		<li data-testid="tee-remembered-${what}">
			${known === 'damaged' ? t('settings.damaged') : view(known)} ${forgetView(what, t, acts)}
		</li>
	`;
};

/** All of it, as a list; nothing where nothing is remembered. */
export const rememberedView = (
	{ machine, workload }: Remembered,
	t: Translate,
	acts: Forgetting
): TemplateResult | typeof nothing => {
	if (machine === null && workload === null) return nothing;
	return html`
		<details data-testid="tee-remembered">
			<summary>${t('settings.remembered')}</summary>
			<ul>
				${part('machine', machine, t, acts, ({ since, values }) => {
					return html`${t('settings.machine', day(since))} ${Object.entries(values).map(valueRow)}`;
				})}
				${part('workload', workload, t, acts, (things) => {
					const row = ([what, name, , , since]: (typeof things)[number]) =>
						html`<div>
							${named(what)} ${name && named(name)} <span class="muted">${day(since)}</span>
						</div>`;
					return html`${t('settings.workload', things.length)} ${rows(things, t, row, ROWS_MAX)}`;
				})}
			</ul>
		</details>
	`;
};
