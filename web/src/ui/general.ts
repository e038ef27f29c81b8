/** The app's Settings, General, by the ways that the app itself has for people. */

/** The keys that open the settings in every version, unless somebody switched them off. */
const KEYS = { key: '.', code: 'Period', ctrlKey: true, bubbles: true, cancelable: true };
/** The tab, where a version says which it is; 0.5.20 has it first. */
const TAB = '[aria-controls="tab-general"], #settings-tabs-container > button:not([role])';
const PLACED = '[data-tee-place="settings"] > cczoo-trust-settings';

/** How often it is looked whether they have opened, and the pause between, in milliseconds. */
const LOOKS = 40;
const PAUSE = 50;

const isShown = (page: Document): boolean => {
	const places = [...page.querySelectorAll(PLACED)];
	// Our tag in a model's answer stays empty.
	const filled = places.find(({ shadowRoot }) => shadowRoot?.querySelector('.frame'));
	filled?.scrollIntoView({ block: 'nearest' });
	return filled !== undefined;
};

/**
 * Have our settings on show there; false where they do not come.
 *
 * @param isOpen Are the app's settings open, on whatever tab?
 */
export const openGeneral = async (page: Document, isOpen = false): Promise<boolean> => {
	if (!isOpen) page.dispatchEvent(new KeyboardEvent('keydown', KEYS));
	for (let look = 0; look < LOOKS; look += 1) {
		if (isShown(page)) return true;
		page.querySelector<HTMLElement>(TAB)?.click();
		await new Promise((resolve) => setTimeout(resolve, PAUSE));
	}
	return isShown(page);
};
