/** The bytes of a request: an app's body, and the whole message around it. */
import { type Bytes, concat, varint } from './bytes';
import { CHUNK_LENGTH, type Encapsulation } from './chunked-ohttp';
import { bucket } from './padding';

/** What can be read twice, for a repeat. */
export type Body = Bytes | Blob;

/** Bytes that are kept in memory; more than that goes into a Blob, which the browser may put away. */
const IN_MEMORY = 1 << 20;

/** Whether a request has no body, and changes nothing. */
export const isReading = (method: string): boolean => /^(GET|HEAD)$/.test(method);

export const sizeOf = (body: Body): number => (body instanceof Blob ? body.size : body.length);

/** A request's head and its body as one message whose length is a bucket. */
export const writeMessage = (head: Bytes, body: Body): Body => {
	const size = sizeOf(body);
	const before = size ? concat(head, varint(size)) : head;
	// Two zeros end content and trailers; those after them are padding (RFC 9292 section 3.8).
	const after = new Uint8Array(bucket(before.length + size + 2) - before.length - size);
	return body instanceof Blob || size > IN_MEMORY
		? new Blob([before, body, after])
		: concat(before, body, after);
};

const slice = async (body: Body, begin: number, end: number): Promise<Bytes> =>
	body instanceof Blob
		? new Uint8Array(await body.slice(begin, end).arrayBuffer())
		: body.subarray(begin, end);

/**
 * Seal a message chunk by chunk; what is done of a long one is put away at once.
 *
 * @param onChunk Hears how many bytes are sealed; what it throws ends the work.
 */
export const sealMessage = async (
	{ header, seal }: Encapsulation,
	message: Body,
	onChunk: (sealed: number) => void
): Promise<Body> => {
	const size = sizeOf(message);
	const away: Blob[] = [];
	let parts = [header];
	for (let at = 0; at < size; at += CHUNK_LENGTH) {
		const end = Math.min(at + CHUNK_LENGTH, size);
		parts.push(await seal(await slice(message, at, end), end === size));
		if (parts.length * CHUNK_LENGTH > IN_MEMORY) {
			away.push(new Blob(parts));
			parts = [];
		}
		onChunk(end);
	}
	return away.length ? new Blob([...away, ...parts]) : concat(...parts);
};
