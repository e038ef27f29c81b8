import { atom, onMount, type ReadableAtom } from 'nanostores';

const isDark = (): boolean => document.documentElement.classList.contains('dark');

const theme = atom(false);

/** Is open-webui's theme a dark one? It says so by a class of the root element. */
export const dark: ReadableAtom<boolean> = theme;

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
