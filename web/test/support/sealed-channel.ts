/** A channel to a pretended server, and what a proxy between them does. */
import { createChannel } from '../../src/transport/client';
import { readKeyset } from '../../src/transport/keyset';
import { poolOf } from '../../src/transport/pool';
import { makeEnvironment, NOW } from './environment';
import { type InnerAnswer, type InnerRequest, makeSealedServer } from './sealed-server';

export const ORIGIN = 'https://chat.example';
export const NOT_AFTER = NOW * 1000 + 3_600_000;

/** An outer answer of these bytes, in pieces where a size is given. */
export const outerAnswer = (bytes: Uint8Array, size = Infinity): Response => {
	let at = 0;
	const body = new ReadableStream<Uint8Array>({
		pull(controller) {
			if (at >= bytes.length) {
				controller.close();
				return;
			}
			controller.enqueue(Uint8Array.from(bytes.subarray(at, at + size)));
			at += size;
		}
	});
	return new Response(body, { headers: { 'content-type': 'message/ohttp-chunked-res' } });
};

export interface Options {
	handle?: (request: InnerRequest) => InnerAnswer | Promise<InnerAnswer>;
	/** What the proxy makes of an answer's pieces: the nonce, then chunks. */
	proxy?: (pieces: Buffer[]) => Response;
	/** What comes in place of the server's answer, by the number of the request. */
	instead?: (number: number, init: RequestInit) => Response | Promise<Response> | undefined;
	subtle?: SubtleCrypto;
	/** How many requests are begun ahead; none where this is missing. */
	ahead?: number;
	kems?: Parameters<typeof makeSealedServer>[2];
	aeads?: Parameters<typeof makeSealedServer>[3];
}

export const openChannel = async ({
	handle,
	proxy,
	instead,
	subtle,
	ahead,
	kems,
	aeads
}: Options = {}) => {
	const server = await makeSealedServer(NOT_AFTER, handle, kems, aeads);
	const outer: { url: string; init: RequestInit; bytes: Uint8Array }[] = [];
	const fetch: typeof globalThis.fetch = async (input, init = {}) => {
		init.signal?.throwIfAborted();
		const bytes = new Uint8Array(await new Response(init.body).arrayBuffer());
		outer.push({ url: input instanceof Request ? input.url : String(input), init, bytes });
		const other = await instead?.(outer.length, init);
		if (other) return other;
		if (proxy) return proxy(await server.answerPieces(bytes));
		return server.answer({ init: { body: bytes } });
	};
	const env = {
		...makeEnvironment(fetch),
		origin: ORIGIN,
		subtle: subtle ?? crypto.subtle,
		fields: [['user-agent', 'a browser']] as [string, string][]
	};
	const keyset = await readKeyset(crypto.subtle, server.keyset);
	const channel = createChannel(env, keyset, ahead === undefined ? undefined : poolOf(ahead));
	return { channel, server, outer, env };
};
