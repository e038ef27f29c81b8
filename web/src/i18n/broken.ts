import { nearest } from './tags';

/**
 * What the loader says where nothing else of the page comes: the one text that it has itself, in
 * each language that has a catalogue.
 */
export const BROKEN = {
	en: 'The check itself broke; reload the page.',
	'zh-hans': '检查本身出错了；请重新加载页面。'
} as const;

/** That text in the language of this tag (BCP 47), or in English. */
export const brokenIn = (tag: string): string => BROKEN[nearest(BROKEN, tag) ?? 'en'];
