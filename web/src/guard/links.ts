import { around } from './around';

/** Would a browser run this address? It skips blanks and control characters in it. */
export const isScript = (address: string): boolean =>
	/^javascript:/i.test(address.replace(/[\0-\x20]+/g, ''));

/** By the browser's own function: a form's fields stand in for the form's own by their names. */
export const attributeOf = (element: Element, name: string): string =>
	Element.prototype.getAttribute.call(element, name) ?? '';

const leadsToScript = (target: EventTarget): boolean =>
	target instanceof Element &&
	['href', 'xlink:href'].some((name) => isScript(attributeOf(target, name)));

/** From now on no link and no new window runs a script, wherever its address came from. */
export const guardLinks = (window: Window & typeof globalThis): void => {
	const keep = (event: Event): void => {
		if (event.composedPath().some(leadsToScript)) event.preventDefault();
	};
	// First of all listeners: nobody can hide a click from it.
	for (const type of ['click', 'auxclick']) window.addEventListener(type, keep, { capture: true });
	around(window, 'open', (self, args, original) =>
		isScript(String(args[0])) ? null : Reflect.apply(original, self, args)
	);
};
