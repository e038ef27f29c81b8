/** A box over the page that asks the person something, or tells why nothing goes. */
import { adoptStyles, css } from 'lit';
import type { Texts } from '../i18n/texts';
import { lift } from './lift';
import { base } from './styles';
import { dark } from './theme';

const styles = css`
	.cover {
		position: fixed;
		inset: 0;
		z-index: 2147483646;
		box-sizing: border-box;
		display: flex;
		width: auto;
		height: auto;
		margin: 0;
		border: 0;
		padding: 0;
		justify-content: center;
		background: none;
		font-size: 0.875rem;
		line-height: 1.5;
	}
	/* the page waits for an answer, */
	.asking {
		align-items: center;
		background: #0008;
	}
	/* or can be used as far as it goes without the server: its badge says more */
	.telling {
		align-items: start;
		pointer-events: none;
	}
	.box {
		box-sizing: border-box;
		max-width: 34em;
		max-height: 80vh;
		overflow: auto;
		overflow-wrap: anywhere;
		margin: 1em;
		border: 1px solid var(--line);
		border-radius: 1em;
		padding: 1.5em;
		background: var(--ground);
		color: var(--text);
		box-shadow: 0 0 1em #0006;
		pointer-events: auto;
	}
	h2 {
		margin: 0;
		font-size: 1rem;
		font-weight: 600;
	}
	p {
		margin: 0.5em 0 0;
	}
	ul {
		margin: 0.5em 0;
		padding-inline-start: 1.25em;
	}
	button {
		margin-block-start: 1em;
		margin-inline-end: 0.5em;
		border-radius: 9999px;
		padding: 0.5em 1.25em;
		background: var(--soft);
		font-weight: 500;
	}
	@media (forced-colors: active) {
		button {
			border: 1px solid;
		}
	}
`;

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
	readonly #cover: HTMLElement;
	#release: () => void = () => undefined;

	constructor(
		private readonly page: Document,
		private readonly name: string
	) {
		this.#host = page.createElement('div');
		this.#cover = page.createElement('div');
		const root = this.#host.attachShadow({ mode: 'open' });
		adoptStyles(root, [base, styles]);
		root.append(this.#cover);
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
		const cover = this.#cover;
		cover.dataset.testid = this.name;
		cover.className = `frame ${dark.get() ? 'dark' : 'light'} cover ${asks ? 'asking' : 'telling'}`;
		cover.popover = 'manual';
		const box = this.page.createElement('div');
		Object.assign(box, { lang: language, dir: direction });
		box.setAttribute('role', asks ? 'alertdialog' : 'alert');
		box.setAttribute('aria-labelledby', 'title');
		box.setAttribute('aria-describedby', 'text');
		box.className = 'box';
		box.append(...parts);
		cover.replaceChildren(box);
		this.page.documentElement.append(this.#host);
		lift(cover);
		if (!asks) return;
		box.setAttribute('aria-modal', 'true');
		this.#release = hold(this.page, box);
	}

	hide(): void {
		this.#host.remove();
		this.#cover.replaceChildren();
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
