/** What a provider that was tried came to, check by check. */
import { html, nothing, type TemplateResult } from 'lit';
import type { Check } from '../base/checks';
import { adviceOn } from '../base/reasons';
import { causeOf, reachedOf } from '../base/steps';
import type { Translate } from '../i18n/texts';
import type { Verdict } from '../session/attest';
import { labelOf } from './state';

const SIGNS = { pass: '✓', warn: '!', fail: '✕', skipped: '–', 'not-reached': '–' } as const;

const checkView = (check: Check, t: Translate): TemplateResult => {
	const { id, outcome, code, detail = '' } = check;
	const reached = reachedOf(check);
	return html`
		<li data-testid="tee-tried" data-check=${id} data-outcome=${outcome}>
			<b class=${reached} aria-hidden="true">${SIGNS[reached]}</b>
			${t(`check.${id}`)}${t('check.colon')}${t(`outcome.${reached}`)}
			<span class="muted">${code ? t(`reason.${code}`) : nothing} ${detail}</span>
		</li>
	`;
};

export const trialView = (verdict: Verdict, t: Translate): TemplateResult => {
	const { checks, status, wait } = verdict;
	const cause = causeOf(checks);
	const { code = 'internal' } = cause ?? {};
	return html`
		<p class="strong" data-testid="tee-trial" data-status=${status}>
			${t(labelOf({ kind: 'done', verdict }))}
		</p>
		${cause ? html`<p>${t(`advice.${adviceOn(code, wait !== undefined)}`)}</p>` : nothing}
		<ul>
			${checks.map((check) => checkView(check, t))}
		</ul>
	`;
};
