/** A request of the page's, sealed, with what `fetch` does about redirects (Fetch standard, 4.4). */
import type { Carrier, Line } from './carrier';
import type { SealedRequest } from './client';
import { isOutside } from './outside';
import { type Body, isReading } from './request-body';
import type { Page } from './stand-in';

const REDIRECTS = [301, 302, 303, 307, 308];
const REDIRECTS_MAX = 20;
/** Bytes of a body that are kept in memory. */
const IN_MEMORY = 1 << 20;
/** What speaks about a body, and goes when that does. */
const OF_BODY = ['content-encoding', 'content-language', 'content-location', 'content-type'];

/** A request whose body can be read again. */
export interface Asked {
	method: string;
	url: URL;
	headers: Headers;
	body: Body | null;
	credentials: RequestCredentials;
	redirect: RequestRedirect;
	mode: RequestMode;
	keepalive: boolean;
	signal: AbortSignal | null;
}

type Hearing = Pick<SealedRequest, 'onUpload' | 'onDownload'>;

/** An address as the page means it, without its fragment, or undefined for one that is none. */
export const resolve = ({ document: { baseURI } }: Page, address: string): URL | undefined => {
	if (!URL.canParse(address, baseURI)) return undefined;
	const url = new URL(address, baseURI);
	url.hash = '';
	return url;
};

/** Where a page is: a frame without an address, which says `null` of itself, is where its maker is. */
export const homeOf = (page: Page): Location => {
	const maker = page.frameElement?.ownerDocument.defaultView;
	return page.location.origin === 'null' && maker ? homeOf(maker) : page.location;
};

/** Whether somebody of this origin is asked: what the page made itself (`blob:`) has an origin too. */
export const isOwn = (page: Page, url: URL | undefined): url is URL => {
	const { origin, protocol } = homeOf(page);
	return url?.origin === origin && url.protocol === protocol;
};

/** Whether it must be sealed: of this origin, and not outside. */
export const isWithin = (page: Page, method: string, url: URL | undefined): url is URL =>
	isOwn(page, url) && !isOutside(method, url);

/** A long body stays where the browser has put it. */
const readBlob = async (blob: Blob): Promise<Body | null> => {
	if (blob.size > IN_MEMORY) return blob;
	return blob.size ? new Uint8Array(await blob.arrayBuffer()) : null;
};

/** Take a request apart; rejects as its body does. */
export const read = async (page: Page, request: Request): Promise<Asked> => {
	const { method, headers, credentials, redirect, mode, keepalive, signal } = request;
	const url = new URL(request.url);
	url.hash = '';
	const body = isReading(method) ? null : await readBlob(await request.blob());
	return {
		method,
		url,
		headers: new page.Headers(headers),
		body,
		credentials,
		redirect,
		mode,
		keepalive,
		signal
	};
};

/** Say of an answer what the browser would say of its own. */
const dress = (
	response: Response,
	facts: Partial<Pick<Response, 'url' | 'redirected' | 'type'>>
): Response => {
	const clone = response.clone.bind(response);
	const own = { ...facts, clone: () => dress(clone(), { url: response.url, ...facts }) };
	for (const [name, value] of Object.entries(own)) {
		if (Reflect.get(response, name) !== value) Object.defineProperty(response, name, { value });
	}
	return response;
};

/** The next request, by the answer's word; throws where it leads nowhere. */
const redirected = (asked: Asked, { status }: Response, location: string): Asked => {
	const url = new URL(location, asked.url);
	url.hash = '';
	if (!/^https?:$/.test(url.protocol)) throw new TypeError('redirect');
	const { method } = asked;
	const becomesGet = status === 303 ? !isReading(method) : status < 303 && method === 'POST';
	const headers = new Headers(asked.headers);
	if (url.origin !== asked.url.origin) headers.delete('authorization');
	if (!becomesGet) return { ...asked, url, headers };
	for (const name of OF_BODY) headers.delete(name);
	return { ...asked, url, headers, method: 'GET', body: null };
};

/**
 * Send a request sealed and follow where its answers lead: what is outside, or elsewhere, is asked
 * by the browser's own `fetch`.
 */
export const exchange = async (
	page: Page,
	carrier: Carrier,
	line: Line,
	first: Asked,
	hearing: Hearing = {}
): Promise<Response> => {
	let asked = first;
	for (let count = 0; count <= REDIRECTS_MAX; count += 1) {
		const { method, url, headers, body, credentials, redirect, keepalive, signal } = asked;
		if (!isWithin(page, method, url)) {
			const { href, origin } = url;
			const own = origin === homeOf(page).origin;
			const { mode } = asked;
			const init = { method, headers, body, mode, redirect, keepalive, signal };
			const answer = await carrier.fetch(href, {
				...init,
				credentials: own ? 'omit' : credentials
			});
			return count ? dress(answer, { redirected: true }) : answer;
		}
		const fields = [...headers];
		if (!headers.has('accept')) fields.push(['accept', '*/*']);
		if (!isReading(method)) fields.push(['origin', homeOf(page).origin]);
		const answer = await line.send({
			...hearing,
			method,
			url: url.href,
			fields,
			body,
			signal,
			keepalive,
			cookies: credentials !== 'omit'
		});
		const location = REDIRECTS.includes(answer.status) && answer.headers.get('location');
		if (!location) {
			return dress(answer, { url: url.href, redirected: count > 0, type: 'basic' });
		}
		answer.body?.cancel().catch(() => undefined);
		if (redirect === 'error') throw new TypeError('redirect');
		if (redirect === 'manual') {
			return dress(page.Response.error(), { url: url.href, type: 'opaqueredirect' });
		}
		asked = redirected(asked, answer, location);
	}
	throw new TypeError('redirect');
};
