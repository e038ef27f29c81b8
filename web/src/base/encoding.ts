import { Problem } from './problem';

const malformed = () => new Problem('internal', 'encoding');

/** Characters per call of `String.fromCharCode`: more arguments would overflow the stack. */
const PIECE = 0x2000;

/** Bytes as a Latin-1 string. */
export const latin1 = (bytes: Uint8Array): string => {
	let text = '';
	for (let at = 0; at < bytes.length; at += PIECE) {
		text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
	}
	return text;
};

/** Standard base64 with padding (RFC 4648 section 4). */
export const toBase64 = (bytes: Uint8Array): string => btoa(latin1(bytes));

/** Unpadded base64url (RFC 4648 section 5). */
export const toBase64url = (bytes: Uint8Array): string =>
	toBase64(bytes).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** Decode standard base64; throws `internal`. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => {
	try {
		return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
	} catch {
		throw malformed();
	}
};

/**
 * Decode standard base64 with its padding, no white space and no bits after the end, so that one
 * value has exactly one spelling; throws `internal`.
 */
export const strictBase64 = (text: string): Uint8Array<ArrayBuffer> => {
	const bytes = fromBase64(text);
	// Only the last group can be spelt in two ways; of other characters `atob` skips white space only.
	const last = toBase64(bytes.subarray(-(bytes.length % 3 || 3)));
	if (/\s/.test(text) || text.length % 4 !== 0 || text.slice(-4) !== last) {
		throw new Problem('internal', 'base64');
	}
	return bytes;
};

/**
 * Decode unpadded base64url; throws `internal`. Padding, white space, the other alphabet and set
 * bits after the end are refused, so that one value has exactly one spelling.
 */
export const fromBase64url = (text: unknown): Uint8Array<ArrayBuffer> => {
	if (typeof text !== 'string' || !/^[\w-]*$/.test(text) || text.length % 4 === 1) {
		throw malformed();
	}
	const bytes = fromBase64(text.replace(/-/g, '+').replace(/_/g, '/'));
	if (toBase64url(bytes) !== text) throw malformed();
	return bytes;
};

/** Lower-case hex. */
export const toHex = (bytes: Uint8Array): string =>
	Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Decode hex of either case; throws `internal`. */
export const fromHex = (text: unknown): Uint8Array<ArrayBuffer> => {
	if (typeof text !== 'string' || text.length % 2 !== 0 || !/^[\da-f]*$/i.test(text)) {
		throw malformed();
	}
	return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

export const toUtf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Decode UTF-8; throws `internal` where a lenient decoder would put replacement characters. */
export const fromUtf8 = (bytes: Uint8Array<ArrayBuffer>): string => {
	try {
		return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		throw malformed();
	}
};

export const concat = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
	const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
};

export const isEqual = (a: Uint8Array, b: Uint8Array): boolean =>
	a.length === b.length && a.every((byte, at) => byte === b[at]);
