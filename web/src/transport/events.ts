/** Reading streams of events (HTML standard, 9.2): on demand, as few pages do. */
import type { Carrier, Events } from './carrier';
import { exchange, homeOf } from './exchange';
import type { Page } from './stand-in';

const [CONNECTING, OPEN] = [0, 1];
/** Milliseconds until the next try, where the server does not say. */
const RETRY = 3_000;
/** Characters that an event may have. */
const EVENT_MAX = 16 << 20;

/** Read streams, one after the other, until the source is closed or an answer is no stream. */
export const readEvents = async (page: Page, carrier: Carrier, source: Events): Promise<void> => {
	const { life, target, url } = source;
	const { Event, Headers, MessageEvent } = page;
	let retry = RETRY;
	let lastEventId = '';
	/** The event that is being read. */
	let type = '';
	let data: string[] = [];
	let length = 0;

	const turn = (state: number): void => {
		source.readyState = state;
		target.dispatchEvent(new Event(state === OPEN ? 'open' : 'error'));
	};

	const ask = async (): Promise<Response> => {
		const headers = new Headers({ accept: 'text/event-stream', 'cache-control': 'no-store' });
		if (lastEventId) headers.set('last-event-id', lastEventId);
		const line = await carrier.open(life);
		if (!line) return carrier.fetch(url, { headers, signal: life, cache: 'no-store' });
		return exchange(page, carrier, line, {
			method: 'GET',
			url: new URL(url),
			headers,
			body: null,
			credentials: 'same-origin',
			redirect: 'follow',
			mode: 'cors',
			keepalive: false,
			signal: life
		});
	};

	const dispatch = (): void => {
		if (data.length && !life.aborted) {
			const init = { data: data.join('\n'), origin: homeOf(page).origin, lastEventId };
			target.dispatchEvent(new MessageEvent(type || 'message', init));
		}
		type = '';
		data = [];
		length = 0;
	};

	const take = (line: string): void => {
		const [, name, value = ''] = /^([^:]*):? ?([^]*)$/.exec(line) ?? [];
		if (line === '') dispatch();
		else if (name === 'data') data.push(value);
		else if (name === 'event') type = value;
		else if (name === 'id' && !value.includes('\0')) lastEventId = value;
		else if (name === 'retry' && /^\d{1,9}$/.test(value)) retry = Number(value);
		length += line.length;
	};

	const read = async ({ body }: Response): Promise<void> => {
		const reader = body?.getReader();
		const decoder = new TextDecoder();
		let rest = '';
		while (reader && length + rest.length <= EVENT_MAX) {
			const { done, value } = await reader.read();
			if (done || life.aborted) return;
			rest += decoder.decode(value, { stream: true });
			// What comes last may go on, or be the first half of CR LF.
			const lines = rest.split(/\r\n|\n|\r(?!$)/);
			rest = lines.pop() ?? '';
			for (const line of lines) take(line);
		}
		await reader?.cancel();
	};

	const isOver = (): boolean => life.aborted;
	while (!isOver()) {
		const answer = await ask().catch(() => null);
		if (isOver()) return;
		if (answer) {
			const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream');
			if (answer.status !== 200 || !isStream) {
				source.close();
				target.dispatchEvent(new Event('error'));
				return;
			}
			turn(OPEN);
			await read(answer).catch(() => undefined);
			type = '';
			data = [];
			length = 0;
			if (isOver()) return;
		}
		turn(CONNECTING);
		await new Promise<void>((resolve) => carrier.later(retry, resolve));
	}
};
