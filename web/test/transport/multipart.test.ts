import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newRequest } from '../../src/transport/multipart';
import type { Page } from '../../src/transport/stand-in';

const page = globalThis as unknown as Page;
const url = 'https://here.example/';

const sentOf = async (form: FormData, headers: HeadersInit = {}) => {
	const request = newRequest(page, url, { method: 'POST', body: form, headers });
	const type = request.headers.get('content-type') ?? '';
	const boundary = /^multipart\/form-data; boundary=([-0-9a-z]{30,70})$/.exec(type)?.[1] ?? 'none';
	return { text: await request.text(), boundary, request };
};

describe('a form', () => {
	it('is written as browsers do', async () => {
		const form = new FormData();
		form.append('a "b"\nc', 'one\ntwo\r\nthree\rfour');
		form.append('file', new File(['in it\n'], 'a "b"\r\n.txt', { type: 'text/plain' }));
		form.append('file', new File([], ''));
		const { text, boundary } = await sentOf(form);
		const head = `--${boundary}\r\nContent-Disposition: form-data; name=`;
		expect(text).toBe(
			[
				`${head}"a %22b%22%0D%0Ac"\r\n\r\none\r\ntwo\r\nthree\r\nfour\r\n`,
				`${head}"file"; filename="a %22b%22%0D%0A.txt"\r\nContent-Type: text/plain\r\n\r\nin it\n\r\n`,
				`${head}"file"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n`,
				`--${boundary}--\r\n`
			].join('')
		);
	});

	it('is read as it was meant, whatever is in it', async () => {
		const text = fc.string({ unit: 'binary' }).map((one) => one.replace(/[\r\n]/g, ' '));
		await fc.assert(
			fc.asyncProperty(fc.array(fc.tuple(text, text, fc.boolean())), async (pairs) => {
				const form = new FormData();
				for (const [name, value, isFile] of pairs) {
					form.append(name, isFile ? new File([value], 'name') : value);
				}
				const own = [...form];
				const { request } = await sentOf(form).then(({ text, boundary }) => ({
					request: new Response(text, {
						headers: { 'content-type': `multipart/form-data; boundary=${boundary}` }
					})
				}));
				const read = [...(await request.formData())];
				expect(read.map(([name]) => name)).toEqual(own.map(([name]) => name));
				for (const [at, [, value]] of read.entries()) {
					const given = own[at]?.[1];
					if (typeof value === 'string') expect(value).toBe(given);
					else expect(await value.text()).toBe(await (given as File).text());
				}
			})
		);
	});

	it('has a boundary of its own each time, in place of one that somebody names', async () => {
		const form = new FormData();
		const named = { 'content-type': 'multipart/form-data; boundary=x', other: 'stays' };
		const [one, other] = [await sentOf(form, named), await sentOf(form, named)];
		expect(one.boundary).not.toBe(other.boundary);
		expect(one.request.headers.get('other')).toBe('stays');
	});

	it('is what it was at the call', async () => {
		const form = new FormData();
		form.set('a', 'before');
		const request = newRequest(page, url, { method: 'POST', body: form });
		form.set('a', 'after');
		expect(await request.text()).toContain('before');
	});
});

it('leaves other bodies alone', async () => {
	const request = newRequest(page, url, { method: 'POST', body: 'text' });
	expect(request.headers.get('content-type')).toBe('text/plain;charset=UTF-8');
	expect(await request.text()).toBe('text');
	expect(newRequest(page, new URL(url)).method).toBe('GET');
});
