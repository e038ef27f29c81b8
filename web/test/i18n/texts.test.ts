import { describe, expect, it, vi } from 'vitest';
import { REASONS } from '../../src/base/reasons';
import { AUDITORS, auditorsIn } from '../../src/i18n/auditors';
import { BROKEN, brokenIn } from '../../src/i18n/broken';
import { LANGUAGES } from '../../src/i18n/catalogues';
import en, { type Catalogue } from '../../src/i18n/en';
import { REFUSALS, refusalIn } from '../../src/i18n/refusals';
import { REVERTED, revertedIn } from '../../src/i18n/reverted';
import { createTexts, translator } from '../../src/i18n/texts';

/** A catalogue in which every text is marked as of this language. */
const catalogue = (language: string) => {
	const texts = Object.entries(en).map(([key, text]) => [key, `${language}: ${text}`]);
	return { default: Object.fromEntries(texts) as Catalogue };
};

const speakers = () => {
	const load = vi.fn((language: string) => Promise.resolve(catalogue(language)));
	const texts = createTexts({
		zh: { direction: 'ltr', load: () => load('zh') },
		'zh-tw': { direction: 'ltr', load: () => load('zh-tw') },
		ar: { direction: 'rtl', load: () => load('ar') },
		xx: { direction: 'rtl', load: () => Promise.reject(new Error('not there')) }
	});
	const shown = () => {
		const { language, direction, t } = texts.state.get();
		return [language, direction, t('state.red')];
	};
	return { ...texts, load, shown };
};

const ENGLISH = ['en', 'ltr', 'Not verified'];

describe('the texts', () => {
	it('put a value in as it is', () => {
		const t = translator(en);
		expect(t('settings.trust', '$& {0}')).toBe('Believe $& {0} from now on');
		expect(t('panel.more', 7)).toBe('7 more are not shown.');
		expect(t('summary.checked', '{1}', 'now', 'then')).toBe(
			'{1} checked this on now; it holds until then.'
		);
	});

	it('are English from the start, and another language when its catalogue has come', async () => {
		const { speak, shown } = speakers();
		expect(shown()).toEqual(ENGLISH);
		await speak('zh-CN');
		expect(shown()).toEqual(['zh', 'ltr', 'zh: Not verified']);
		await speak('ar');
		expect(shown()).toEqual(['ar', 'rtl', 'ar: Not verified']);
		await speak('en-GB');
		expect(shown()).toEqual(ENGLISH);
	});

	it('take the nearest language of a tag, however it is written', async () => {
		const { speak, shown } = speakers();
		for (const [tag, language] of [
			['zh_TW', 'zh-tw'],
			['ZH-Hant-TW', 'zh'],
			['zh-TW-x-private', 'zh-tw']
		] as const) {
			await speak(tag);
			expect(shown()[0]).toBe(language);
		}
	});

	it.each(['', 'fr', 'constructor', '__proto__', 'zhx', '-', 'x'.repeat(10_000), 'xx'])(
		'fall back to English: %.20s',
		async (tag) => {
			const { speak, shown, load } = speakers();
			await speak('ar');
			await speak(tag);
			expect(shown()).toEqual(ENGLISH);
			expect(load).toHaveBeenCalledTimes(1);
		}
	);

	it('are those of the last call, whichever catalogue comes last', async () => {
		let arrive: (value: ReturnType<typeof catalogue>) => void = () => undefined;
		const late = new Promise<ReturnType<typeof catalogue>>((resolve) => (arrive = resolve));
		const { state, speak } = createTexts({
			zh: { direction: 'ltr', load: () => late },
			ar: { direction: 'rtl', load: () => Promise.resolve(catalogue('ar')) }
		});
		const first = speak('zh');
		await speak('ar');
		arrive(catalogue('zh'));
		await first;
		expect(state.get().language).toBe('ar');
	});
});

