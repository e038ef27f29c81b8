/** Sealed sockets of a channel: each begins with a sealed request for a ticket and a secret. */
import { fromBase64url, toBase64url, toUtf8 } from '../base/encoding';
import type { Environment } from '../base/environment';
import { own } from '../base/json';
import type { Fields } from './binary-http';
import type { Channel } from './client';
import { SealedError } from './errors';
import { openFrames } from './frames';
import { type Connection, SealedSocket } from './socket';
import { refuseChange } from './statement';

/** What sockets take from outside, beside what their channel took. */
export interface SocketEnvironment extends Pick<Environment, 'later' | 'api' | 'origin'> {
	subtle: SubtleCrypto;
	/** The browser's own. */
	WebSocket: typeof WebSocket;
}

export interface Sockets {
	/** Connect one; `path` has the query. Rejects as the channel's `request` does. */
	connect: (path: string, protocols: readonly string[], fields?: Fields) => Promise<Connection>;
	/** The page's WebSocket for a path, connecting. */
	open: (path: string, protocols: readonly string[], fields?: Fields) => SealedSocket;
	/** The verdict behind the channel has ended: its sockets break at once, and no other is made. */
	end: () => void;
}

/** An address of this origin, for a socket. */
export const socketAddress = (path: string, origin: string): string => {
	const url = new URL(path, origin);
	url.protocol = url.protocol.replace('http', 'ws');
	return url.href;
};

export const createSockets = (
	env: SocketEnvironment,
	{ request }: Pick<Channel, 'request'>
): Sockets => {
	const ending = new AbortController();
	const life = ending.signal;

	const connect: Sockets['connect'] = async (path, protocols, fields = []) => {
		const response = await request({
			method: 'POST',
			url: `${env.api}/tee/ws`,
			fields: [...fields, ['content-type', 'application/json']],
			body: toUtf8(JSON.stringify({ path, protocols })),
			signal: life
		});
		refuseChange(response);
		if (response.status !== 200) throw new SealedError('sealed-refused', '', response.status);
		const answer: unknown = await response.json();
		const ticket = toBase64url(fromBase64url(own(answer, 'ticket')));
		const frames = await openFrames(env.subtle, fromBase64url(own(answer, 'secret')));
		life.throwIfAborted();
		const outer = new env.WebSocket(socketAddress(`${env.api}/tee/ws/${ticket}`, env.origin));
		return { outer, frames, life };
	};

	return {
		connect,
		open: (path, protocols, fields) =>
			new SealedSocket(
				socketAddress(path, env.origin),
				protocols,
				() => connect(path, protocols, fields),
				env.later
			),
		end: () => {
			ending.abort();
		}
	};
};
