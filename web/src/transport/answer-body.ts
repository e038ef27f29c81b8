/** A sealed answer as the page knows answers: a `Response` whose body streams. */
import type { Answer } from './binary-http';
import type { Pull } from './bytes';
import { broken } from './errors';
import { unpadded } from './padding';

export const CODING = 'tee-padded';
const LENGTH_FIELD = 'tee-content-length';

/** Answers that have no body (Fetch standard, null body status). */
const WITHOUT_BODY = [204, 205, 304];

/** An answer whose coding is taken off. */
export interface Decoded {
	status: number;
	headers: Headers;
	content: Pull;
}

/** Take off the coding `tee-padded`, which is the last where it is there. */
export const decoded = ({ status, fields, content }: Answer): Decoded => {
	const headers = new Headers(fields);
	const codings = (headers.get('content-encoding') ?? '').split(/\s*,\s*/);
	if (codings.pop() !== CODING) return { status, headers, content };
	const length = headers.get(LENGTH_FIELD);
	for (const name of ['content-encoding', 'content-length', LENGTH_FIELD]) headers.delete(name);
	if (codings.length) headers.set('content-encoding', codings.join(', '));
	if (length) headers.set('content-length', length);
	return { status, headers, content: unpadded(content) };
};

/** Reject where the pieces are not as long together as was said. */
const measured = (content: Pull, said: number | null, onPiece: (loaded: number) => void): Pull => {
	let loaded = 0;
	return async () => {
		const piece = await content();
		loaded += piece?.length ?? 0;
		if (said !== null && (piece ? loaded > said : loaded !== said)) throw broken();
		if (piece) onPiece(loaded);
		return piece;
	};
};

/** Stream the pieces; `life` ends with the last of them, and the stream with `life`. */
const stream = (content: Pull, life: AbortController): ReadableStream =>
	new ReadableStream({
		start(controller) {
			life.signal.addEventListener('abort', () => {
				controller.error(life.signal.reason);
			});
		},
		async pull(controller) {
			try {
				const piece = await content();
				if (life.signal.aborted) return;
				if (piece) {
					controller.enqueue(piece);
				} else {
					controller.close();
					life.abort();
				}
			} catch (error) {
				life.abort(error);
			}
		},
		cancel(reason) {
			life.abort(reason);
		}
	});

/**
 * Make the page's answer. Its body rejects where it is cut off; one without a body is read to its
 * end here, so that it is not shown as whole before that.
 *
 * @param method The request's.
 * @param life Aborted, it ends the body with its reason.
 */
export const makeResponse = async (
	{ status, headers, content }: Decoded,
	method: string,
	life: AbortController,
	onDownload?: (loaded: number, total: number | null) => void
): Promise<Response> => {
	headers.delete('set-cookie');
	let body: ReadableStream | null = null;
	if (method === 'HEAD' || WITHOUT_BODY.includes(status)) {
		while (await content());
		life.abort();
	} else {
		const said = headers.get('content-length');
		const total = said === null ? null : Number(said);
		const pieces = measured(content, total, (loaded) => {
			onDownload?.(loaded, total);
		});
		body = stream(pieces, life);
	}
	return new Response(body, { status, headers });
};
