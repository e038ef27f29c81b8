/** The page's sealed transport: the real outside world around its door. It comes with every page. */
import { whoseIn } from './base/account';
import { refusalIn } from './i18n/refusals';
import { createChannel } from './transport/client';
import { CONFIRMED, confirmations } from './transport/confirmed';
import { WorkerControl } from './transport/control';
import { Door } from './transport/door';
import { Gate } from './transport/gate';
import { openJar } from './transport/jar';
import type { Keyset } from './transport/keyset';
import type { Held } from './transport/line';
import { orInMemory } from './transport/memory';
import { poolOf } from './transport/pool';
import { openBell, openShared, openStore } from './transport/shared';
import { createSockets } from './transport/sockets';
import { wrapCookie } from './transport/wrap-cookie';

/** The browser's own functions, taken before the app could change them. */
export interface Own {
	fetch: typeof fetch;
	WebSocket: typeof WebSocket;
	/** Hears of what the page's code cannot hear of. */
	failed: (error: unknown) => void;
}

// This file is <api>/tee/page/<name>.
const api = new URL('../..', import.meta.url).href.replace(/\/$/, '');
const { origin, hostname } = location;
const now = () => Date.now();
const later = (ms: number, call: () => void) => {
	const timer = setTimeout(call, ms);
	return () => {
		clearTimeout(timer);
	};
};

/** Open the door of this page; it begins with what this browser kept. */
export const open = ({ fetch, WebSocket, failed }: Own): Door => {
	const store = openStore(() => indexedDB, later);
	const bell = openBell(() => new BroadcastChannel('tee-sealed'));
	const jar = openJar(orInMemory(store), hostname, now);

	const hold = (keyset: Keyset, policy: string, statement?: string): Held => {
		const { subtle } = crypto;
		const fields: [string, string][] = [
			['user-agent', navigator.userAgent],
			['accept-language', navigator.languages.join(', ')]
		];
		const env = { fetch, now, api, subtle, origin, fields };
		const channel = createChannel(env, keyset, poolOf());
		const sockets = createSockets({ later, api, subtle, origin, WebSocket }, channel);
		return { channel, sockets, policy, statement };
	};

	const whose = () => whoseIn(() => localStorage);

	const endCookies = (): void => {
		fetch(`${api}/tee/cookies`, {
			method: 'POST',
			credentials: 'same-origin',
			referrerPolicy: 'no-referrer',
			keepalive: true // this document may be loaded anew at once
		}).catch(() => undefined); // they then go along as before
	};

	const container = (navigator as Partial<Navigator>).serviceWorker;
	const door: Door = new Door({
		gate: new Gate<Held>({
			later,
			failures: confirmations(() => sessionStorage, CONFIRMED, whose),
			warnings: confirmations(() => localStorage, CONFIRMED, whose),
			say: (reason) => refusalIn(document.documentElement.lang || navigator.language, reason)
		}),
		shared: openShared(store, bell, { now, later }),
		jar,
		control: new WorkerControl(container, `${api}/tee/worker`, later),
		hold,
		showCookies: () => showCookies(),
		endCookies,
		fetch,
		more: () => import('./transport/more'),
		failed,
		now,
		later,
		origin,
		reload() {
			location.reload();
		}
	});
	const showCookies = wrapCookie(document, jar, {
		policy: () => door.policy,
		path: () => location.pathname,
		host: hostname,
		now
	});
	// Where the browser keeps nothing, the verification has to come to something.
	door.begin().catch(failed);
	return door;
};
