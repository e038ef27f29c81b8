import { atom, onMount, type ReadableAtom } from 'nanostores';

const isDark = (): boolean => document.documentElement.classList.contains('dark');

const theme = atom(false);

/** Is open-webui's theme a dark one? It says so by a class of the root element. */
export const dark: ReadableAtom<boolean> = theme;

/**
 * Is this theme, as open-webui stores its name, a dark one? Its own page decides so (app.html).
 *
 * @param system Does the browser prefer dark?
 */
export const isDarkTheme = (name: string | null, system: boolean): boolean =>
	!name || name === 'system' ? system : name !== 'light' && name !== 'her';

onMount(theme, () => {
	const follow = () => {
		theme.set(isDark());
	};
	const observer = new MutationObserver(follow);
	observer.observe(document.documentElement, { attributeFilter: ['class'] });
	follow();
	return () => {
		observer.disconnect();
	};
});
