/** A node or a text, never markup. */
export type Child = Node | string;

/**
 * Elements by function, for views that consist of plain text: a small part of the code that
 * compiled markup takes, and no way to write HTML.
 */
export const h = <T extends Element = HTMLElement>(
	tag: string,
	attributes: Record<string, string>,
	...children: Child[]
): T => {
	const space = /^(svg|path)$/.test(tag) ? '2000/svg' : '1999/xhtml';
	const element = document.createElementNS(`http://www.w3.org/${space}`, tag);
	set(element, attributes);
	element.append(...children);
	return element as T;
};

export const set = (element: Element, attributes: Record<string, string>): void => {
	for (const name in attributes) element.setAttribute(name, attributes[name]);
};
