import { describe, expect, it, vi } from 'vitest';
import { REASONS } from '../../src/base/reasons';
import { BROKEN, brokenIn } from '../../src/i18n/broken';
import { LANGUAGES } from '../../src/i18n/catalogues';
import en, { type Catalogue } from '../../src/i18n/en';
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
		expect(t('settings.trust', '$& {0}')).toBe('Trust $& {0}');
		expect(t('panel.more', 7)).toBe('7 more are not shown.');
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

	it('give the loader’s own text for any tag', () => {
		for (const tag of ['en', 'en-US', '', 'fr', '__proto__']) expect(brokenIn(tag)).toBe(BROKEN.en);
	});
});
