/** What a page does with files and posted forms, sealed: on demand, as few pages do. */
import type { Carrier, LineRequest, Posting } from './carrier';
import { exchange, read } from './exchange';
import { newRequest } from './multipart';
import type { Page } from './stand-in';

/** Milliseconds after which a browser has taken what was handed to it. */
const HANDED = 60_000;

/** The name that an answer gives (RFC 6266). */
const namedBy = (disposition: string | null): string | undefined => {
	const text = disposition ?? '';
	const [, encoded] = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(text) ?? [];
	const [, quoted, bare] = /filename\s*=\s*(?:"([^"]*)"|([^;\s]+))/i.exec(text) ?? [];
	try {
		if (encoded !== undefined) return decodeURIComponent(encoded);
	} catch {
		// no such text
	}
	return quoted ?? bare;
};

/** Hand an answer to the person as a file; rejects where it says that there is none. */
const handOver = async (
	page: Page,
	carrier: Carrier,
	answer: Response,
	wanted: string
): Promise<void> => {
	if (!answer.ok) throw new TypeError(String(answer.status));
	const { document: owner, URL } = page;
	const link = owner.createElement('a');
	const path = new URL(answer.url).pathname.split('/').pop();
	const named = namedBy(answer.headers.get('content-disposition')) ?? wanted;
	link.download = named || path || 'file';
	const address = URL.createObjectURL(await answer.blob());
	link.href = address;
	link.click();
	carrier.later(HANDED, () => {
		URL.revokeObjectURL(address);
	});
};

/** Fetch a file and hand it over. */
export const download = async (
	page: Page,
	carrier: Carrier,
	url: URL,
	name: string
): Promise<void> => {
	const request = new page.Request(url);
	const line = await carrier.open();
	const answer = line
		? await exchange(page, carrier, line, await read(page, request))
		: await carrier.fetch(request);
	await handOver(page, carrier, answer, name);
};

/**
 * Post a form and go where the answer leads. One that leads nowhere is handed over as a file: shown
 * as a document of this origin, it could do what the app can, whoever wrote it.
 */
export const post = async (
	page: Page,
	carrier: Carrier,
	{ url, body, target, plain }: Posting
): Promise<void> => {
	const asked = await read(page, newRequest(page, url, { method: 'POST', body }));
	const line = await carrier.open();
	if (!line) {
		plain();
		return;
	}
	let next = '';
	const noting = {
		...line,
		async send(request: LineRequest) {
			const answer = await line.send(request);
			next = answer.headers.get('location') ?? '';
			return answer;
		}
	};
	const answer = await exchange(page, carrier, noting, { ...asked, redirect: 'manual' });
	if (answer.type === 'opaqueredirect') page.open(new URL(next, url), target);
	else await handOver(page, carrier, answer, '');
};
