/** A sealed answer as the page knows answers: a `Response` whose body streams. */
import type { Answer, Fields } from './binary-http';
import type { Pull } from './bytes';
import { broken } from './errors';
import { unpadded } from './padding';

export const CODING = 'tee-padded';
const LENGTH_FIELD = 'tee-content-length';

/** Answers that have no body (Fetch standard, null body status). */
const WITHOUT_BODY = [204, 205, 304];

export const fieldOf = (fields: Fields, name: string): string | undefined =>
	fields.find(([other]) => other === name)?.[1];

/** Take off the coding `tee-padded`, which is the last where it is there. */
export const decoded = ({ status, fields, content }: Answer): Answer => {
	const codings = (fieldOf(fields, 'content-encoding') ?? '').split(/\s*,\s*/);
	if (codings.pop() !== CODING) return { status, fields, content };
	const length = fieldOf(fields, LENGTH_FIELD);
	const others = ['content-encoding', 'content-length', LENGTH_FIELD];
	const kept = fields.filter(([name]) => !others.includes(name));
	if (codings.length) kept.push(['content-encoding', codings.join(', ')]);
	if (length !== undefined) kept.push(['content-length', length]);
	return { status, fields: kept, content: unpadded(content) };
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
	{ status, fields, content }: Answer,
	method: string,
	life: AbortController,
	onDownload: (loaded: number, total: number | null) => void
): Promise<Response> => {
	const headers = new Headers();
	for (const [name, value] of fields) {
		if (name !== 'set-cookie') headers.append(name, value);
	}
	let body: ReadableStream | null = null;
	if (method === 'HEAD' || WITHOUT_BODY.includes(status)) {
		while (await content());
		life.abort();
	} else {
		const said = headers.get('content-length');
		const total = said === null ? null : Number(said);
		const pieces = measured(content, total, (loaded) => {
			onDownload(loaded, total);
		});
		body = stream(pieces, life);
	}
	return new Response(body, { status, headers });
};
