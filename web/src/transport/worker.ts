/**
 * The service worker: what the browser itself loads (images, frames, downloads, documents) goes
 * sealed, as what the page's own code asks for does by its wrappers. Without a permission, and
 * whatever breaks, nothing goes plain.
 */
import { CLAIM, type Claimed } from './claim';
import type { Channel, SealedRequest } from './client';
import type { Asker } from './cookies';
import { SealedError } from './errors';
import type { Tray } from './jar';
import type { Keyset } from './keyset';
import type { Permission, Told } from './shared';

/** Milliseconds in which a page comes by a permission; a person may have to confirm something. */
export const PATIENCE = 60_000;
/** Where this script comes from, as long as there is a kit. */
const WORKER = '/api/v1/tee/worker';
/** Where the script of the page lies that this worker shows where the kit is gone: kept, not asked for. */
export const REVERTED = '/api/v1/tee/reverted';
/** A request with nothing of the person's in it; where a proxy leads elsewhere, the browser goes. */
const BARE: RequestInit = {
	headers: { accept: 'text/html' },
	credentials: 'omit',
	referrerPolicy: 'no-referrer',
	cache: 'no-store',
	redirect: 'manual'
};
const REDIRECTS = [301, 302, 303, 307, 308];
/** Documents that stand in for others, of whom it is known which. */
const STAND_INS = 64;

/** What of a FetchEvent is used. */
export interface Fetching {
	readonly request: Request;
	/** Id of the document that a navigation makes. */
	readonly resultingClientId: string;
	respondWith: (answer: Promise<Response>) => void;
}

/** What of a message from a page is used. */
export interface Message {
	readonly data: unknown;
	readonly source: { readonly id: string } | null;
	readonly ports: readonly Pick<MessagePort, 'postMessage'>[];
	waitUntil: (work: Promise<unknown>) => void;
}

/** What the worker takes from outside. */
export interface World {
	origin: string;
	/** Of the browser, for requests as they are. */
	fetch: typeof fetch;
	/** What was kept under this address when the worker came. */
	kept: (address: string) => Promise<Response | undefined>;
	shared: Told;
	jar: Tray;
	/** Whether a request goes as it is: the explicit list. */
	isOutside: (method: string, url: URL) => boolean;
	/** Rejects with a `SealedError`, or whatever else went wrong; nothing has gone plain then. */
	send: (request: SealedRequest, keyset: Keyset) => Promise<Response>;
	/** Take every page of this origin under control. */
	claim: () => Promise<void>;
	unregister: () => Promise<unknown>;
}

/** Nobody there has the keys any more: another permission may help. */
const isKeyUnknown = (error: unknown): boolean =>
	error instanceof SealedError && error.code === 'key-unknown';

/** Whether an app has lost the kit: open-webui answers with its page where it has nothing. */
const isGone = ({ status, ok, headers }: Response): boolean =>
	status === 404 || (ok && !headers.get('content-type')?.includes('javascript'));

/** Opens a channel for each keyset, of which the newest is kept: they change about once an hour. */
export const newestChannel = (open: (keyset: Keyset) => Channel): ((keyset: Keyset) => Channel) => {
	let name: string | undefined;
	let newest: Channel;
	return (keyset) => {
		const asked = JSON.stringify(keyset);
		if (name !== asked) newest = open(keyset);
		name = asked;
		return newest;
	};
};

/** By what a navigation may have begun: a document on its own may come from another site. */
const askerOf = ({ mode, destination, method }: Request): Asker => {
	if (mode !== 'navigate' || destination !== 'document') return 'own';
	return method === 'GET' ? 'link' : 'form';
};

const mayChange = ({ method }: Request): boolean => method !== 'GET' && method !== 'HEAD';

/** A page of the worker's own, with nothing of the server's, and which nobody puts into a frame. */
const revertedPage = (): Response =>
	new Response(`<!doctype html><body><script src="${REVERTED}"></script>`, {
		status: 503,
		headers: {
			'content-type': 'text/html; charset=utf-8',
			'content-security-policy':
				"default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
		}
	});

/** What the worker does with the browser's requests, and with the pages' wishes. */
export interface SealingWorker {
	/** Answer a request, or leave it to the browser by not answering. */
	fetch: (event: Fetching) => void;
	/** A page wants to be under control, as after a hard reload. */
	message: (event: Message) => void;
}

