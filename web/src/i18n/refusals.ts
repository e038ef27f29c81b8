/** Why a request is refused, in each language that has a catalogue: the app shows it as an error. */
import type { Refusal } from '../transport/gate';
import type { InEach } from './catalogues';
import { nearest } from './tags';

export const REFUSALS = {
	en: {
		'key-refuted':
			'Nothing was sent: the key that this server names is not the one that its hardware vouches for.',
		clock:
			'Nothing was sent: this computer’s clock and this server’s differ, so its keys cannot be checked. Compare yours with a clock that you trust.',
		'no-way-back':
			'Nothing was sent: this browser talked to this server by a sealed connection before, and the server offers none now.',
		blocked: 'Nothing was sent: the check of this server failed.',
		'blocked-warned':
			'Nothing was sent: this server was verified with warnings only, and that is not enough here.',
		'blocked-off':
			'Nothing was sent: the check of this server is switched off, and here nothing goes unchecked. Switch it on in the settings.',
		undecided: 'Nothing was sent: the check of this server came to no result in time.',
		crowded: 'Nothing was sent: too many requests wait for the check of this server.',
		model: 'Nothing was sent: the model in use does not run inside.'
	},
	'zh-hans': {
		'key-refuted': '没有发送任何内容：这台服务器所示的密钥，不是它的硬件所担保的密钥。',
		clock:
			'没有发送任何内容：这台电脑的时钟与服务器的时钟不一致，因此无法检查它的密钥。请与您信任的时钟核对。',
		'no-way-back':
			'没有发送任何内容：此浏览器以前与这台服务器之间是密封连接，而现在服务器不再提供。',
		blocked: '没有发送任何内容：对这台服务器的检查没有通过。',
		'blocked-warned': '没有发送任何内容：这台服务器虽已验证，但有警告，而这里要求不得有警告。',
		'blocked-off':
			'没有发送任何内容：对这台服务器的检查已关闭，而这里不允许未经检查就发送。请在设置中开启检查。',
		undecided: '没有发送任何内容：对这台服务器的检查没有及时得出结果。',
		crowded: '没有发送任何内容：等待检查这台服务器的请求太多。',
		model: '没有发送任何内容：所用的模型不在内部运行。'
	}
} as const satisfies InEach<Record<Refusal, string>>;

/** That sentence in the language of this tag (BCP 47), or in English. */
export const refusalIn = (tag: string, reason: Refusal): string =>
	REFUSALS[nearest(REFUSALS, tag) ?? 'en'][reason];
