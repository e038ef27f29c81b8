import type { InEach } from './catalogues';
import { nearest } from './tags';

/**
 * What the worker says where this origin gave sealed connections before, and now has nothing of the
 * kit: in each language that has a catalogue.
 */
export interface RevertedWords {
	title: string;
	text: string;
	forget: string;
}

export const REVERTED = {
	en: {
		title: 'The sealed connection is gone',
		text: 'This browser talked to this address by a sealed connection before. Now the address offers none, so nothing was sent to it. Whoever runs it may have removed the trust badge; then you can go on without it. If nobody told you so, somebody may be reading along: do not go on.',
		forget: 'Forget the sealed connection and go on without it'
	},
	'zh-hans': {
		title: '密封连接不见了',
		text: '此浏览器以前与这个地址之间是密封连接。现在这个地址不再提供，所以没有向它发送任何内容。可能是运营者移除了信任徽章，那么您可以不用它继续；如果没有人告诉过您，就可能有人正在偷看：请不要继续。',
		forget: '忘掉密封连接，不用它继续'
	}
} as const satisfies InEach<RevertedWords>;

/** Those words in the language of the first of these tags (BCP 47) that has them, or in English. */
export const revertedIn = (tags: readonly string[]): RevertedWords => {
	const names = tags.map((tag) => nearest(REVERTED, tag));
	return REVERTED[names.find((name) => name !== undefined) ?? 'en'];
};
