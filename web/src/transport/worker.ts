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
import type { Known, Permission, Told } from './shared';

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
/** Documents that stand in for others, of whom it is known which. */
const STAND_INS = 64;

export type Sealing = Extract<Permission, { kind: 'sealed' }>;

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
	send: (request: SealedRequest, keys: Sealing) => Promise<Response>;
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

const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status);

/** By what a navigation may have begun: a document on its own may come from another site. */
const askerOf = ({ mode, destination, method }: Request): Asker => {
	if (mode !== 'navigate' || destination !== 'document') return 'own';
	return method === 'GET' ? 'link' : 'form';
};

const mayChange = ({ method }: Request): boolean => method !== 'GET' && method !== 'HEAD';

export class SealingWorker {
	/** Ids of documents that stand in for others. */
	readonly #standIns = new Set<string>();

	constructor(private readonly world: World) {}

	/** Answer a request, or leave it to the browser by not answering. */
	fetch(event: Fetching): void {
		let isOurs = true; // where this is not known, nothing goes as it is
		try {
			const url = new URL(event.request.url);
			const { origin, isOutside } = this.world;
			const isSent = url.pathname !== REVERTED && isOutside(event.request.method, url);
			isOurs = url.origin === origin && !isSent;
		} finally {
			if (isOurs) event.respondWith(this.#answer(event).catch(() => Response.error()));
		}
	}

	/** A page wants to be under control, as after a hard reload. */
	message(event: Message): void {
		const { data, source, ports } = event;
		if (data !== CLAIM) return;
		const told: Claimed = { standIn: source !== null && this.#standIns.has(source.id) };
		event.waitUntil(
			this.world.claim().then(() => {
				ports[0]?.postMessage(told);
			})
		);
	}

	async #answer(event: Fetching): Promise<Response> {
		const { request } = event;
		const { mode, destination, method, url } = request;
		if (new URL(url).pathname === REVERTED) {
			return (await this.world.kept(REVERTED)) ?? Response.error();
		}
		const isDocument = mode === 'navigate' && destination === 'document' && method === 'GET';
		if (!isDocument) return this.#resource(request);

		// Only a page comes by a permission: without one, it has to come first.
		const { permission } = await this.#known();
		if (!permission) return this.#standIn(event);
		if (permission.kind === 'plain') return this.world.fetch(request);
		try {
			return await this.#sealed(request, null, permission);
		} catch (error) {
			if (!isKeyUnknown(error)) throw error;
			await this.world.shared.doubt(permission);
			return this.#standIn(event);
		}
	}

	/** Answer what a page needs: there is, or soon will be, one that comes by a permission. */
	async #resource(request: Request): Promise<Response> {
		const { shared } = this.world;
		const first = await shared.permission(PATIENCE);
		if (first?.kind === 'plain') return this.world.fetch(request);
		const body = mayChange(request) ? await request.blob() : null;
		try {
			return await this.#sealed(request, body, first);
		} catch (error) {
			if (!isKeyUnknown(error) || !first) throw error;
			await shared.doubt(first);
			return this.#sealed(request, body, await shared.permission(PATIENCE));
		}
	}

	async #sealed(
		request: Request,
		body: Blob | null,
		permission: Permission | null
	): Promise<Response> {
		if (permission?.kind !== 'sealed') throw new Error('not-allowed');
		const { jar, send } = this.world;
		const { policy } = permission;
		const { pathname } = new URL(request.url);
		const { method, url, signal } = request;
		const fields = await this.#fields(request, pathname, policy);
		const onCookies = (lines: string[]) => jar.take(pathname, lines, policy);
		const response = await send({ method, url, fields, body, signal, onCookies }, permission);
		const location = isRedirect(response.status) ? response.headers.get('location') : null;
		return location === null ? response : this.#redirect(request, response.status, location);
	}

	/** The request's own, and what the browser would have added on the way. */
	async #fields(request: Request, path: string, policy: string): Promise<[string, string][]> {
		const { jar, origin } = this.world;
		const fields = new Headers(request.headers);
		const asker = askerOf(request);
		const more = {
			'sec-fetch-dest': request.destination || 'empty',
			origin: mayChange(request) ? originOf(asker, origin) : '',
			cookie: await jar.header(path, policy, asker)
		};
		for (const [name, value] of Object.entries(more)) if (value) fields.set(name, value);
		return [...fields];
	}

	/**
	 * Have the browser go on, which keeps fragments and holds the page's own policy against where it
	 * leads; to this origin it comes back here. This host without TLS would go out plain.
	 */
	#redirect(request: Request, status: number, location: string): Response {
		const to = new URL(location, request.url);
		const here = new URL(this.world.origin);
		if (to.host === here.host) to.protocol = here.protocol;
		if (!/^https?:$/.test(to.protocol)) throw new Error('bad-redirect');
		return Response.redirect(to.href, status);
	}

	/**
	 * The app's page, asked for without path, query, cookies or anything else of the person's: the
	 * loader in it comes by a permission. Path and query stay in the browser.
	 */
	async #standIn({ request, resultingClientId }: Fetching): Promise<Response> {
		const { fetch, unregister } = this.world;
		const [page, script] = await Promise.all(['/', WORKER].map((path) => fetch(path, BARE)));
		if (page && script && !isGone(script)) {
			this.#remember(resultingClientId);
			return page;
		}
		if ((await this.#known()).sealed) return revertedPage();
		await unregister();
		return fetch(request);
	}

	/** What is known; where that cannot be read, the stricter thing, and the page tells why. */
	#known(): Promise<Known> {
		return this.world.shared.known().catch(() => ({ sealed: true, permission: null }));
	}

	#remember(client: string): void {
		if (this.#standIns.size >= STAND_INS) this.#standIns.clear();
		this.#standIns.add(client);
	}
}

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

const originOf = (asker: Asker, origin: string): string => (asker === 'own' ? origin : 'null');
