/** The service worker's script: the real outside world around its logic. */
import type { Fields } from './transport/binary-http';
import { createChannel } from './transport/client';
import { openTray } from './transport/jar';
import { isOutside } from './transport/outside';
import { openBell, openStore, openTold } from './transport/shared';
import { sealingWorker, type Fetching, type Message } from './transport/worker';

/** The name of the piece that reverted.ts becomes, with its hash; build.js puts it in. */
declare const REVERTED_PIECE: string;

/** What of a ServiceWorkerGlobalScope is used; the library that has it knows no windows. */
interface Scope {
	readonly clients: { claim: () => Promise<void> };
	readonly registration: { unregister: () => Promise<boolean> };
	readonly location: { readonly origin: string; readonly hostname: string };
	skipWaiting: () => Promise<void>;
	addEventListener: ((name: 'fetch', call: (event: Fetching) => void) => void) &
		((name: 'message', call: (event: Message) => void) => void) &
		((name: 'install' | 'activate', call: (event: Pick<Message, 'waitUntil'>) => void) => void);
}

/** Base of open-webui's API: this script is one of the kit's routes. */
const API = '/api/v1';
/** Where the script of the page is that the worker shows where the kit is gone: kept from the beginning. */
const REVERTED = `${API}/tee/page/${REVERTED_PIECE}`;

const scope = self as unknown as Scope;
const { clients, registration, location } = scope;

const here = {
	fetch: fetch.bind(self),
	now: () => Date.now(),
	later: (ms: number, call: () => void) => {
		const timer = setTimeout(call, ms);
		return () => {
			clearTimeout(timer);
		};
	},
	api: API,
	subtle: crypto.subtle,
	origin: location.origin,
	fields: [
		['user-agent', navigator.userAgent],
		['accept-language', navigator.languages.join(', ')]
	] satisfies Fields
};

const store = openStore(() => indexedDB, here.later);
const bell = openBell(() => new BroadcastChannel('tee-sealed'));

const worker = sealingWorker({
	...here,
	kept: () => caches.match(REVERTED),
	shared: openTold(store, bell, here),
	jar: openTray(store, location.hostname, here.now),
	isOutside,
	open: (keyset) => createChannel(here, keyset),
	clients,
	registration
});

/** Rejects where the server does not have it, and so there is no worker. */
const keepScript = async () => (await caches.open('tee-sealed')).add(REVERTED);

// What is new takes over at once: pages and worker come from the same server.
scope.addEventListener('install', (event) => {
	event.waitUntil(Promise.all([keepScript(), scope.skipWaiting()]));
});
scope.addEventListener('activate', (event) => {
	event.waitUntil(clients.claim());
});
scope.addEventListener('message', worker.message);
scope.addEventListener('fetch', worker.fetch);
