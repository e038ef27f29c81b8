/**
 * The app's search for settings goes by texts of its own, so it finds none of ours: a line below its
 * field does, and leads there.
 */
import type { ReadableAtom } from 'nanostores';
import type { Texts } from '../i18n/texts';
import { openGeneral } from './general';

/** The field, in one version or another. */
const FIELD = '#search-input-settings-modal, #settings-search input';
/** Characters that say what somebody looks for, at least and at most. */
const SOUGHT_MIN = 2;
const SOUGHT_MAX = 200;

/** Show that line for as long as what is sought is ours. */
export const findInSearch = (page: Document, texts: ReadableAtom<Texts>): void => {
	const line = page.createElement('button');
	line.type = 'button';
	line.dataset.testid = 'tee-found';
	line.style.cssText = 'padding: 4px 8px; font-size: 12px; text-align: start; cursor: pointer';

	const isOurs = (value: string): boolean => {
		const { t } = texts.get();
		const ours = `${t('settings.title')} ${t('settings.keywords')}`.toLowerCase();
		const sought = value.slice(0, SOUGHT_MAX).trim().toLowerCase();
		return sought.length >= SOUGHT_MIN && sought.split(/\s+/).every((word) => ours.includes(word));
	};

	page.addEventListener(
		'input',
		({ target }) => {
			if (!(target instanceof HTMLInputElement && target.matches(FIELD))) return;
			if (!isOurs(target.value)) {
				line.remove();
				return;
			}
			line.textContent = texts.get().t('settings.title');
			line.onclick = () => {
				line.remove();
				target.value = '';
				target.dispatchEvent(new Event('input', { bubbles: true }));
				void openGeneral(page, true);
			};
			(target.closest('#settings-search') ?? target.parentElement)?.after(line);
		},
		{ capture: true }
	);
};
