import { isContent } from '../base/content';

/** So many images, and origins, of a page are minded: an answer could bring thousands. */
export const MINDED_MAX = 200;
const TOLD_MAX = 20;

export interface Handlers {
	/** What stands in an image's place; the image's address is https, and elsewhere. */
	cover: (address: string, alt: string) => HTMLElement;
	/** Something that is no image on show was kept from an origin: said once for each origin. */
	tell: (directive: string, origin: string) => void;
}

/** What an image's address was, what of the app is unseen for it, and what stands behind that. */
interface Cover {
	address: string;
	hidden: HTMLElement;
	element: HTMLElement;
}

/** The address of an image as violations name it. */
const addressOf = (image: HTMLImageElement): string =>
	(image.currentSrc || image.src).split('#', 1)[0] ?? '';

/** The address on the web that was blocked, unless it is this origin's own (which leads elsewhere). */
const outside = (blocked: string, own: string): URL | undefined => {
	try {
		const url = new URL(blocked);
		return /^(https?|wss?):$/.test(url.protocol) && url.origin !== own ? url : undefined;
	} catch {
		return undefined; // such as "inline"
	}
};

/**
 * Shows and tells what the page's policy blocked; returns what hears of a violation.
 *
 * An image stays in the document, unseen, and something else stands behind it: the app may change,
 * move and remove its own nodes as if nothing were there.
 */
export const createBlocked = (
	document: Document,
	{ cover, tell }: Handlers
): ((violation: SecurityPolicyViolationEvent) => void) => {
	const addresses = new Set<string>();
	const covers = new Map<HTMLImageElement, Cover>();
	const told = new Set<string>();
	let looking = false;

	const uncover = (image: HTMLImageElement, { hidden, element }: Cover): void => {
		covers.delete(image);
		element.remove();
		hidden.style.removeProperty('display');
	};

	const put = (image: HTMLImageElement, address: string): void => {
		const secure = new URL(address);
		secure.protocol = 'https:'; // as browsers do with images of a page that came by HTTPS
		const element = cover(secure.href, image.alt);
		const button = image.closest('button');
		// The app's own button around nothing but an image would show nothing.
		const hidden = button?.textContent.trim() === '' ? button : image;
		hidden.style.setProperty('display', 'none', 'important');
		(button ?? image).after(element); // in a button, no other can be clicked
		covers.set(image, { address, hidden, element });
	};

	const look = (): void => {
		for (const [image, cover] of covers) {
			const stays = image.isConnected && cover.element.isConnected;
			if (!stays || addressOf(image) !== cover.address) uncover(image, cover);
		}
		for (const image of document.images) {
			if (covers.size >= MINDED_MAX) return;
			if (!isContent(image)) continue; // such as a picture in the app's own menus
			const address = addressOf(image);
			if (!covers.has(image) && addresses.has(address)) put(image, address);
		}
	};

	/** Look once before the next frame, however much changes until then. */
	const lookSoon = (): void => {
		if (looking) return;
		looking = true;
		setTimeout(() => {
			looking = false;
			look();
		}, 50);
	};

	const mind = (address: string): void => {
		if (addresses.size >= MINDED_MAX) return;
		if (addresses.size === 0) {
			new MutationObserver(lookSoon).observe(document, {
				childList: true,
				subtree: true,
				attributeFilter: ['src']
			});
		}
		addresses.add(address);
		look();
	};

	return ({ effectiveDirective, blockedURI, disposition }) => {
		const url = outside(blockedURI, document.location.origin);
		if (!url || disposition !== 'enforce') return;
		if (effectiveDirective === 'img-src') {
			mind(blockedURI);
			return;
		}
		if (told.has(url.origin) || told.size >= TOLD_MAX) return;
		told.add(url.origin);
		tell(effectiveDirective, url.origin);
	};
};
