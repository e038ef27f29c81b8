import { around } from './around';
import { oneAfterTheOther } from './documents';
import { isScript } from './links';

/** What a frame has when it shows something from outside and nobody has said what it may do. */
const GIVEN = 'allow-scripts allow-forms allow-downloads';
/** Rights by which such a frame would have this page's origin, lead the page away, or get free. */
const TAKEN = /^allow-(same-origin|top-navigation.*|popups-to-escape-sandbox)$/i;
const THE_ORIGIN = /(^|\s)allow-same-origin(\s|$)/i;
/**
 * Addresses of this origin that work in no sandbox, and where nobody else's script runs: files, which
 * the server hands out as PDF, as plain text or for download, and the kit's own frame. The whole path,
 * since the app is at its origin's root; a file's id has nothing that a server could read as a slash.
 */
const HARMLESS = /^\/api\/v1\/(files\/[\w-]+\/content|tee\/courier)$/;

const NAMES = ['src', 'srcdoc', 'sandbox'] as const;
type Name = (typeof NAMES)[number];

/** Where a frame's document comes from. */
type Source = Record<'src' | 'srcdoc', string | null>;

const nameOf = (text: unknown): Name | undefined =>
	NAMES.find((name) => name === String(text).toLowerCase());

/** The value of `sandbox` for a frame that shows something from outside. */
export const rightsOf = (sandbox: string | null): string =>
	sandbox === null
		? GIVEN
		: sandbox
				.split(/\s+/)
				.filter((right) => right && !TAKEN.test(right))
				.join(' ');

/**
 * Whether what a frame shows would run in this page's origin without being the app's own. Sites with
 * an origin of their own are none of our business, nor are empty frames.
 */
export const isForeign = ({ src, srcdoc }: Source, page: Document): boolean => {
	if (srcdoc !== null) return true;
	if (!src) return false;
	if (!URL.canParse(src, page.baseURI)) return true;
	const { protocol, origin, pathname } = new URL(src, page.baseURI);
	if (!/^https?:$/.test(protocol)) return protocol !== 'about:';
	return origin === page.location.origin && !HARMLESS.test(pathname);
};

/** Below here are the kit's own documents, which nothing of a chat is in, each with its own policy. */
const OF_THE_KIT = /^\/api\/v1\/tee\//;

/** Whether a frame shows what an address of this origin has, and would do so in a sandbox. */
const isOfThisOrigin = (source: Source, page: Document): boolean => {
	const { src, srcdoc } = source;
	if (srcdoc !== null || !isForeign(source, page) || !URL.canParse(src ?? '', page.baseURI)) {
		return false;
	}
	const { protocol, pathname } = new URL(src ?? '', page.baseURI);
	return /^https?:$/.test(protocol) && !OF_THE_KIT.test(pathname);
};

/** An answer as a document to be shown: what is no page is shown as text. */
const documentOf = async (answer: Response): Promise<string> => {
	const text = await answer.text();
	if (/^text\/html\b/i.test(answer.headers.get('content-type') ?? '')) return text;
	return `<!doctype html><pre>${text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}`;
};

/**
 * From now on no frame that shows something from outside has this page's origin, whatever the app
 * asks for: its rights are cut before it loads. `asked` is called whenever that origin was asked for.
 *
 * What such a frame is to show from an address of this origin is fetched by the page, and written into
 * it: no service worker sees what a frame with an origin of its own loads, so that it would go in the
 * clear, and without the cookies of sealed answers.
 *
 * Frames are made by code, by copying and from markup; but each gets its address by one of the ways
 * that are watched here, or by the function that is returned: for frames that came with markup.
 */
export const guardFrames = (
	{ document, Element, HTMLIFrameElement }: Window & typeof globalThis,
	fetch: (address: string) => Promise<Response>,
	asked: () => void
): ((frame: HTMLIFrameElement) => void) => {
	const native = Object.getOwnPropertyDescriptors(Element.prototype);

	/** Frames that show something fetched, each with what stands for that. */
	const fetched = new WeakMap<HTMLIFrameElement, object>();

	const write = (frame: HTMLIFrameElement, name: Name, value: string | null): void => {
		if (value === null) native.removeAttribute.value?.call(frame, name);
		else native.setAttribute.value?.call(frame, name, value);
	};

	const change = (frame: HTMLIFrameElement, name: Name, value: string | null): void => {
		// It would run in what the frame shows now, and a sandbox counts from the next document on.
		if (name === 'src' && value !== null && isScript(value)) return;
		// Another address takes the place of what was fetched.
		if (name === 'src' && fetched.delete(frame)) write(frame, 'srcdoc', null);
		const next = (each: Name) => (each === name ? value : frame.getAttribute(each));
		const sandbox = next('sandbox');
		const source = { src: next('src'), srcdoc: next('srcdoc') };
		const rights = isForeign(source, document) ? rightsOf(sandbox) : sandbox;
		if (rights !== sandbox && sandbox !== null && THE_ORIGIN.test(sandbox)) asked();
		write(frame, 'sandbox', rights);
		if (isOfThisOrigin(source, document)) bring(frame, source.src ?? '');
		if (name !== 'sandbox') write(frame, name, value);
	};

	/** Show what an address has, as soon as it is there, unless the frame shows something else then. */
	const bring = (frame: HTMLIFrameElement, address: string): void => {
		write(frame, 'srcdoc', ''); // before the address, which then counts for nothing
		const mine = {};
		fetched.set(frame, mine);
		fetch(new URL(address, document.baseURI).href)
			.then(documentOf)
			.then((text) => {
				if (fetched.get(frame) === mine) changeText(frame, text);
			})
			.catch(() => undefined); // it stays empty
	};

	const changeText = oneAfterTheOther((frame, text) => {
		change(frame, 'srcdoc', text);
	});
	const order = (frame: HTMLIFrameElement, name: Name, value: string | null): void => {
		if (name === 'srcdoc') {
			fetched.delete(frame); // it is the app's own again
			changeText(frame, value);
		} else change(frame, name, value);
	};

	const VALUES = {
		setAttribute: (value: unknown) => String(value),
		removeAttribute: () => null
	};
	for (const [method, valueOf] of Object.entries(VALUES)) {
		around(Element.prototype, method, (self, args, original) => {
			const name = self instanceof HTMLIFrameElement && nameOf(args[0]);
			if (!name) return Reflect.apply(original, self, args);
			order(self, name, valueOf(args[1]));
			return undefined;
		});
	}
	for (const name of NAMES) {
		around(HTMLIFrameElement.prototype, name, (self, [value]) => {
			order(self as HTMLIFrameElement, name, String(value));
		});
	}

	return (frame) => {
		change(frame, 'sandbox', frame.getAttribute('sandbox'));
	};
};
