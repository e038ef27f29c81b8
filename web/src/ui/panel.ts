import { css, html, nothing, type TemplateResult } from 'lit';
import type { Check } from '../base/checks';
import { adviceOn } from '../base/reasons';
import { causeOf, reachedOf, type Reached } from '../base/steps';
import { isText, type Translate } from '../i18n/texts';
import { claimsIn, tierOf, type TrustClaim } from '../providers/tiers';
import type { Verdict } from '../session/attest';
import type { Remedy } from '../session/keeping';
import type { Renewal, State } from '../session/session';
import { remedyButtons } from './kept';
import { rows } from './rows';
import { labelOf } from './state';
import { workloadView } from './workload';

/** Characters of a text from outside that are shown. */
const TEXT_MAX = 8_192;

/** What the reader can do in the panel. */
export interface Actions {
	recheck: () => void;
	accept: () => void;
	mend: (remedy: Remedy) => void;
	/** Forget that requests to this server were ever sealed. */
	forget: () => void;
	/** Be as strict as the server asks for now, which is less than before. */
	relax: () => void;
	/** The model that the last request named; null where none has yet. */
	model: string | null;
	/** Look at the settings as they are stored; missing where they are on show. */
	review: (() => void) | undefined;
}

/** A part of the panel about a verdict; nothing where it has nothing to say. */
type Section = (
	verdict: Verdict,
	t: Translate,
	actions: Actions
) => TemplateResult | typeof nothing;

const SIGNS: Record<Reached, string> = {
	pass: '✓',
	warn: '!',
	fail: '✕',
	skipped: '–',
	'not-reached': '–'
};

/** Text from outside: whatever it is, as text, and not more of it than anybody reads. */
const shown = (value: unknown): string => {
	const text = String(value);
	return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
};

const why = (t: Translate, { code }: Check): string => (code ? t(`reason.${code}`) : '');

/** A check by its name for people, and in small print its id. */
const nameOf = ({ id }: Check, t: Translate): TemplateResult =>
	html`${t(`check.${id}`)} <small class="muted">${id}</small>`;

const reason: Section = ({ checks, wait }, t) => {
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

const provider: Section = ({ choice }, t) =>
	choice
		? html`<p class="muted">${t(`provider.${choice.provider}`)} ${shown(choice.address)}</p>`
		: nothing;

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
	return html`
		<li data-testid="tee-check" data-check=${id} data-outcome=${outcome} data-code=${code}>
			<b class=${reached} aria-hidden="true">${SIGNS[reached]}</b>
			${nameOf(check, t)}${t('check.colon')}${t(`outcome.${reached}`)}
			<span class="muted">${why(t, check)} ${shown(detail)}</span>
			${id === 'appraisal' ? claimsIn(detail).map((claim) => trustView(claim, t)) : nothing}
		</li>
	`;
};

const checks: Section = (verdict, t) =>
	html`<ul>
		${verdict.checks.map((check) => checkRow(check, t))}
	</ul>`;

/** What has changed since this browser remembered it, and the button that accepts that. */
const changes: Section = (verdict, t, actions) => html`
	${rows(
		verdict.changes ?? [],
		t,
		([name, before, now]) =>
			html`<div class="row value" data-testid="tee-change" data-field=${name}>
				${name}: ${shown(before)} → ${shown(now)}
			</div>`
	)}
	${
		verdict.accept
			? html`<button
					type="button"
					class="row link"
					data-testid="tee-accept"
					@click=${actions.accept}
				>
					${t('panel.accept')}
				</button>`
			: nothing
	}
`;

const workload: Section = (verdict, t, { model }) => workloadView(verdict, t, model);

