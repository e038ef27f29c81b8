/**
 * A form as the bytes that a browser would send of it (HTML standard, multipart/form-data encoding
 * algorithm): WebKitGTK can send a form with files, and gives nobody its bytes.
 */
import type { Page } from './stand-in';

const escaped = (text: string): string =>
	text.replace(/["\r\n]/g, (letter) =>
		`%${letter.charCodeAt(0).toString(16).padStart(2, '0')}`.toUpperCase()
	);

const normalized = (text: string): string => text.replace(/\r\n?|\n/g, '\r\n');

/** Also of another window's. */
const isForm = (body: unknown): body is FormData =>
	Object.prototype.toString.call(body) === '[object FormData]';

/** The form's bytes, files where the browser has them; the type names the boundary. */
const multipart = (form: FormData): Blob => {
	// A Blob's type is in lower case, so the boundary has to be.
	const boundary = `----${crypto.randomUUID()}`;
	const parts: BlobPart[] = [];
	for (const [name, value] of form) {
		const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(normalized(name))}"`;
		if (typeof value === 'string') {
			parts.push(`${head}\r\n\r\n${normalized(value)}`);
		} else {
			const type = value.type || 'application/octet-stream';
			const file = `; filename="${escaped(value.name)}"\r\nContent-Type: ${type}`;
			parts.push(`${head}${file}\r\n\r\n`, value);
		}
		parts.push('\r\n');
	}
	parts.push(`--${boundary}--\r\n`);
	return new Blob(parts, { type: `multipart/form-data; boundary=${boundary}` });
};

/** A request of the page's, with a body that every browser gives the bytes of. */
export const newRequest = (page: Page, input: RequestInfo | URL, init?: RequestInit): Request => {
	const request = new page.Request(input, init);
	const body = init?.body;
	if (!isForm(body)) return request;
	const bytes = multipart(body);
	const headers = new page.Headers(request.headers);
	headers.set('content-type', bytes.type);
	return new page.Request(request, { headers, body: bytes });
};
