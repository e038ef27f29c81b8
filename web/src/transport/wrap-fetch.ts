import type { Carrier } from './carrier';
import { exchange, isOwn, isWithin, read, resolve } from './exchange';
import { newRequest } from './multipart';
import type { Page } from './stand-in';

/** Also one of another window's. */
const isRequest = (input: unknown): input is Request =>
	Object.prototype.toString.call(input) === '[object Request]';

/** `fetch` of this origin goes sealed; of others it is as before. */
export const wrapFetch = (page: Page, carrier: Carrier): void => {
	const original = page.fetch.bind(page);
	const { Request } = page;

	const run = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
		// Read once: who is asked twice may say another thing.
		const target = isRequest(input) ? input : String(input);
		const url = resolve(page, isRequest(target) ? target.url : target);
		if (!isOwn(page, url)) return original(target, init);
		const request = newRequest(page, isRequest(target) ? target : url, init);
		if (!isWithin(page, request.method, url)) {
			return original(new Request(request, { credentials: 'omit' }));
		}
		const { signal } = request;
		const line = await carrier.open(signal);
		if (!line) return original(request);
		const asked = await read(page, request);
		signal.throwIfAborted();
		return exchange(page, carrier, line, asked);
	};
	const changed = function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
		return run(input, init);
	};
	Object.defineProperty(page, 'fetch', { value: changed, writable: true, configurable: true });
};