/** What to do about what this browser keeps; most of it takes a look at that first. */
const keeping: Section = ({ remedies = [] }, t, { review, mend }) => {
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
const unsealed: Section = ({ forget }, t, actions) =>
	forget
		? html`
				<p data-testid="tee-unsealed">${t('panel.unsealed')}</p>
				<button type="button" class="row link" data-testid="tee-forget" @click=${actions.forget}>
					${t('panel.forget')}
				</button>
			`
		: nothing;

/** This server asked for more before: that it asks for less now may be somebody else's doing. */
const relaxing: Section = ({ proposed, stricter, relax }, t, actions) =>
	relax && proposed && stricter
		? html`
				<p data-testid="tee-stricter">${t('panel.stricter', t(`enforcement.${stricter}`))}</p>
				<button type="button" class="row link" data-testid="tee-relax" @click=${actions.relax}>
					${t('panel.relax', t(`enforcement.${proposed}`))}
				</button>
			`
		: nothing;

/** Times of a token are seconds since 1970: shown as the reader's time, and as they are. */
const fieldText = (name: string, value: unknown): string => {
	const text = shown(value);
	const time = new Date(Number(text) * 1000);
	const isTime = /^(exp|iat)$/.test(name) && !isNaN(time.getTime());
	return isTime ? `${time.toLocaleString()} (${text})` : text;
};

/** What failed its checks is not shown as if it were a measurement. */
const fields: Section = ({ fields, status }, t) => {
	if (status === 'red') return nothing;
	const known = Object.entries(fields).filter(([, value]) => value !== undefined);
	return rows(
		known,
		t,
		([name, value]) => html`
			<div class="row">
				<div class="muted">${shown(name)}</div>
				<div class="value whole" data-testid="tee-field" data-field=${name}>
					${fieldText(name, value)}
				</div>
			</div>
		`
	);
};

/** What a register proves; all else in a row, its kind included, is the machine's own word. */
const factView = (fact: string, t: Translate) => html`
	<b class="pass" role="img" aria-label=${t('panel.events.proven')}>${SIGNS.pass}</b>
	<span class="value" data-testid="tee-fact">${shown(fact)}</span>
`;

const events: Section = ({ events = [], status }, t) => {
	if (status === 'red' || events.length === 0) return nothing;
	return html`
		<details data-testid="tee-events">
			<summary class="muted">${t('panel.events')}</summary>
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
		</details>
	`;
};

const timeOfDay = (ms: number): string => new Date(ms).toLocaleTimeString();

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

/** What the panel shows of a verdict, from top to bottom. A new section is one more entry. */
const SECTIONS: readonly Section[] = [
	reason,
	provider,
	checks,
	unsealed,
	relaxing,
	keeping,
	workload,
	changes,
	fields,
	events
];

/** The panel's contents about a state; `extras` come last. */
export const panelView = (
	state: State,
	t: Translate,
	actions: Actions,
	extras: TemplateResult | typeof nothing
): TemplateResult => html`
	<div class="box" role="region" data-testid="tee-panel" aria-label=${t('settings.title')}>
		<button type="button" class="recheck" data-testid="tee-recheck" @click=${actions.recheck}>
			${t('panel.recheck')}
		</button>
		<div class="title strong">${t(labelOf(state, actions.model))}</div>
		${state.kind === 'done' && state.renewal ? renewalView(state.renewal, t) : nothing}
		${
			state.kind === 'done'
				? SECTIONS.map((section) => section(state.verdict, t, actions))
				: nothing
		}
		<p class="note muted">${t('panel.note')}</p>
		${extras}
	</div>
`;

export const panelStyles = css`
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
	.recheck {
		float: inline-end;
		margin-inline-start: 0.5rem;
		border-radius: 9999px;
		padding: 0.25rem 0.625rem;
		background: var(--soft);
	}
	.title {
		font-size: 0.875rem;
	}
	p {
		margin: 0;
	}
	ul {
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
	}
	/* one click selects it all */
	.whole {
		user-select: all;
		-webkit-user-select: all;
	}
	details,
	.note {
		margin-top: 0.5rem;
	}
	summary {
		cursor: pointer;
	}
`;
