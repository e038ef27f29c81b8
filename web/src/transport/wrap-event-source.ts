import type { Carrier, Events } from './carrier';
import { isWithin, resolve } from './exchange';
import { construct, divert, handlers, type Page } from './stand-in';

const [CONNECTING, CLOSED] = [0, 2];

/** Streams of events from this origin come sealed; from others they are as before. */
export const wrapEventSource = (page: Page, carrier: Carrier): void => {
	const { EventSource: Native } = page;
	const sources = new WeakMap<object, Events>();
	construct(page, 'EventSource', ([address, init], blank) => {
		const url = resolve(page, String(address));
		if (!isWithin(page, 'GET', url)) return undefined;
		const target = blank();
		const life = new AbortController();
		const source: Events = {
			target,
			url: url.href,
			withCredentials: Boolean((init as EventSourceInit | undefined)?.withCredentials),
			readyState: CONNECTING,
			life: life.signal,
			close() {
				source.readyState = CLOSED;
				life.abort();
			}
		};
		handlers(source, target, ['open', 'message', 'error']);
		sources.set(target, source);
		carrier.more().then(
			({ readEvents }) => readEvents(page, carrier, source),
			() => {
				source.close();
				target.dispatchEvent(new page.Event('error'));
			}
		);
		return target;
	});
	if (typeof Native === 'function') divert(Native.prototype, (self) => sources.get(self));
};
