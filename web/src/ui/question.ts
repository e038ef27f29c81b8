/** What stands over the page while its requests wait for the person, or are refused. */
import type { ReadableAtom } from 'nanostores';
import { refusalIn } from '../i18n/refusals';
import type { Texts } from '../i18n/texts';
import type { ChosenModels } from '../session/chosen';
import { NO_KEY, type Decision, type Gate } from '../transport/gate';
import { button, Cover, say } from './cover';
import { causeIn } from './words';
import { chosenText } from './workload';

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
	const cover = new Cover(page, 'tee-question');
	let shown = '';
	/** The refusal that the person has read. */
	let read = '';

	const question = (asked: Asked): HTMLElement[] => {
		const { t } = texts.get();
		const list = say(page, 'ul', '');
		list.append(...asked.causes.map((cause) => say(page, 'li', causeIn(cause, t))));
		return [
			say(page, 'h2', t(asked.failed ? 'gate.failed' : 'gate.warned')),
			list,
			say(page, 'p', t(asked.causes.includes(NO_KEY) ? 'gate.plain' : 'gate.sealed')),
			button(page, t('gate.confirm'), 'tee-confirm', () => {
				gate.confirm(asked);
			})
		];
	};

	const refusal = (reason: Extract<Decision, { kind: 'refuse' }>['reason']): HTMLElement[] => {
		const { t, language } = texts.get();
		const parts = [say(page, 'h2', t('gate.refused')), say(page, 'p', refusalIn(language, reason))];
		if (!page.querySelector(BADGE)) parts.push(page.createElement('div'));
		if (reason === 'no-way-back') {
			parts.push(
				say(page, 'p', t('panel.unsealed')),
				button(page, t('panel.forget'), 'tee-forget-sealed', () => void forget())
			);
		}
		// The badge, and whatever is refused from now on, go on saying so.
		const close = button(page, t('notice.close'), 'tee-refusal-read', () => {
			read = shown;
			cover.hide();
		});
		return [...parts, close];
	};

	const show = (): void => {
		const { decision, waiting } = gate.view;
		const isAsked = decision.kind === 'ask' && waiting > 0;
		const wanted = isAsked || decision.kind === 'refuse' ? JSON.stringify(decision) : '';
		if (wanted === shown) return;
		shown = wanted;
		if (wanted !== read) read = '';
		if (decision.kind === 'ask') cover.show(true, texts.get(), question(decision));
		else if (decision.kind === 'refuse' && !read) {
			const parts = refusal(decision.reason);
			cover.show(false, texts.get(), parts);
			const place = parts.find(({ localName }) => localName === 'div');
			if (place) badge(place);
		} else cover.hide();
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
	const cover = new Cover(page, 'tee-model-question');

	const show = (): void => {
		const about = asked.get();
		if (!about) {
			cover.hide();
			return;
		}
		const { t } = texts.get();
		const choice = (yes: boolean) =>
			button(
				page,
				t(yes ? 'gate.confirm' : 'chosen.decline'),
				yes ? 'tee-model-confirm' : 'tee-model-decline',
				() => {
					answer(yes);
				}
			);
		cover.show(true, texts.get(), [
			say(page, 'p', chosenText(about.model, about.chosen, t)),
			say(page, 'p', t('chosen.question')),
			choice(true),
			choice(false)
		]);
	};
	asked.listen(show);
	texts.listen(show);
};
