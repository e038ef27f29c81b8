/** The service worker's script: the real outside world around its logic. */
import { createChannel } from './transport/client';
import { openTray } from './transport/jar';
import { isOutside } from './transport/outside';
import { openBell, openStore, openTold } from './transport/shared';
import {
	newestChannel,
	REVERTED,
	sealingWorker,
	type Fetching,
	type Message
} from './transport/worker';

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

const scope = self as unknown as Scope;
const { clients, registration, location } = scope;
const { subtle } = crypto;

const now = () => Date.now();
const later = (ms: number, call: () => void) => {
	const timer = setTimeout(call, ms);
	return () => {
		clearTimeout(timer);
	};
};
const fetchPlain: typeof fetch = (input, init) => fetch(input, init);

const store = openStore(() => indexedDB, later);
const bell = openBell(() => new BroadcastChannel('tee-sealed'));

const channelTo = newestChannel((keyset) => {
	const channel = createChannel(
		{
			fetch: fetchPlain,
			now,
			api: API,
			subtle,
			origin: location.origin,
			fields: [
				['user-agent', navigator.userAgent],
				['accept-language', navigator.languages.join(', ')]
			]
		},
		keyset
	);
	channel.prepare();
	return channel;
});

const worker = sealingWorker({
	origin: location.origin,
	fetch: fetchPlain,
	kept: (address) => caches.match(address),
	shared: openTold(store, bell, { now, later }),
	jar: openTray(store, location.hostname, now),
	isOutside,
	send: (request, keyset) => channelTo(keyset).request(request),
	claim: () => clients.claim(),
	unregister: () => registration.unregister()
});

/** Keep the script that is needed where this origin has nothing of the kit any more. */
const keepScript = async (): Promise<void> => {
	const script = await fetch(`${API}/tee/page/${REVERTED_PIECE}`);
	if (!script.ok) throw new Error(`${script.status}`);
	await (await caches.open('tee-sealed')).put(REVERTED, script);
};

// What is new takes over at once: pages and worker come from the same server.
scope.addEventListener('install', (event) => {
	event.waitUntil(Promise.all([keepScript(), scope.skipWaiting()]));
});
scope.addEventListener('activate', (event) => {
	event.waitUntil(clients.claim());
});
scope.addEventListener('message', (event) => {
	worker.message(event);
});
scope.addEventListener('fetch', (event) => {
	worker.fetch(event);
});
