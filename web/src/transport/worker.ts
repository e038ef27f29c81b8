/**
 * The service worker: what the browser itself loads (images, frames, downloads, documents) goes
 * sealed, as what the page's own code asks for does by its wrappers. Without a permission, and
 * whatever breaks, nothing goes plain.
 */
import { CLAIM, type Claimed } from './claim';
import type { Channel } from './client';
import type { Asker } from './cookies';
import { isOutdated } from './errors';
import type { Tray } from './jar';
import type { Keyset } from './keyset';
import { isReading } from './request-body';
import type { Permission, Told } from './shared';
import { refuseChange, STATEMENT } from './statement';

/** Milliseconds in which a page comes by a permission; a person may have to confirm something. */
export const PATIENCE = 60_000;
/** Where this script comes from, as long as there is a kit. */
const WORKER = '/api/v1/tee/worker';
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
	/** The script of the page that is shown where the kit is gone, kept when the worker came. */
	kept: () => Promise<Response | undefined>;
	shared: Told;
	jar: Tray;
	/** Whether a request goes as it is: the explicit list. */
	isOutside: (method: string, url: URL) => boolean;
	/** Open a channel to the holder of these keys. */
	open: (keyset: Keyset) => Channel;
	/** Those who take every page of this origin under control. */
	readonly clients: { readonly claim: () => Promise<void> };
	readonly registration: Pick<ServiceWorkerRegistration, 'unregister'>;
}

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

/**
 * A page of the worker's own, with nothing of the server's: only what stands in it counts, it loads
 * nothing, and nobody puts it into a frame.
 */
const revertedPage = async (kept?: Response): Promise<Response> =>
	new Response(`<body><script>${await kept?.text()}</script>`, {
		status: 503,
		headers: {
			'content-type': 'text/html',
			'content-security-policy': "default-src 'unsafe-inline'; frame-ancestors 'none'"
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
	const channelTo = newestChannel(world.open);

	/** What is known; where that cannot be read, the stricter thing, and the page tells why. */
	const known = () => shared.known().catch(() => ({ sealed: true, permission: null }));

	/** The request's own fields, and what the browser would have added on the way. */
	const fieldsOf = async (request: Request, path: string, { policy, statement }: Permission) => {
		const fields = new Headers(request.headers);
		const asker = askerOf(request);
		const more = {
			'sec-fetch-dest': request.destination || 'empty',
			origin: !isReading(request.method) && (asker === 'own' ? origin : 'null'),
			cookie: await jar.header(path, policy, asker),
			[STATEMENT]: statement
		};
		for (const [name, value] of Object.entries(more)) if (value) fields.set(name, value);
		return [...fields];
	};

	/**
	 * Ask as the permission says: sealed, or as without the kit. Where an answer leads elsewhere the
	 * browser goes on, which keeps fragments and holds the page's own policy against it; to this
	 * origin it comes back here. This host without TLS would go out plain.
	 */
	const ask = async (
		request: Request,
		body: Blob | null,
		permission: Permission
	): Promise<Response> => {
		const { keyset, policy } = permission;
		if (!keyset) return world.fetch(request);
		const { method, url, signal } = request;
		const { pathname } = new URL(url);
		const answer = await channelTo(keyset).request({
			method,
			url,
			fields: await fieldsOf(request, pathname, permission),
			body,
			signal,
			onCookies: (lines) => jar.take(pathname, lines, policy)
		});
		refuseChange(answer);
		const { status, headers } = answer;
		const location = REDIRECTS.includes(status) ? headers.get('location') : null;
		if (location === null) return answer;
		const to = new URL(location, url);
		if (to.host === host) to.protocol = protocol;
		return /^https?:$/.test(to.protocol) ? Response.redirect(to, status) : Response.error();
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
		if ((await known()).sealed) return revertedPage(await world.kept());
		await world.registration.unregister();
		return world.fetch(request);
	};

	const answer = async (event: Fetching): Promise<Response> => {
		const { request } = event;
		const isPage = askerOf(request) === 'link';
		/** Only a page comes by a permission: it waits for none, and the rest for one. */
		const allowed = async (): Promise<Permission | null> =>
			isPage ? (await known()).permission : shared.permission(PATIENCE);
		const first = await allowed();
		if (!first) return isPage ? standIn(event) : Response.error();
		const body = first.keyset && !isReading(request.method) ? await request.blob() : null;
		try {
			return await ask(request, body, first);
		} catch (error) {
			if (!isOutdated(error)) throw error;
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
				isOurs = url.origin === origin && !world.isOutside(event.request.method, url);
			} finally {
				if (isOurs) event.respondWith(answer(event).catch(() => Response.error()));
			}
		},
		message(event) {
			const { data, source, ports } = event;
			if (data !== CLAIM) return;
			const told: Claimed = { standIn: source !== null && standIns.has(source.id) };
			event.waitUntil(
				world.clients.claim().then(() => {
					ports[0]?.postMessage(told);
				})
			);
		}
	};
};
