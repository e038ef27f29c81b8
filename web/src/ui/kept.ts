import { html, nothing, type TemplateResult } from 'lit';
import type { TextKey } from '../i18n/en';
import type { Translate } from '../i18n/texts';
import type { Keeping, Remedy } from '../session/keeping';
import type { Parts } from './element';

/** Characters of a stored text that are shown: more than settings that can be read ever have. */
const TEXT_MAX = 1 << 20;

/** What is stored, laid out so that nothing hides behind blanks; as it is where it is no JSON. */
const laidOut = (text: string): string => {
	try {
		return JSON.stringify(JSON.parse(text), null, 1);
	} catch {
		return text;
	}
};

/** Do what a remedy does, and check again. */
export const mend = ({ session, settings }: Parts, remedy: Remedy): void => {
	session.mend(() => {
		remedy.apply();
		settings.reload();
	});
};

/** A button for each of these remedies. */
export const remedyButtons = (
	remedies: readonly Remedy[],
	t: Translate,
	act: (remedy: Remedy) => void
): TemplateResult[] =>
	remedies.map(
		(remedy) => html`
			<div class="row">
				<button
					type="button"
					class="link"
					data-testid="tee-${remedy.name}"
					@click=${() => {
						act(remedy);
					}}
				>
					${t(`settings.${remedy.name}`)}
				</button>
			</div>
		`
	);

/** What is stored and was not put there by the kit, and what the person can do about that. */
export const keptView = (
	{ unmarked = [], remedies = [] }: Keeping,
	t: Translate,
	act: (remedy: Remedy) => void
): TemplateResult | typeof nothing => {
	if (remedies.length === 0) return nothing;
	const area = (label: TextKey, id: string, name: string, text: string | null) => html`
		<label>
			${t(label, name)}
			<textarea
				class="text"
				data-testid=${id}
				data-name=${name}
				rows="5"
				readonly
				spellcheck="false"
				.value=${text === null ? t('settings.nothing') : laidOut(text).slice(0, TEXT_MAX)}
			></textarea>
		</label>
	`;
	// Whoever wrote the one may have written the other: nothing is put back unseen.
	const restorable = remedies.some(({ name }) => name === 'restore');
	const texts = unmarked.map(
		({ name, text, mark }) => html`
			${area('settings.stored', 'tee-stored', name, text)}
			${restorable ? area('settings.confirmed', 'tee-confirmed', name, mark ?? null) : nothing}
		`
	);
	return html`<div data-testid="tee-kept">${texts} ${remedyButtons(remedies, t, act)}</div>`;
};
