import { Problem } from './problem';

const malformed = () => new Problem('internal', 'encoding');

/** Bytes as a Latin-1 string, in pieces: `String.fromCharCode(...bytes)` overflows the stack on large input. */
export const latin1 = (bytes: Uint8Array): string => {
	let text = '';
	for (let at = 0; at < bytes.length; at += 0x2000) {
		text += String.fromCharCode(...bytes.subarray(at, at + 0x2000));
	}
	return text;
};

/** Standard base64 with padding (RFC 4648 section 4). */
export const toBase64 = (bytes: Uint8Array): string => btoa(latin1(bytes));

/** Unpadded base64url (RFC 4648 section 5). */
export const toBase64url = (bytes: Uint8Array): string =>
	toBase64(bytes).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** Decode standard base64; throws `internal`. */
export const fromBase64 = (text: string): Uint8Array => {
	try {
		const binary = atob(text);
		return new Uint8Array(binary.length).map((_, at) => binary.charCodeAt(at));
	} catch {
		throw malformed();
	}
};

/**
 * Decode unpadded base64url; throws `internal`. Padding, white space, the other alphabet and set
 * bits after the end are refused, so that one value has exactly one spelling.
 */
export const fromBase64url = (text: unknown): Uint8Array => {
	if (typeof text !== 'string' || !/^[\w-]*$/.test(text) || text.length % 4 === 1) {
		throw malformed();
	}
	const bytes = fromBase64(text.replace(/-/g, '+').replace(/_/g, '/'));
	if (toBase64url(bytes) !== text) throw malformed();
	return bytes;
};

/** Lower-case hex. */
export const toHex = (bytes: Uint8Array): string =>
	bytes.reduce((text, byte) => text + (byte < 16 ? '0' : '') + byte.toString(16), '');

/** Decode hex of either case; throws `internal`. */
export const fromHex = (text: unknown): Uint8Array => {
	if (typeof text !== 'string' || text.length % 2 || !/^[\da-f]*$/i.test(text)) {
		throw malformed();
	}
	return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

export const toUtf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Decode UTF-8; throws `internal` where a lenient decoder would put replacement characters. */
export const fromUtf8 = (bytes: Uint8Array): string => {
	try {
		return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		throw malformed();
	}
};
