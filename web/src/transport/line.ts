/** The carrier that the page has: the gate, the channel behind it, and the cookies of this origin. */
import type { Carrier, Line, LineRequest } from './carrier';
import type { Channel } from './client';
import { isOutdated } from './errors';
import type { Gate } from './gate';
import type { Jar } from './jar';
import { SealedSocket } from './socket';
import { socketAddress, type Sockets } from './sockets';
import { meantFor, refuseChange } from './statement';

/** What the gate lets requests go to: the holder of a keyset's keys, for one verdict's time. */
export interface Held {
	channel: Channel;
	/** They end with the verdict, for good: the next one brings others, even for the same keys. */
	sockets: Pick<Sockets, 'connect' | 'end'>;
	/** Under which policy the keys were judged: cookies are kept apart by it. */
	policy: string;
	/** The hash of the statement that the verdict is about; missing where it was about none. */
	statement?: string;
}

export interface LineEnvironment extends Pick<Carrier, 'fetch' | 'more' | 'failed' | 'later'> {
	gate: Gate<Held>;
	jar: Pick<Jar, 'header' | 'take'>;
	/** This page's own. */
	origin: string;
	/**
	 * The server does not know these keys any more: the gate is closed before this returns, and the
	 * next verdict opens it.
	 */
	doubt: (held: Held) => void;
	/** Wait until a request may go, by what it says; rejects where it may not. */
	mind: (request: LineRequest) => Promise<void>;
}

/** Have the wrappers' requests wait at the gate and go by what it lets them. */
export const createCarrier = (env: LineEnvironment): Carrier => {
	const { gate, jar, origin } = env;
	const ending = new WeakSet<Held>();

	const endWith = (ended: AbortSignal, held: Held): void => {
		if (ending.has(held)) return;
		ending.add(held);
		ended.addEventListener('abort', () => {
			held.sockets.end();
		});
	};

	/** Wait for the next one, sealed or none. */
	const next = async (signal?: AbortSignal | null): Promise<Held | null> => {
		const { channel: held, ended } = await gate.pass(signal);
		if (held) endWith(ended, held);
		return held;
	};

	/** Where the verdict is outdated, try once more under the next one. */
	const through = async <T>(
		held: Held,
		signal: AbortSignal | null | undefined,
		act: (held: Held) => Promise<T>
	): Promise<T> => {
		try {
			return await act(held);
		} catch (error) {
			if (!isOutdated(error)) throw error;
			env.doubt(held);
			const other = await next(signal);
			// Never as without the kit: what was to go sealed goes sealed.
			if (!other || other === held) throw error;
			return act(other);
		}
	};

	const cookieOf = async (pathname: string, policy: string): Promise<[string, string][]> => {
		const text = await jar.header(pathname, policy);
		return text ? [['cookie', text]] : [];
	};

	const withCookies = async (
		{ channel, policy }: Held,
		{ cookies, ...request }: LineRequest
	): Promise<Response> => {
		if (!cookies) return channel.request(request);
		const { pathname } = new URL(request.url);
		const fields = [...(request.fields ?? []), ...(await cookieOf(pathname, policy))];
		return channel.request({
			...request,
			fields,
			onCookies: (lines) => jar.take(pathname, lines, policy)
		});
	};

	/** Nothing is answered that was meant for another statement than the present one. */
	const send = async (held: Held, request: LineRequest): Promise<Response> => {
		const { statement } = held;
		if (statement === undefined) return withCookies(held, request);
		const fields = meantFor(statement, request.fields ?? []);
		const answer = await withCookies(held, { ...request, fields });
		refuseChange(answer);
		return answer;
	};

	const lineOf = (held: Held): Line => ({
		send: (request) =>
			through(held, request.signal, async (one) => {
				// Each time: another verdict may know other things.
				await env.mind(request);
				return send(one, request);
			}),
		socket(path, protocols) {
			const wanted = [...protocols];
			const address = socketAddress(path, origin);
			const { pathname } = new URL(address);
			const connect = async ({ sockets, policy, statement }: Held) => {
				const fields: [string, string][] = [
					['origin', origin],
					...(await cookieOf(pathname, policy))
				];
				return sockets.connect(
					path,
					wanted,
					statement === undefined ? fields : meantFor(statement, fields)
				);
			};
			return new SealedSocket(address, wanted, () => through(held, null, connect), env.later);
		}
	});

	return {
		async open(signal) {
			const held = await next(signal);
			return held && lineOf(held);
		},
		isPlain() {
			const { decision } = gate.view;
			return decision.kind === 'open' && decision.way === 'plain';
		},
		fetch: env.fetch,
		more: env.more,
		failed: env.failed,
		later: env.later
	};
};
