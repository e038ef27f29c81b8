import { html, nothing, type TemplateResult } from 'lit';
import type { TextKey } from '../i18n/en';
import type { Translate } from '../i18n/texts';

/** Some rows of a list from outside, and how many more there are. */
export const rows = <T>(
	all: readonly T[],
	t: Translate,
	row: (item: T) => TemplateResult,
	max = 300
): TemplateResult => html`
	${all.slice(0, max).map(row)}
	${all.length > max ? html`<p class="muted">${t('panel.more', all.length - max)}</p>` : nothing}
`;

/** What is behind a fold under its title; `id` names it to tests. */
export const fold = (
	title: TextKey,
	t: Translate,
	content: TemplateResult,
	id = ''
): TemplateResult => html`
	<details data-testid="tee-${id}" aria-label=${t(title)}>
		<summary class="muted">${t(title)}</summary>
		${content}
	</details>
`;