/** The worker's logic, in this world. */
export const sealingWorker = (world: World): SealingWorker => {
	const { origin, shared, jar } = world;
	const { host, protocol } = new URL(origin);
	/** Ids of documents that stand in for others. */
	const standIns = new Set<string>();

	/** What is known; where that cannot be read, the stricter thing, and the page tells why. */
	const known = () => shared.known().catch(() => ({ sealed: true, permission: null }));

	/** The request's own fields, and what the browser would have added on the way. */
	const fieldsOf = async (request: Request, path: string, policy: string) => {
		const fields = new Headers(request.headers);
		const asker = askerOf(request);
		const more = {
			'sec-fetch-dest': request.destination || 'empty',
			origin: mayChange(request) && (asker === 'own' ? origin : 'null'),
			cookie: await jar.header(path, policy, asker)
		};
		for (const [name, value] of Object.entries(more)) if (value) fields.set(name, value);
		return [...fields];
	};

	/**
	 * Have the browser go on, which keeps fragments and holds the page's own policy against where it
	 * leads; to this origin it comes back here. This host without TLS would go out plain.
	 */
	const goOn = (from: string, status: number, location: string): Response => {
		const to = new URL(location, from);
		if (to.host === host) to.protocol = protocol;
		if (!/^https?:$/.test(to.protocol)) throw new Error('bad-redirect');
		return Response.redirect(to.href, status);
	};

	/** Ask as the permission says: sealed, or as without the kit. */
	const ask = async (
		request: Request,
		body: Blob | null,
		permission: Permission | null
	): Promise<Response> => {
		if (!permission) throw new Error('not-allowed');
		const { keyset, policy } = permission;
		if (!keyset) return world.fetch(request);
		const { method, url, signal } = request;
		const { pathname } = new URL(url);
		const fields = await fieldsOf(request, pathname, policy);
		const onCookies = (lines: string[]) => jar.take(pathname, lines, policy);
		const answer = await world.send({ method, url, fields, body, signal, onCookies }, keyset);
		const { status, headers } = answer;
		const location = REDIRECTS.includes(status) ? headers.get('location') : null;
		return location === null ? answer : goOn(url, status, location);
	};

	/**
	 * The app's page, asked for without path, query, cookies or anything else of the person's: the
	 * loader in it comes by a permission. Path and query stay in the browser.
	 */
	const standIn = async ({ request, resultingClientId }: Fetching): Promise<Response> => {
		const [page, script] = await Promise.all(['/', WORKER].map((path) => world.fetch(path, BARE)));
		if (page && script && !isGone(script)) {
			if (standIns.size >= STAND_INS) standIns.clear();
			standIns.add(resultingClientId);
			return page;
		}
		if ((await known()).sealed) return revertedPage();
		await world.unregister();
		return world.fetch(request);
	};

	const answer = async (event: Fetching): Promise<Response> => {
		const { request } = event;
		if (new URL(request.url).pathname === REVERTED) {
			return (await world.kept(REVERTED)) ?? Response.error();
		}
		const isPage = askerOf(request) === 'link';
		/** Only a page comes by a permission: it waits for none, and the rest for one. */
		const allowed = async (): Promise<Permission | null> =>
			isPage ? (await known()).permission : shared.permission(PATIENCE);
		const first = await allowed();
		if (isPage && !first) return standIn(event);
		const body = first?.keyset && mayChange(request) ? await request.blob() : null;
		try {
			return await ask(request, body, first);
		} catch (error) {
			if (!isKeyUnknown(error) || !first) throw error;
			await shared.doubt(first);
			if (isPage) return standIn(event);
			const next = await allowed();
			// Never as without the kit: what was to go sealed goes sealed.
			if (!next?.keyset) throw error;
			return ask(request, body, next);
		}
	};

	return {
		fetch(event) {
			let isOurs = true; // where this is not known, nothing goes as it is
			try {
				const url = new URL(event.request.url);
				const isSent = url.pathname !== REVERTED && world.isOutside(event.request.method, url);
				isOurs = url.origin === origin && !isSent;
			} finally {
				if (isOurs) event.respondWith(answer(event).catch(() => Response.error()));
			}
		},
		message(event) {
			const { data, source, ports } = event;
			if (data !== CLAIM) return;
			const told: Claimed = { standIn: source !== null && standIns.has(source.id) };
			event.waitUntil(
				world.claim().then(() => {
					ports[0]?.postMessage(told);
				})
			);
		}
	};
};
