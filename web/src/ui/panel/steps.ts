import { css, html, nothing, type TemplateResult } from 'lit';
import type { Check } from '../../base/checks';
import { adviceOn } from '../../base/reasons';
import {
	causeOf,
	reachedOf,
	STEP_OF,
	STEPS,
	stepsOf,
	type Reached,
	type Step
} from '../../base/steps';
import { isText, type Translate } from '../../i18n/texts';
import { claimsIn, tierOf, type TrustClaim } from '../../providers/tiers';
import { drawing, SHAPES } from '../sign';
import { isUnavailable } from '../state';
import { nameOf, SIGNS, shown, why, type Section } from './section';

/** A picture for each step: a chip, what runs on it, and a lock. */
const PICTURES: Record<Step, string> = {
	machine: 'M5 5h10v10H5ZM8 2v3m4-3v3M8 15v3m4-3v3M2 8h3m-3 4h3m10-4h3m-3 4h3',
	software: 'M10 2.5 17.5 6.5 10 10.5 2.5 6.5ZM2.5 10l7.5 4 7.5-4M2.5 13.5l7.5 4 7.5-4',
	words: 'M4.5 9h11v8.5h-11ZM7 9V6a3 3 0 0 1 6 0v3M10 12v2.5'
};

/** The shape of what a step has come to: what did not come to anything is no shape of a failure. */
const MARKS: Record<Reached, string> = {
	pass: SHAPES.verified,
	warn: SHAPES.warning,
	fail: SHAPES.failed,
	skipped: 'M4 10h12',
	'not-reached': 'M4 10h12'
};

/** The one cause, and what a person can do about it. */
export const reason: Section = ({ checks, wait }, t) => {
	const cause = causeOf(checks);
	if (!cause) return nothing;
	const { id, code = 'internal' } = cause;
	return html`
		<p data-testid="tee-reason" data-check=${id}>
			${nameOf(cause, t)}${t('check.colon')}${why(t, cause)}
		</p>
		<p class="strong">${t(`advice.${adviceOn(code, wait !== undefined)}`)}</p>
	`;
};

/** A claim of a service's verdict in words; its number says more to those who know it. */
const trustView = ([claim, value]: TrustClaim, t: Translate): TemplateResult => {
	const meaning = [`trust.${claim}.${value}`, `trust.*.${value}`].find(isText);
	return html`
		<div class="row muted" data-testid="tee-trust">
			${claim} ${value}: ${t(`trust.${tierOf(value)}`)}${meaning ? `, ${t(meaning)}` : ''}
		</div>
	`;
};

const checkRow = (check: Check, t: Translate): TemplateResult => {
	const { id, outcome, code = '', detail = '' } = check;
	const reached = reachedOf(check);
	// That an earlier check failed is told once, above.
	const reason = reached === 'not-reached' ? '' : why(t, check);
	return html`
		<li data-testid="tee-check" data-check=${id} data-outcome=${outcome} data-code=${code}>
			<b class=${reached} aria-hidden="true">${SIGNS[reached]}</b>
			${nameOf(check, t)}${t('check.colon')}${t(`outcome.${reached}`)}
			<span class="muted">${reason} ${shown(detail)}</span>
			${id === 'appraisal' ? claimsIn(detail).map((claim) => trustView(claim, t)) : nothing}
		</li>
	`;
};

const stepView = (
	step: Step,
	reached: Reached,
	own: readonly Check[],
	t: Translate
): TemplateResult => html`
	<li data-testid="tee-step" data-step=${step} data-reached=${reached}>
		<details ?open=${own.some((check) => /^(warn|fail)$/.test(reachedOf(check)))}>
			<summary>
				${drawing(PICTURES[step])}
				<span class="strong">
					${t(`step.${step}`)}${t('check.colon')}<span class=${reached}>
						${t(`reached.${reached}`)}
					</span>
				</span>
				<span class="mark ${reached}">${drawing(MARKS[reached])}</span>
			</summary>
			<ul role="list">
				${own.map((check) => checkRow(check, t))}
			</ul>
		</details>
	</li>
`;

/**
 * The three steps, each with its checks. Those open by themselves in which something warns or
 * failed. Where nothing could be checked, no step is said to have failed.
 */
export const steps: Section = (verdict, t) => {
	const { checks } = verdict;
	const results = stepsOf(checks);
	const none = isUnavailable(verdict);
	return html`
		<ol class="steps" role="list" aria-label=${t('panel.steps')}>
			${STEPS.map((step) => {
				const { reached } = results[step];
				const own = checks.filter(({ id }) => STEP_OF[id] === step);
				return stepView(step, none && reached === 'fail' ? 'not-reached' : reached, own, t);
			})}
		</ol>
	`;
};

export const stepsStyles = css`
	.steps > li {
		margin-top: 0.375rem;
		border: 1px solid var(--line);
		border-radius: 0.5rem;
		padding: 0.375rem 0.5rem;
	}
	.steps summary {
		display: flex;
		align-items: center;
		gap: 0.5rem;
	}
	.steps ul {
		margin-bottom: 0;
	}
	.steps summary .strong {
		flex: 1;
	}
	.mark {
		display: flex;
	}
`;
