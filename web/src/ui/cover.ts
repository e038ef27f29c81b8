/** A box over the page that asks the person something, or tells why nothing goes. */
import type { Texts } from '../i18n/texts';
import { lift } from './lift';

const OVER = `position: fixed; inset: 0; z-index: 2147483646; width: auto; height: auto; margin: 0;
	border: 0; padding: 0; background: none; display: flex; justify-content: center;
	font: 14px/1.5 sans-serif`;
/** The page waits for an answer, */
const ASKING = `${OVER}; align-items: center; background: #0008`;
/** or can be used as far as it goes without the server: its badge says more. */
const TELLING = `${OVER}; align-items: start; pointer-events: none`;
const BOX = `max-width: 34em; max-height: 80vh; overflow: auto; margin: 1em; padding: 1.5em;
	border-radius: 1em; background: #fff; color: #222; box-shadow: 0 0 1em #0006; pointer-events: auto`;

/** How many questions stand over the page: nothing behind one can be used. */
let asking = 0;

/**
 * Give the keyboard to a box that asks, and to nothing behind it; returns what gives it back.
 *
 * The box has it, and none of its buttons: whoever is just typing must not answer by that.
 */
const hold = (page: Document, box: HTMLElement): (() => void) => {
	const { activeElement: before, body } = page;
	asking += 1;
	body.toggleAttribute('inert', true);
	box.tabIndex = -1;
	box.focus();
	return () => {
		asking -= 1;
		body.toggleAttribute('inert', asking > 0);
		(before as HTMLElement | null)?.focus();
	};
};

export class Cover {
	/** In a shadow root, out of reach of the app's styles. */
	readonly #host: HTMLElement;
	readonly #root: ShadowRoot;
	#release: () => void = () => undefined;

	constructor(
		private readonly page: Document,
		private readonly name: string
	) {
		this.#host = page.createElement('div');
		this.#root = this.#host.attachShadow({ mode: 'open' });
	}

	/**
	 * Show this and nothing else: the first part is what it is called, the second says more.
	 *
	 * @param asks Whether the page waits for an answer.
	 */
	show(asks: boolean, { language, direction }: Texts, parts: HTMLElement[]): void {
		this.hide();
		const [title, text] = parts;
		if (title) title.id = 'title';
		if (text) text.id = 'text';
		const cover = this.page.createElement('div');
		cover.dataset.testid = this.name;
		cover.style.cssText = asks ? ASKING : TELLING;
		cover.popover = 'manual';
		const box = this.page.createElement('div');
		Object.assign(box, { lang: language, dir: direction });
		box.setAttribute('role', asks ? 'alertdialog' : 'alert');
		box.setAttribute('aria-labelledby', 'title');
		box.setAttribute('aria-describedby', 'text');
		box.style.cssText = BOX;
		box.append(...parts);
		cover.append(box);
		this.#root.replaceChildren(cover);
		this.page.documentElement.append(this.#host);
		lift(cover);
		if (!asks) return;
		box.setAttribute('aria-modal', 'true');
		this.#release = hold(this.page, box);
	}

	hide(): void {
		this.#host.remove();
		this.#release();
		this.#release = () => undefined;
	}
}

/** An element with a text. */
export const say = (
	page: Document,
	tag: 'h2' | 'p' | 'li' | 'ul' | 'button',
	text: string
): HTMLElement => {
	const element = page.createElement(tag);
	element.textContent = text;
	return element;
};

export const button = (
	page: Document,
	text: string,
	name: string,
	act: () => void
): HTMLElement => {
	const element = say(page, 'button', text);
	element.dataset.testid = name;
	element.onclick = act;
	return element;
};
