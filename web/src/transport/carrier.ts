/** What the wrappers need: a way that the gate has let them go, sealed or the browser's own. */
import type { SealedRequest } from './client';
import type { Page } from './stand-in';

/** What is used of a socket, the browser's own or one that behaves as it. */
export type SocketLike = Pick<
	WebSocket,
	'readyState' | 'protocol' | 'bufferedAmount' | 'binaryType' | 'send' | 'close'
> &
	EventTarget;

export interface LineRequest extends SealedRequest {
	/** Whether cookies go along, and are kept. */
	cookies: boolean;
}

/** The way to the holder of the key. */
export interface Line {
	/** One exchange: cookies are the line's business, redirects are not followed. */
	send: (request: LineRequest) => Promise<Response>;
	/** @param path Path and query. */
	socket: (path: string, protocols: readonly string[]) => SocketLike;
}

/** What stands in for an EventSource. */
export interface Events {
	/** Where its events happen. */
	target: EventTarget;
	url: string;
	withCredentials: boolean;
	readyState: number;
	/** Aborted when it is closed. */
	life: AbortSignal;
	close: () => void;
}

/** A form on its way. */
export interface Posting {
	url: URL;
	body: BodyInit;
	/** Where the answer is to be shown. */
	target: string;
	/** Have the browser do it, as without the kit. */
	plain: () => void;
}

/** What a page's start does not carry (more.ts). */
export interface More {
	readEvents: (page: Page, carrier: Carrier, source: Events) => Promise<void>;
	download: (page: Page, carrier: Carrier, url: URL, name: string) => Promise<void>;
	post: (page: Page, carrier: Carrier, posting: Posting) => Promise<void>;
}

export interface Carrier {
	/**
	 * Wait at the gate. Resolves with null where a request goes as without the kit; rejects where it
	 * may not go, or with the signal's reason.
	 */
	open: (signal?: AbortSignal | null) => Promise<Line | null>;
	/** Whether requests go as without the kit now: for those that cannot wait. */
	isPlain: () => boolean;
	/** The browser's own, for what is outside. */
	fetch: typeof fetch;
	/** What is not there from the start; rejects where it cannot be had. */
	more: () => Promise<More>;
	/** Something that the page's code cannot hear of came to nothing, such as a download. */
	failed: (error: unknown) => void;
	/** Call back once after so many milliseconds; returns what cancels it. */
	later: (ms: number, call: () => void) => () => void;
}
