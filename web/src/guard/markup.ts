import { around } from './around';
import { attributeOf, isScript } from './links';

/**
 * Text without any of this cannot run or style anything as markup: most of what the app shows is none
 * the slower. It finds too much rather than too little.
 */
const SUSPECT =
	/<(script|i?frame|object|embed|base|link|meta|style|animate|set|use)|[\s"'/]on[a-z]+\s*=|j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t\s*:|&(#|colon|tab|newline)/i;

/** What has no place in text; an animation of an address could make any link a script. */
const REMOVED =
	'script, object, embed, base, meta[http-equiv], animate[attributeName*="href" i], set[attributeName*="href" i]';

/** Drawings may use parts of themselves, not those of another document. */
const isOutsideUse = (element: Element, name: string, value: string): boolean =>
	element instanceof SVGElement &&
	element.localName === 'use' &&
	/^(xlink:)?href$/.test(name) &&
	!value.startsWith('#');

/**
 * What a link or a `<meta>` may say: what the app's own templates for the page's head say, and no more.
 * Without the rest they do nothing; the element stays, because the app counts on its place.
 */
const HEAD: Record<string, RegExp> = {
	rel: /^(icon|search)$/,
	href: /^\/\w/,
	name: /^(apple-mobile-web-app-title|description|robots)$/
};

const leadsAway = (element: Element, name: string, value: string): boolean =>
	(element instanceof HTMLLinkElement || element instanceof HTMLMetaElement) &&
	HEAD[name]?.test(value) === false;

const isHarmful = (element: Element, name: string): boolean => {
	const value = attributeOf(element, name);
	return (
		name.startsWith('on') ||
		isScript(value) ||
		isOutsideUse(element, name, value) ||
		leadsAway(element, name, value)
	);
};

/** Remove what would run, lead away or style the page, once these nodes are in the page. */
const clean = (root: ParentNode, settle: (frame: HTMLIFrameElement) => void): void => {
	for (const element of root.querySelectorAll(REMOVED)) element.remove();
	for (const element of root.querySelectorAll('*')) {
		for (const name of Element.prototype.getAttributeNames.call(element)) {
			if (isHarmful(element, name)) Element.prototype.removeAttribute.call(element, name);
		}
		// It would style the whole page, the badge's place included. Those of drawings stay: the app's own
		// and Mermaid's do not do without.
		if (element instanceof HTMLStyleElement) element.remove();
		if (element instanceof HTMLIFrameElement) settle(element);
		if (element instanceof HTMLTemplateElement) clean(element.content, settle);
	}
};

/** What a policy of the app's (Trusted Types) makes of a text. */
interface TrustedMarkup {
	toString: () => string;
}

/** Where the method's markup goes, by its first argument. */
const ADJACENT = {
	beforebegin: 'before',
	afterbegin: 'prepend',
	beforeend: 'append',
	afterend: 'after'
} as const;

const isPosition = (text: string): text is keyof typeof ADJACENT => Object.hasOwn(ADJACENT, text);

/**
 * From now on nothing runs that comes into the page as markup: neither event handlers nor scripts nor
 * links to them, no frame has the page's origin, nothing connects elsewhere or changes what referrers
 * say, and no style sheet holds for the page. What else there is in the markup stays.
 *
 * What is read from it (`DOMParser`) may hold anything: the app puts none of it into the page.
 */
export const guardMarkup = (
	{ document, Element, ShadowRoot, Range }: Window & typeof globalThis,
	settle: (frame: HTMLIFrameElement) => void
): void => {
	/** In a document without a window nothing runs and nothing loads. */
	const inert = document.implementation.createHTMLDocument('');
	const property = Object.getOwnPropertyDescriptor(Element.prototype, 'innerHTML');

	/**
	 * The nodes that markup is in an element of this kind, without what runs. Nodes, not text: what
	 * was cleaned is never read a second time.
	 */
	const nodesOf = (context: Element, markup: string): DocumentFragment => {
		const holder = inert.importNode(context, false);
		property?.set?.call(holder, markup);
		const root = holder instanceof HTMLTemplateElement ? holder.content : holder;
		clean(root, settle);
		// One fragment: so many nodes as an answer may have are too many for arguments of a call.
		const nodes = inert.createDocumentFragment();
		while (root.firstChild) nodes.append(root.firstChild);
		return nodes;
	};

	/** What gives an element, or anything that is none, its kind. */
	const contextOf = (node: Node | null): Element => {
		const element = node instanceof Element || !node ? node : node.parentElement;
		return element ?? inert.body;
	};

	const insteadOf = (
		holder: object,
		name: string,
		put: (self: unknown, markup: string, args: unknown[]) => unknown
	): void => {
		around(holder, name, (self, args, original) => {
			const given = args.at(-1) as string | TrustedMarkup | null;
			const markup = given?.toString() ?? '';
			return SUSPECT.test(markup) ? put(self, markup, args) : Reflect.apply(original, self, args);
		});
	};

	insteadOf(Element.prototype, 'innerHTML', (self, markup) => {
		const element = self as Element;
		const target = element instanceof HTMLTemplateElement ? element.content : element;
		target.replaceChildren(nodesOf(element, markup));
	});
	insteadOf(ShadowRoot.prototype, 'innerHTML', (self, markup) => {
		const root = self as ShadowRoot;
		root.replaceChildren(nodesOf(root.host, markup));
	});
	insteadOf(Element.prototype, 'outerHTML', (self, markup) => {
		const element = self as Element;
		element.replaceWith(nodesOf(contextOf(element.parentNode), markup));
	});
	insteadOf(Element.prototype, 'insertAdjacentHTML', (self, markup, [where]) => {
		const element = self as Element;
		const position = String(where).toLowerCase();
		if (!isPosition(position)) throw new DOMException('no such position', 'SyntaxError');
		const inside = position === 'afterbegin' || position === 'beforeend';
		const context = inside ? element : contextOf(element.parentNode);
		element[ADJACENT[position]](nodesOf(context, markup));
	});
	insteadOf(Range.prototype, 'createContextualFragment', (self, markup) =>
		document.adoptNode(nodesOf(contextOf((self as Range).startContainer), markup))
	);
};
