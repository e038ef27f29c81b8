/** What stands at the message box while words wait for a verdict, or go although it is not good. */
import type { ReadableAtom } from 'nanostores';
import { adviceOn, REASONS, type ReasonCode } from '../base/reasons';
import type { Texts, Translate } from '../i18n/texts';
import type { Cause, Gate, View } from '../transport/gate';
import { messageBox } from './room';
import { causeIn } from './words';
import { BADGE } from './question';

/** Milliseconds after which it is told that words wait for a check: most end before that. */
export const SLOW = 2_000;

const TEXT =
	'margin: 0.25em 0.75em; font-size: 0.8125em; line-height: 1.4; overflow-wrap: anywhere';
/** Above the message box, in the app's own colours, */
const BESIDE = `${TEXT}; border-inline-start: 3px solid #d97706; padding-inline-start: 0.75em`;
/** or where the app shows none yet. */
const OVER = `${TEXT}; position: fixed; top: 0; inset-inline: 0; z-index: 2147483645; padding: 1em;
	border: 1px solid; border-radius: 1em; background: #fff; color: #222; font-family: sans-serif`;

const isCode = (code: string): code is ReasonCode => Object.hasOwn(REASONS, code);

/** What a person can do about what is tried again. */
const adviceIn = (causes: readonly Cause[], t: Translate): string => {
	const code = causes[0]?.split(':')[1] ?? '';
	return isCode(code) ? t(`advice.${adviceOn(code, true)}`) : '';
};

/** What there is to say; `isSlow` where something has waited for longer than it usually does. */
const wordsFor = ({ decision, waiting }: View, isSlow: boolean, t: Translate): string[] => {
	if (decision.kind === 'open' && decision.despite) {
		const { causes, failed } = decision.despite;
		return [
			t(failed ? 'gate.despite.failed' : 'gate.despite.warned'),
			...causes.map((cause) => causeIn(cause, t))
		];
	}
	if (decision.kind !== 'wait') return [];
	const { causes = [] } = decision;
	if (causes.length === 0) return isSlow && waiting > 0 ? [t('gate.waits')] : [];
	const why = causes.map((cause) => causeIn(cause, t));
	return [t('gate.waits'), ...why, adviceIn(causes, t)];
};

/**
 * Show it as the gate decides.
 *
 * @param badge Puts one into a place, as an app that gets no answer has none to show.
 * @returns what is to be called when the app has shown another message box.
 */
export const showBanner = (
	page: Document,
	gate: Pick<Gate<unknown>, 'view' | 'hear'>,
	texts: ReadableAtom<Texts>,
	badge: (place: HTMLElement) => void
): (() => void) => {
	const host = page.createElement('div');
	const line = page.createElement('div');
	line.dataset.testid = 'tee-banner';
	line.setAttribute('role', 'status');
	const place = page.createElement('div');
	host.attachShadow({ mode: 'open' }).append(line, place);
	let timer: ReturnType<typeof setTimeout> | undefined;
	let isSlow = false;

	/** Put it where the person writes, or over a page that shows no such place and gets no answers. */
	const put = (): void => {
		const own = page.querySelector(BADGE);
		const box = own && messageBox(own);
		const isBox = box?.localName === 'form';
		const isIdle = line.textContent === '' || (!isBox && gate.view.decision.kind === 'open');
		host.style.cssText = isBox ? BESIDE : OVER;
		if (isIdle) host.remove();
		else if (isBox) box.before(host);
		else page.documentElement.append(host);
		if (own) place.replaceChildren();
		else if (!isIdle) badge(place);
	};

	/** Be told when something has waited for long, whatever comes and goes meanwhile. */
	const watch = ({ decision, waiting }: View): void => {
		const waits = decision.kind === 'wait' && waiting > 0;
		if (!waits) {
			clearTimeout(timer);
			timer = undefined;
			isSlow = false;
		} else
			timer ??= setTimeout(() => {
				isSlow = true;
				show();
			}, SLOW);
	};

	const show = (): void => {
		const { language, direction, t } = texts.get();
		watch(gate.view);
		const words = wordsFor(gate.view, isSlow, t).join(' ');
		if (words === line.textContent) return;
		Object.assign(line, { lang: language, dir: direction, textContent: words });
		put();
	};
	gate.hear(show);
	texts.listen(show);
	show();
	return put;
};
