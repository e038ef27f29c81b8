/** Which model a request has somebody's words sent to. */
import type { LineRequest } from './carrier';

/** Bytes of a body that is read for it. */
const SIZE_MAX = 64 << 20;

/**
 * Where open-webui (0.5 to 0.12) passes words on to a model that the body names: chats, what is asked
 * beside them for titles and the like, and the model servers' own ways, some with a server's number.
 */
const CHATS = /^\/api\/(?:v1\/)?(?:chat\/completions|message|messages|responses|embeddings)$/;
const TASKS = /^\/api\/(?:v1\/)?tasks?\/[\w-]+\/completions$/;
const SERVERS =
	/^\/(?:openai|ollama)\/(?:(?:api|v1)\/)?(?:chat|generate|embed|embeddings|completions|chat\/completions|messages|responses)(?:\/\d+)?$/;
const COMPACTION = /^\/api\/v1\/chats\/[\w-]+\/compact(?:ion)?$/;

/** May it name one? Paths are taken as servers take them, escapes and a last slash aside. */
export const namesModel = ({ method, url }: Pick<LineRequest, 'method' | 'url'>): boolean => {
	if (method !== 'POST') return false;
	let path = new URL(url).pathname;
	try {
		path = decodeURIComponent(path);
	} catch {
		// then it is as it stands
	}
	path = path.replace(/\/+$/, '');
	return [CHATS, TASKS, SERVERS, COMPACTION].some((form) => form.test(path));
};

/** The model's id as the body has it; empty, which no model's is, where that cannot be read. */
export const modelOf = async ({ body }: Pick<LineRequest, 'body'>): Promise<string> => {
	if (!body) return '';
	const size = body instanceof Blob ? body.size : body.length;
	if (size > SIZE_MAX) return '';
	try {
		const text = await new Response(body).text();
		const { model } = Object(JSON.parse(text)) as { model?: unknown };
		return typeof model === 'string' ? model : '';
	} catch {
		return '';
	}
};