describe('the catalogues', () => {
	it('have a text for every reason', () => {
		const missing = Object.keys(REASONS).filter((code) => !Object.hasOwn(en, `reason.${code}`));
		expect(missing).toEqual([]);
	});

	it('exist for each language, with the loader’s own text', async () => {
		expect(Object.keys(BROKEN).sort()).toEqual(['en', ...Object.keys(LANGUAGES)].sort());
		for (const { load } of Object.values(LANGUAGES)) {
			const { default: texts } = await load();
			expect(Object.keys(texts).sort()).toEqual(Object.keys(en).sort());
		}
	});

	const texts = async () => {
		const loaded = Object.values(LANGUAGES).map(async ({ load }) => (await load()).default);
		return Promise.all(loaded);
	};
	const entries = Object.entries(en) as [keyof Catalogue, string][];

	it('have the same place for a value, or none, and no text that is empty or endless', async () => {
		const all = (await texts()).map((catalogue) => ({ ...AUDITORS['zh-hans'], ...catalogue }));
		for (const catalogue of all) {
			for (const [key, text] of Object.entries({ ...AUDITORS.en, ...en })) {
				const said = catalogue[key as keyof typeof catalogue];
				expect([key, said.match(/\{.*?\}/g)]).toEqual([key, text.match(/\{.*?\}/g)]);
				expect([key, said.length > 0 && said.length <= 2 * text.length + 10]).toEqual([key, true]);
			}
		}
	});

	it('leave no English in Chinese but names', async () => {
		const names =
			/\{0\}|python -m cczoo_backend --https|SHA-256|https:\/\/example\.com|https?:\/\/|60\/minute|“off”|“?iframe Sandbox Allow Same Origin”?|Terminal Preview Allow Same Origin|\b(Intel|TDX|TCB|TEE_RELAY|Quote|HTTPS|CORS|PCCS|CA|PEM|JWK Set|JWK|JSON|Python|Redis|CoCo Trustee|Trustee|open-webui|cczoo-verify|iframe)\b/g;
		const { default: chinese } = await LANGUAGES['zh-hans'].load();
		const all = [
			...Object.values(chinese),
			...Object.values(AUDITORS['zh-hans']),
			BROKEN['zh-hans'],
			...Object.values(REFUSALS['zh-hans']),
			...Object.values(REVERTED['zh-hans'])
		];
		for (const text of all) {
			const rest = text.replace(names, '');
			expect([text, /[A-Za-z]|[!?;]|\p{Script=Han}[,.:]/u.test(rest)]).toEqual([text, false]);
		}
		const same = entries.filter(([key, text]) => chinese[key] === text).map(([key]) => key);
		expect(same).toEqual(['provider.trustee']);
	});

	it('come by the script of a tag’s language, and no other script stands in for it', async () => {
		const { state, speak } = createTexts();
		for (const tag of ['zh', 'zh-CN', 'zh_CN', 'zh-SG', 'zh-Hans-HK', 'ZH-hans']) {
			await speak(tag);
			expect([tag, state.get().language]).toEqual([tag, 'zh-hans']);
			expect(state.get().t('settings.title')).toBe('远程证明');
			expect(brokenIn(tag)).toBe(BROKEN['zh-hans']);
			expect(refusalIn(tag, 'blocked')).toBe(REFUSALS['zh-hans'].blocked);
			expect(revertedIn([tag, 'en'])).toBe(REVERTED['zh-hans']);
			expect(auditorsIn(tag)('page.title', '{1}')).toBe('{1} 的远程证明');
		}
		for (const tag of ['zh-TW', 'zh-Hant', 'zh-HK', 'zh-MO']) {
			await speak(tag);
			expect([tag, state.get().language]).toEqual([tag, 'en']);
			expect(auditorsIn(tag)('page.share')).toBe('Link to share');
		}
		expect(revertedIn(['fr', 'zh-CN', 'en'])).toBe(REVERTED['zh-hans']);
		expect(revertedIn(['en-GB', 'zh-CN'])).toBe(REVERTED.en);
		expect(revertedIn([])).toBe(REVERTED.en);
	});

	it('give the loader’s own text for any tag', () => {
		for (const tag of ['en', 'en-US', '', 'fr', '__proto__']) expect(brokenIn(tag)).toBe(BROKEN.en);
	});
});
