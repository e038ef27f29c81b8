import { css, html, nothing, type CSSResult, type TemplateResult } from 'lit';
import type { Check } from '../base/checks';
import type { Translate } from '../i18n/texts';
import type { Renewal, State } from '../session/session';
import { copyStatus, copyStyles } from './copy';
import { changes } from './panel/changes';
import { events } from './panel/events';
import { measurements } from './panel/measurements';
import { keeping, relaxing, suggested, unsealed } from './panel/offers';
import { outside } from './panel/outside';
import { nameOf, shown, why, type Actions, type Section } from './panel/section';
import { reason, steps, stepsStyles } from './panel/steps';
import { summaryOf } from './panel/summary';
import { sign, signStyles } from './sign';
import { kindOf, labelOf } from './state';
import { workloadView } from './workload';
import { isolated } from './words';

export type { Actions } from './panel/section';

const workload: Section = (verdict, t, { model }) => workloadView(verdict, t, model);

/** What the panel shows of a verdict, from top to bottom. A new section is one more entry. */
const SECTIONS: readonly Section[] = [
	reason,
	changes,
	unsealed,
	relaxing,
	suggested,
	keeping,
	steps,
	workload,
	measurements,
	events,
	outside
];

const timeOfDay = (ms: number): string => isolated(new Date(ms).toLocaleTimeString());

const failureView = (check: Check, t: Translate) =>
	html`${nameOf(check, t)}${t('check.colon')}${why(t, check)} ${shown(check.detail ?? '')}`;

/** That another result was tried for and did not come: why, and what happens now. */
const renewalView = ({ check, again, until }: Renewal, t: Translate): TemplateResult => {
	const next = again === undefined ? t('panel.trying') : t('panel.again', timeOfDay(again));
	if (until === undefined) return html`<p data-testid="tee-renewal">${next}</p>`;
	return html`
		<p data-testid="tee-renewal">
			${t('panel.renewal')} ${check ? failureView(check, t) : nothing} ${next}
			${t('panel.holds', timeOfDay(until))}
		</p>
	`;
};

/** Can another check come to anything? Not on a page without HTTPS, whatever the server does. */
const isWorthwhile = (state: State): boolean =>
	state.kind !== 'done' || !state.verdict.checks.some(({ code }) => code === 'insecure');

const recheckButton = (state: State, t: Translate, { recheck, enable }: Actions) => {
	const button = (id: string, text: string, act: () => void) => html`
		<button type="button" class="action recheck" data-testid=${id} @click=${act}>${text}</button>
	`;
	if (state.kind === 'off') return button('tee-enable', t('panel.enable'), enable);
	return isWorthwhile(state) ? button('tee-recheck', t('panel.recheck'), recheck) : nothing;
};

const closeButton = (t: Translate, close: () => void) => html`
	<button
		type="button"
		class="action"
		data-testid="tee-close"
		aria-label=${t('notice.close')}
		@click=${close}
	>
		✕
	</button>
`;

/** The panel's contents about a state; `extras` come last. */
export const panelView = (
	state: State,
	t: Translate,
	actions: Actions,
	extras: TemplateResult | typeof nothing
): TemplateResult => {
	const { model, close } = actions;
	const kind = kindOf(state, model);
	return html`
		<div class="box" role="region" data-testid="tee-panel" aria-label=${t('settings.title')}>
			<div class="head">
				<span class=${kind}>${sign(kind)}</span>
				<h2>${t(labelOf(state, model))}</h2>
				${recheckButton(state, t, actions)} ${close ? closeButton(t, close) : nothing}
			</div>
			<p data-testid="tee-summary">${summaryOf(state, model, t)}</p>
			${state.kind === 'done' && state.renewal ? renewalView(state.renewal, t) : nothing}
			${
				state.kind === 'done'
					? SECTIONS.map((section) => section(state.verdict, t, actions))
					: nothing
			}
			<p class="muted">${t('panel.note')}</p>
			${extras} ${copyStatus}
		</div>
	`;
};

export const panelStyles: CSSResult[] = [
	signStyles,
	stepsStyles,
	copyStyles,
	css`
		.box {
			box-sizing: border-box;
			overflow-y: auto;
			overflow-wrap: anywhere;
			border: 1px solid var(--line);
			border-radius: 0.75rem;
			padding: 0.75rem;
			background: var(--ground);
			text-align: start;
			box-shadow: 0 10px 25px rgb(0 0 0 / 15%);
		}
		.head {
			display: flex;
			align-items: flex-start;
			gap: 0.375rem;
		}
		h2,
		h3 {
			margin: 0;
			font: inherit;
			font-weight: 500;
		}
		h2 {
			flex: 1;
			font-size: 0.875rem;
		}
		.action {
			flex: none;
			min-height: 1.5rem;
			border-radius: 9999px;
			padding: 0.125rem 0.625rem;
			background: var(--soft);
		}
		p {
			margin: 0.25rem 0 0;
		}
		ul,
		ol {
			margin: 0.5rem 0;
			padding: 0;
			list-style: none;
		}
		li,
		.row {
			margin-top: 0.25rem;
		}
		.value {
			font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
			unicode-bidi: isolate;
		}
		/* one click selects it all */
		.whole {
			user-select: all;
			-webkit-user-select: all;
		}
		.part,
		.box > details {
			margin-top: 0.5rem;
		}
		summary {
			cursor: pointer;
		}
		a {
			color: inherit;
		}
	`
];
