/**
 * What a policy asks for, one line for each of its members by the names of the schema: those that it has, and
 * the defaults.
 */
import { html, nothing, type TemplateResult } from 'lit';
import { asText, isObject } from '../base/json';
import type { Translate } from '../i18n/texts';
import { DEFAULT_POLICY, parsePolicy, type Policy } from '../policy/policy';
import { named } from './words';

/** Values of a list that are written out, and the longest of them; else it is told how many there are. */
const LISTED_MAX = 8;
const WORD_MAX = 40;

const listText = (items: readonly unknown[]): string => {
	const words = items.map(String);
	const isShort = words.length <= LISTED_MAX && words.every((word) => word.length <= WORD_MAX);
	return isShort ? words.map(named).join(', ') : `(${words.length})`;
};

/** A value in words: what a list, a rule or a member inside has. */
const valueText = (value: unknown): string => {
	if (Array.isArray(value)) return listText(value);
	if (!isObject(value)) return value === undefined ? '' : named(asText(value));
	return Object.entries(value)
		.map(([name, inside]) => `${named(name)}: ${valueText(inside)}`)
		.join('; ');
};

/** The policy in force where this is its text; undefined where it is none. */
const policyIn = (text: string): Policy | undefined => {
	try {
		return text ? parsePolicy(text) : DEFAULT_POLICY;
	} catch {
		return undefined;
	}
};

/** What the stored policy asks for; of one that is wrong the form says so. */
export const policySummary = (text: string, t: Translate): TemplateResult | typeof nothing => {
	const policy = policyIn(text);
	if (!policy) return nothing;
	const lines = Object.entries(policy).flatMap(([name, value]) => {
		const words = valueText(value);
		return words ? [html`<li>${named(name)}${t('check.colon')}${words}</li>`] : [];
	});
	return html`
		<details data-testid="tee-demands">
			<summary>${t('settings.demands')}</summary>
			<ul>
				${lines}
			</ul>
		</details>
	`;
};
