import { html, nothing, type TemplateResult } from 'lit';
import type { Fact } from '../evidence/facts';
import { STORES, READING } from '../evidence/statement';
import { judgeModel, type Chosen, type Note } from '../policy/notes';
import type { Translate } from '../i18n/texts';
import type { Verdict } from '../session/attest';
import type { Difference } from '../session/workload-memory';
import { fold, rows } from './rows';
import { day, named } from './words';

/** Rows of a list from outside. */
const ROWS_MAX = 50;

const SIGNS: Record<Note['level'], string> = { ok: '✓', amber: '!', info: '–' };
const CLASSES: Record<Note['level'], string> = { ok: 'pass', amber: 'warn', info: 'skipped' };

/** Names of the kit's own in words; anybody else's as they are. */
const ownName = (name: string, t: Translate): string => {
	const keys = [
		...STORES.map((store) => [store, `store.${store}`] as const),
		...READING.map((one) => [one, `people.${one}`] as const)
	];
	const key = keys.find(([own]) => own === name)?.[1];
	return key ? t(key) : named(name);
};

const at = (address = ''): string => (address ? ` → ${named(address)}` : '');

/** What a note is about. */
const subjectOf = (note: Note, t: Translate): string | number => {
	const { what, name, names, where, why, kind, address, digest, count } = note;
	if (names) {
		const more = (count ?? 0) - names.length;
		return `${names.map(named).join(', ')}${more > 0 ? ` +${more}` : ''}${at(address)}`;
	}
	if (count !== undefined) return count;
	if (what !== undefined) {
		const parts = [
			named(what),
			name && named(name),
			digest && named(digest),
			where && `(${where})`
		];
		return parts.filter(Boolean).join(' ') + at(address);
	}
	// Only notes on people and places have a name alone.
	if (name !== undefined) return ownName(name, t) + (kind ? ` (${named(kind)})` : '');
	return named(why ?? '');
};

const line = (level: Note['level'], code: string, text: string) => html`
	<div class="row" data-testid="tee-note" data-code=${code} data-level=${level}>
		<b class=${CLASSES[level]} aria-hidden="true">${SIGNS[level]}</b> ${text}
	</div>
`;

const differenceText = ({ code, what, name, since }: Difference, t: Translate): string => {
	const words = t(`difference.${code}`, day(since));
	if (code === 'not-remembered') return words;
	const isOwn = what === 'storage' || what === 'people';
	const subject = isOwn ? ownName(name, t) : name && named(name);
	return `${[named(what), subject].filter(Boolean).join(' ')}: ${words}`;
};

/** Is what the server states something else than what its own log says? */
const isRefuted = ({ checks }: Verdict): boolean =>
	checks.some(({ code }) => code === 'measured-mismatch');

/** What differs from what this browser remembers, each in words. */
export const differencesOf = (
	verdict: Verdict,
	t: Translate
): { code: Difference['code']; text: string }[] =>
	((!isRefuted(verdict) && verdict.workload?.differences) || []).map((difference) => ({
		code: difference.code,
		text: differenceText(difference, t)
	}));

const NAMES = ['name', 'id', 'server', 'version', 'type'];

const factView = ({ kind, content }: Fact) => {
	const text = (name: string): string => {
		const value = content[name];
		return typeof value === 'string' ? named(value) : '';
	};
	const words = [kind, ...NAMES.map(text)].filter(Boolean).join(' ');
	return html`
		<div class="row" data-testid="tee-measured" data-kind=${kind}>
			${words} <span class="value">${text('digest')}</span>
		</div>
	`;
};

/** Where the model in use is, or the one that counts beside it. */
export const chosenText = (
	model: string,
	{ code, address, what }: Chosen,
	t: Translate
): string => {
	const name = what === 'model' ? named(model) : `${named(model)}, ${what}`;
	return t(`chosen.${code}`, name + at(address));
};

/**
 * What runs there in words, with what was measured behind a fold; nothing where the log says
 * otherwise than the statement.
 */
export const workloadView = (
	verdict: Verdict,
	t: Translate,
	model: string | null
): TemplateResult | typeof nothing => {
	const { workload } = verdict;
	if (!workload || isRefuted(verdict)) return nothing;
	const { notes, facts, proven } = workload;
	const chosen = model === null ? undefined : judgeModel(workload.sections, model);
	return html`
		<section class="part" data-testid="tee-workload" aria-label=${t('panel.workload')}>
			<h3>${t('panel.workload')}</h3>
			${
				chosen && model !== null
					? line(chosen.level, chosen.code, chosenText(model, chosen, t))
					: nothing
			}
			${rows(
				notes,
				t,
				(note) => line(note.level, note.code, t(`note.${note.code}`, subjectOf(note, t))),
				ROWS_MAX
			)}
			${
				facts.length > 0
					? fold(
							'panel.measured',
							t,
							html`
								<p class="muted">${t(proven ? 'panel.measured.proof' : 'panel.measured.word')}</p>
								${rows(facts, t, factView, ROWS_MAX)}
							`,
							'facts'
						)
					: nothing
			}
		</section>
	`;
};
