import { describe, expect, it } from 'vitest';
import { modelOf, namesModel } from '../../src/transport/chosen-model';

const names = (path: string, method = 'POST') =>
	namesModel({ method, url: `https://chat.example${path}` });
const of = (body: string | Blob | null) =>
	modelOf({ body: typeof body === 'string' ? new TextEncoder().encode(body) : body });

describe('the model that a request names', () => {
	it.each([
		'/api/chat/completions',
		'/api/v1/chat/completions',
		'/api/v1/chat/completions/',
		'/api/v1/chat%2Fcompletions',
		'/api/v1/messages',
		'/api/v1/tasks/title/completions?x=1',
		'/api/task/title/completions',
		'/openai/chat/completions',
		'/openai/responses',
		'/ollama/api/chat',
		'/ollama/api/chat/3',
		'/ollama/api/generate',
		'/ollama/v1/chat/completions/0'
	])('is looked for in %s', (path) => {
		expect([names(path), names(path, 'GET')]).toEqual([true, false]);
	});

	it.each(['/api/v1/chats/new', '/api/models', '/ollama/api/tags', '/api/v1/files/', '/%zz'])(
		'is not looked for in %s',
		(path) => {
			expect(names(path)).toBe(false);
		}
	);

	it('is the body’s own', async () => {
		expect(await of('{"model":"a:b","messages":[]}')).toBe('a:b');
		expect(await of(new Blob(['{"model":"a"}']))).toBe('a');
	});

	it.each(['', '{', 'null', '[]', '{"model":1}', '{"Model":"a"}', '"a"', '{"model":["a"]}'])(
		'is nobody’s in %s',
		async (body) => {
			expect(await of(body)).toBe('');
		}
	);

	it('is nobody’s where there is no body, or one too long to read', async () => {
		expect(await of(null)).toBe('');
		const long = Object.assign(new Blob(['{"model":"a"}']), {});
		Object.defineProperty(long, 'size', { value: (64 << 20) + 1 });
		expect(await of(long)).toBe('');
	});
});
