import type { Environment } from '../base/environment';

/** Milliseconds in which a courier comes, or counts as not there. */
const PATIENCE = 15_000;

interface Courier {
	origin: string;
	frame: HTMLIFrameElement;
	/** Resolves with its window; rejects with a TypeError, as `fetch` does without a connection. */
	ready: Promise<Window & typeof globalThis>;
}

const unreachable = () => new TypeError('no courier');

/**
 * A `fetch` for services elsewhere. The page's own policy lets it connect to none of them, which
 * also holds for whatever an answer brings into the page; so a frame does it, whose policy allows the
 * one origin that is asked. Another origin gets another frame: a change of settings needs no reload.
 *
 * Where no courier comes, because a proxy forbids all frames, the page asks itself: its policy may
 * allow the service.
 *
 * @param page The document that the frames are put into.
 * @param api Base of open-webui's API.
 * @param own The page's own `fetch`.
 */
export const courierFetch = (
	page: Document,
	api: string,
	later: Environment['later'],
	own: typeof fetch
): typeof fetch => {
	let courier: Courier | undefined;

	/** A frame, unseen, whose document may connect to this origin. */
	const send = (origin: string): Courier => {
		const frame = page.createElement('iframe');
		frame.hidden = true;
		frame.src = `${api}/tee/courier?origin=${encodeURIComponent(origin)}`;
		const ready = new Promise<Window & typeof globalThis>((resolve, reject) => {
			const cancel = later(PATIENCE, () => {
				reject(unreachable());
			});
			frame.addEventListener('load', () => {
				cancel();
				const { contentWindow } = frame;
				try {
					// A browser's own error page lets nobody look at it.
					if (typeof contentWindow?.location.href !== 'string') throw unreachable();
					resolve(contentWindow as Window & typeof globalThis);
				} catch {
					reject(unreachable());
				}
			});
		});
		page.body.append(frame);
		return { origin, frame, ready };
	};

	const to = (origin: string): Courier => {
		if (courier?.origin === origin && courier.frame.isConnected) return courier;
		courier?.frame.remove();
		const next = send(origin);
		courier = next;
		next.ready.catch(() => {
			next.frame.remove(); // the next request tries again
		});
		return next;
	};

	return async (input, init) => {
		const { origin } = new URL(input instanceof Request ? input.url : input);
		const there = await to(origin).ready.catch(() => undefined);
		return there ? there.fetch(input, init) : own(input, init);
	};
};
