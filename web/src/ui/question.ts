/** What stands over the page while its requests wait for the person, or are refused. */
import type { ReadableAtom } from 'nanostores';
import { refusalIn } from '../i18n/refusals';
import { isText, type Texts } from '../i18n/texts';
import type { ChosenModels } from '../session/chosen';
import { NO_KEY, type Decision, type Gate } from '../transport/gate';
import { chosenText } from './workload';

const OVER = `position: fixed; inset: 0; z-index: 2147483646; display: flex; justify-content: center;
	font: 14px/1.5 sans-serif`;
/** The page waits for an answer, */
const ASKING = `${OVER}; align-items: center; background: #0008`;
/** or can be used as far as it goes without the server: its badge says more. */
const REFUSING = `${OVER}; align-items: start; pointer-events: none`;
const BOX = `max-width: 34em; max-height: 80vh; overflow: auto; margin: 1em; padding: 1.5em;
	border-radius: 1em; background: #fff; color: #222; box-shadow: 0 0 1em #0006; pointer-events: auto`;

export const BADGE = 'cczoo-trust-badge';

type Asked = Extract<Decision, { kind: 'ask' }>;

/**
 * Show it whenever the gate decides so, and take it away when it decides otherwise.
 *
 * @param acts `forget` is what the person does where this origin was sealed before, and is not now;
 *   `badge` puts one into a place, as an app that gets no answer has none to show.
 */
export const showQuestion = (
	page: Document,
	gate: Pick<Gate<unknown>, 'view' | 'hear' | 'confirm'>,
	texts: ReadableAtom<Texts>,
	{ forget, badge }: { forget: () => Promise<void>; badge: (place: HTMLElement) => void }
): void => {
	/** In a shadow root, out of reach of the app's styles. */
	const host = page.createElement('div');
	const root = host.attachShadow({ mode: 'open' });
	let shown = '';

	const say = (tag: 'h2' | 'p' | 'li' | 'ul' | 'button', text: string): HTMLElement => {
		const element = page.createElement(tag);
		element.textContent = text;
		return element;
	};

	const button = (text: string, name: string, act: () => void): HTMLElement => {
		const element = say('button', text);
		element.dataset.testid = name;
		element.onclick = act;
		return element;
	};

	/** In a person's words, where there are some. */
	const sentence = (cause: string): string => {
		const { t } = texts.get();
		const [id = '', code = ''] = cause.split(':');
		const inWords = (key: string, other: string) => (isText(key) ? t(key) : other);
		return inWords(`check.${id}`, id) + t('check.colon') + inWords(`reason.${code}`, code);
	};

	const question = (asked: Asked): HTMLElement[] => {
		const { t } = texts.get();
		const list = say('ul', '');
		list.append(...asked.causes.map((cause) => say('li', sentence(cause))));
		return [
			say('h2', t(asked.failed ? 'gate.failed' : 'gate.warned')),
			list,
			say('p', t(asked.causes.includes(NO_KEY) ? 'gate.plain' : 'gate.sealed')),
			button(t('gate.confirm'), 'tee-confirm', () => {
				gate.confirm(asked);
			})
		];
	};

	const refusal = (reason: Extract<Decision, { kind: 'refuse' }>['reason']): HTMLElement[] => {
		const { t, language } = texts.get();
		const parts = [say('h2', t('gate.refused')), say('p', refusalIn(language, reason))];
		if (!page.querySelector(BADGE)) {
			const place = page.createElement('div');
			badge(place);
			parts.push(place);
		}
		if (reason !== 'no-way-back') return parts;
		parts.push(say('p', t('panel.unsealed')));
		parts.push(button(t('panel.forget'), 'tee-forget-sealed', () => void forget()));
		return parts;
	};

	const show = (): void => {
		const { decision, waiting } = gate.view;
		const isAsked = decision.kind === 'ask' && waiting > 0;
		const wanted = isAsked || decision.kind === 'refuse' ? JSON.stringify(decision) : '';
		if (wanted === shown) return;
		shown = wanted;
		if (decision.kind !== 'ask' && decision.kind !== 'refuse') {
			host.remove();
			return;
		}
		const cover = page.createElement('div');
		cover.dataset.testid = 'tee-question';
		cover.style.cssText = decision.kind === 'ask' ? ASKING : REFUSING;
		const box = page.createElement('div');
		box.setAttribute('role', 'alertdialog');
		box.style.cssText = BOX;
		box.append(...(decision.kind === 'ask' ? question(decision) : refusal(decision.reason)));
		cover.append(box);
		root.replaceChildren(cover);
		page.documentElement.append(host);
	};
	gate.hear(show);
	texts.listen(() => {
		shown = '';
		show();
	});
	show();
};

/** Ask about a model that does not run inside, as often as one is asked about. */
export const showModelQuestion = (
	page: Document,
	{ asked, answer }: Pick<ChosenModels, 'asked' | 'answer'>,
	texts: ReadableAtom<Texts>
): void => {
	const host = page.createElement('div');
	const root = host.attachShadow({ mode: 'open' });

	const add = (box: HTMLElement, tag: 'p' | 'button', text: string): HTMLElement => {
		const element = page.createElement(tag);
		element.textContent = text;
		box.append(element);
		return element;
	};

	const show = (): void => {
		const about = asked.get();
		if (!about) {
			host.remove();
			return;
		}
		const { t } = texts.get();
		const cover = page.createElement('div');
		cover.dataset.testid = 'tee-model-question';
		cover.style.cssText = ASKING;
		const box = page.createElement('div');
		box.setAttribute('role', 'alertdialog');
		box.style.cssText = BOX;
		add(box, 'p', chosenText(about.model, about.chosen, t));
		add(box, 'p', t('chosen.question'));
		for (const yes of [true, false]) {
			const button = add(box, 'button', t(yes ? 'gate.confirm' : 'chosen.decline'));
			button.dataset.testid = yes ? 'tee-model-confirm' : 'tee-model-decline';
			button.onclick = () => {
				answer(yes);
			};
		}
		cover.append(box);
		root.replaceChildren(cover);
		page.documentElement.append(host);
	};
	asked.listen(show);
	texts.listen(show);
};
