/** The page by which a person, and nobody else, forgets that an origin was ever sealed. */

export interface Words {
	title: string;
	text: string;
	forget: string;
}

/** Fill an empty page with these words, and a button. */
export const showReverted = (page: Document, words: Words, forget: () => Promise<void>): void => {
	const add = (name: 'h1' | 'p' | 'button', text: string): HTMLElement => {
		const element = page.createElement(name);
		element.textContent = text;
		page.body.append(element);
		return element;
	};
	page.title = words.title;
	page.body.style.cssText = 'font: 16px/1.5 sans-serif; max-width: 36em; margin: 4em auto';
	add('h1', words.title);
	add('p', words.text);
	add('button', words.forget).onclick = () => {
		void forget();
	};
};
