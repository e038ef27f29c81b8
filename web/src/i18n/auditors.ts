/** What only the page for auditors says, in each language that has a catalogue: it comes with that page. */
import type { InEach } from './catalogues';
import { nearest } from './tags';
import { translator } from './texts';

const en = {
	'page.title': 'Remote attestation of {0}',
	'page.sign-in': 'Sign in',
	'page.share': 'Link to share',
	'page.share.how':
		'Whoever opens it sees whether they measure the same. What stands after # stays in the browser.',

	'page.certificate': 'The certificate of this server’s HTTPS',
	'page.certificate.how':
		'This is its SHA-256 fingerprint, by the server’s own word. Before the address your browser shows the one that it was given. If the two differ, HTTPS ends at a proxy, or at somebody who should not be there: what goes sealed they do not read.',

	'link.refused':
		'What stands after # in the address is no link that this page makes. Nothing of it was used.',
	'link.differs': 'This server differs from what the link says.',
	'link.same': 'This server is as the link says; that is worth as much as whoever made the link.',
	'link.unknown': 'Nothing has been measured yet that could be compared with the link.',
	'link.row.same': 'as in the link',
	'link.row.differs': 'differs (in the link → measured here)',
	'link.row.unknown': 'not measured'
} as const;

export type AuditorsKey = keyof typeof en;

export const AUDITORS = {
	en,
	'zh-hans': {
		'page.title': '{0} 的远程证明',
		'page.sign-in': '登录',
		'page.share': '分享链接',
		'page.share.how': '打开它的人会看到自己的度量结果是否相同。# 之后的内容只留在浏览器中。',

		'page.certificate': '这台服务器的 HTTPS 证书',
		'page.certificate.how':
			'这是服务器自己所说的证书 SHA-256 指纹。浏览器会在地址前面显示它实际收到的证书的指纹。如果两者不同，说明 HTTPS 止于某个代理，或者止于不该在那里的人：密封的内容，他们读不到。',

		'link.refused': '地址中 # 之后的内容不是本页生成的链接，其中的任何内容都没有采用。',
		'link.differs': '这台服务器与链接所说的不同。',
		'link.same': '这台服务器与链接所说的相同；这有多可信，取决于生成链接的人有多可信。',
		'link.unknown': '还没有可与链接比较的度量结果。',
		'link.row.same': '与链接相同',
		'link.row.differs': '不同（链接中 → 此处度量）',
		'link.row.unknown': '未度量'
	}
} as const satisfies InEach<Record<AuditorsKey, string>>;

/** Such a text; the values stand where it says {0}, {1} and so on. */
export type AuditorsTranslate = (key: AuditorsKey, ...values: (string | number)[]) => string;

/** What reads them in the language of this tag (BCP 47), or in English. */
export const auditorsIn = (tag: string): AuditorsTranslate =>
	translator<AuditorsKey>(AUDITORS[nearest(AUDITORS, tag) ?? 'en']);
