import { html, nothing, type TemplateResult } from 'lit';
import type { TextKey } from '../../i18n/en';
import type { Translate } from '../../i18n/texts';
import type { Verdict } from '../../session/attest';
import { copyable } from '../copy';
import { fold, rows } from '../rows';
import { day, isolated } from '../words';
import { measurementName, measurementTitle } from './changes';
import { shown, type Section } from './section';

/** Where Intel says what a security advisory is about. */
const ADVISORIES = 'https://www.intel.com/content/www/us/en/security-center/advisory/';
const ADVISORY = /^INTEL-SA-\d{5}$/;

/** A name and a value. */
type Field = readonly [name: string, value: unknown];

const isMeasured = ([, value]: Field): boolean =>
	typeof value === 'string' && /^(?:[\da-f]{2}){8,}$/.test(value);
const isOfFirmware = ([name]: Field): boolean => /^(?:tcb_|advisory_ids)/.test(name);

/** The fields in groups: each goes into the first that takes it. */
const GROUPS: readonly { title: TextKey; takes: (field: Field) => boolean }[] = [
	{ title: 'panel.fields', takes: isMeasured },
	{ title: 'check.tcb-status', takes: isOfFirmware },
	{ title: 'panel.told', takes: () => true }
];

/** Times of a token are seconds since 1970: shown as the reader's time, and as they are. */
const fieldText = (name: string, value: unknown): string => {
	const text = shown(value);
	const time = new Date(Number(text) * 1000);
	const isTime = /^(exp|iat)$/.test(name) && !isNaN(time.getTime());
	return isTime ? `${isolated(time.toLocaleString())} (${text})` : text;
};

/** Advisories lead to Intel's own pages; whatever else stands there is text. */
const advisories = (text: string): (TemplateResult | string)[] =>
	text
		.split(/(\s+)/)
		.map((id) =>
			ADVISORY.test(id)
				? html`<a href=${`${ADVISORIES}${id}.html`} target="_blank" rel="noopener noreferrer"
						>${id}</a
					>`
				: id
		);

/** How a value stands to the one that is expected or remembered; empty where to none. */
const comparison = (name: string, { changes, compared }: Verdict, t: Translate) => {
	if (changes?.some(([changed]) => changed === name)) {
		return html`<span class="warn">! ${t('compared.changed')}</span>`;
	}
	if (!compared?.names.includes(name)) return nothing;
	const { since } = compared;
	const text = since === undefined ? t('compared.expected') : t('compared.since', day(since));
	return html`<span class="pass">✓ ${text}</span>`;
};

const valueView = ([name, value]: Field) => {
	const text = fieldText(name, value);
	return html`<span class="value whole" dir="ltr" data-testid="tee-field" data-field=${name}
		>${name.startsWith('advisory_ids') ? advisories(text) : text}</span
	>`;
};

const fieldView = (field: Field, verdict: Verdict, t: Translate): TemplateResult => {
	const [name, value] = field;
	const title = measurementName(name, t);
	return html`
		<div class="row">
			<div class="muted">${measurementTitle(name, t)} ${comparison(name, verdict, t)}</div>
			${isMeasured(field) ? copyable(valueView(field), String(value), title, t) : valueView(field)}
		</div>
	`;
};

/** What failed its checks is not shown as if it were a measurement. */
export const measurements: Section = (verdict, t) => {
	if (verdict.status === 'red') return nothing;
	let left: Field[] = Object.entries(verdict.fields).filter(([, value]) => value !== undefined);
	return html`${GROUPS.map(({ title, takes }) => {
		const own = left.filter(takes);
		left = left.filter((field) => !takes(field));
		return own.length > 0
			? fold(
					title,
					t,
					rows(own, t, (field) => fieldView(field, verdict, t)),
					'fields'
				)
			: nothing;
	})}`;
};
