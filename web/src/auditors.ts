/** The page for auditors, `/tee`: it has the page's piece, as the app's pages do, and its own element. */
import { auditorsIn } from './i18n/auditors';
import { parts, spoken } from './page';
import { isDarkTheme } from './ui/theme';
import { TrustPage } from './ui/trust-page';

const root = document.documentElement;
const scheme = matchMedia('(prefers-color-scheme: dark)');

const storedTheme = (): string | null => {
	try {
		return localStorage.getItem('theme');
	} catch {
		return null; // where storage is forbidden, even its name throws
	}
};

/** As the app would look, which is not here to say so. */
const wearTheme = (): void => {
	root.classList.toggle('dark', isDarkTheme(storedTheme(), scheme.matches));
};
wearTheme();
scheme.addEventListener('change', wearTheme);

customElements.define('cczoo-trust-page', TrustPage);
const main = document.querySelector('main');
const { certificate } = main?.dataset ?? {};
main?.replaceChildren(Object.assign(new TrustPage(), { parts, certificate }));

// Not before: by its `lang` the app says in what language the page is to speak.
void spoken.then(() =>
	parts.texts.subscribe(({ language, direction }) => {
		if (root.lang !== language) root.lang = language;
		root.dir = direction;
		document.title = auditorsIn(language)('page.title', location.host);
	})
);
