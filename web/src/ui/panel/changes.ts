import { html, nothing, type TemplateResult } from 'lit';
import { isText, type Translate } from '../../i18n/texts';
import type { Verdict } from '../../session/attest';
import type { Change } from '../../session/memory';
import { rows } from '../rows';
import { differencesOf } from '../workload';
import { named, shown, type Section } from './section';

/** Differences that the confirmation names; the list above it has them all. */
const NAMED_MAX = 20;

/** A measurement by its name for people, or by its id. */
export const measurementName = (id: string, t: Translate): string => {
	const key = `field.${id}`;
	return isText(key) ? t(key) : shown(id);
};

/** The same, with the id in small print beside a name for people. */
export const measurementTitle = (id: string, t: Translate): TemplateResult | string =>
	isText(`field.${id}`) ? named(measurementName(id, t), id) : shown(id);

const changeView = ([name, before, now]: Change, t: Translate): TemplateResult => html`
	<div class="row" data-testid="tee-change" data-field=${name}>
		${measurementTitle(name, t)}${t('check.colon')}
		<span class="value" dir="ltr">${shown(before)} → ${shown(now)}</span>
	</div>
`;

/** All that is accepted, in words. */
const inWords = (verdict: Verdict, t: Translate): string => {
	const all = [
		...differencesOf(verdict, t).map(({ text }) => text),
		...(verdict.changes ?? []).map(([name]) => measurementName(name, t))
	];
	const more = all.length - NAMED_MAX;
	const rest = more > 0 ? [t('panel.more', more)] : [];
	return [...all.slice(0, NAMED_MAX), ...rest].join('; ');
};

/** Asks once, with the difference in words. */
const acceptance = (verdict: Verdict, t: Translate, accept: () => void): TemplateResult => html`
	<details>
		<summary class="link" data-testid="tee-accept">${t('panel.accept')}</summary>
		<p data-testid="tee-accepted">${t('panel.accept.ask', inWords(verdict, t))}</p>
		<button type="button" class="action" data-testid="tee-accept-confirm" @click=${accept}>
			${t('panel.accept.yes')}
		</button>
	</details>
`;

/** What has changed since this browser remembered it, and what accepts that. */
export const changes: Section = (verdict, t, actions) => {
	const { changes = [], accept } = verdict;
	const differences = differencesOf(verdict, t);
	if (!accept && changes.length + differences.length === 0) return nothing;
	return html`
		<section class="part" aria-label=${t('panel.changed')}>
			<h3>${t('panel.changed')}</h3>
			${rows(
				differences,
				t,
				({ code, text }) =>
					html`<div class="row" data-testid="tee-difference" data-code=${code}>${text}</div>`,
				50
			)}
			${rows(changes, t, (change) => changeView(change, t))}
			${accept ? acceptance(verdict, t, actions.accept) : nothing}
		</section>
	`;
};
