import { html, nothing, type TemplateResult } from 'lit';
import { BOOT } from '../evidence/boot';
import type { AuditorsTranslate } from '../i18n/auditors';
import type { Translate } from '../i18n/texts';
import { parseLink, type Measured } from '../session/link';

/** How a value in the link compares with what was measured here, which may be nothing. */
const compare = (
	expected: string,
	measured: string | undefined
): 'same' | 'differs' | 'unknown' => {
	if (measured === undefined) return 'unknown';
	return measured === expected ? 'same' : 'differs';
};

/**
 * What the address says that somebody else measured, held against what this browser did; nothing where
 * it says nothing. Never in green: it is the word of whoever made the link.
 */
export const linkView = (
	fragment: string,
	measured: Measured | null,
	t: Translate,
	said: AuditorsTranslate
): TemplateResult | typeof nothing => {
	if (!fragment) return nothing;
	const link = parseLink(fragment);
	if (!link)
		return html`<p role="alert" data-testid="tee-link-refused">${said('link.refused')}</p>`;
	const rows = BOOT.map((name) => {
		const [expected, found] = [link.values[name], measured?.values[name]];
		return { name, expected, found, outcome: compare(expected, found) };
	});
	// Either all of them were measured, or none.
	const outcome = rows.find((row) => row.outcome !== 'same')?.outcome ?? 'same';
	return html`
		<section data-testid="tee-link" data-outcome=${outcome}>
			<div role=${outcome === 'differs' ? 'alert' : 'status'}>
				<h2 class=${outcome === 'differs' ? 'failed' : ''}>${said(`link.${outcome}`)}</h2>
			</div>
			<p class="muted">
				${t('settings.provider')}${t('check.colon')}${t(`provider.${link.provider}`)}
			</p>
			<ul>
				${rows.map(
					(row) => html`
						<li data-testid="tee-expected" data-field=${row.name} data-outcome=${row.outcome}>
							${row.name}${t('check.colon')}${said(`link.row.${row.outcome}`)}
							<div class="value" dir="ltr">
								${row.expected}${row.outcome === 'differs' ? ` → ${row.found}` : ''}
							</div>
						</li>
					`
				)}
			</ul>
		</section>
	`;
};
