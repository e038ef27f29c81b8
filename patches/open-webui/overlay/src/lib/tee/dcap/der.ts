import { Problem } from '../problem';

/** DER (ITU-T X.690), the part that certificates need, and not one byte of BER besides it. */
export interface Element {
	tag: number;
	/** The content's bytes, and the whole element's: what a signature is over, or a name's identity. */
	content: Uint8Array;
	whole: Uint8Array;
	/** Of a constructed element; others have none. */
	children: Element[];
}

/** Universal tags; a SEQUENCE or SET is always constructed, and nothing else universal is. */
export const BOOLEAN = 1;
export const INTEGER = 2;
export const BIT_STRING = 3;
export const OCTET_STRING = 4;
export const OID = 6;
const NULL = 5;
const ENUMERATED = 10;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;
const SET = 0x31;
const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

/** How deep elements may lie in one another; a certificate has 7 levels. */
const DEPTH = 12;

/** Work done since the page came up, in elements read: tests hold it linear in the input. */
export const work = { steps: 0 };

const refuse = (what: string): never => {
	throw new Problem('internal', `DER ${what}`);
};

/** Rules for single types: X.690 sections 8.3.2, 10.2, 11.1, 11.2; true where one is broken. */
const broken = (tag: number, content: Uint8Array): boolean => {
	const [first, second] = content;
	const { length } = content;
	const last = content[length - 1];
	switch (tag) {
		case BOOLEAN:
			return length !== 1 || (first !== 0 && first !== 0xff);
		case INTEGER:
		case ENUMERATED:
			// Two spellings of one number would be two serial numbers for one certificate.
			return !length || (!first && second < 0x80) || (first === 0xff && second > 0x7f);
		case BIT_STRING:
			return !(first < 8) || (length < 2 ? first > 0 : (last & ((1 << first) - 1)) > 0);
		case NULL:
			return length > 0;
		case OID:
			// An arc may not begin with a zero digit, nor the last one go on.
			return (
				!(last < 0x80) || content.some((byte, at) => byte === 0x80 && !(content[at - 1] > 0x7f))
			);
		default:
			return false;
	}
};

const readElement = (bytes: Uint8Array, depth: number): Element => {
	work.steps++;
	const [tag, first] = bytes;
	if (bytes.length < 2) refuse('is cut off');
	const constructed = (tag & CONSTRUCTED) > 0;
	const kind = tag & 0xc0; // universal 0, application, context-specific, private
	const number = tag & 0x1f;
	const collection = number === (SEQUENCE & 0x1f) || number === (SET & 0x1f);
	// No end-of-contents, no tag numbers of several bytes, and no strings in pieces.
	const good = kind === CONTEXT || (!kind && tag > 0 && constructed === collection);
	if (!good || number === 0x1f) refuse('tag');
	let length = first;
	let at = 2;
	if (first >= 0x80) {
		const digits = bytes.subarray(2, (at += first & 0x7f));
		length = digits.reduce((sum, byte) => sum * 256 + byte, 0);
		// 0x80 alone is an indefinite length; otherwise the shortest spelling of at most 4 bytes.
		const few = digits.length > 0 && digits.length < 5 && at <= bytes.length;
		if (!few || !digits[0] || length < 0x80) refuse('length');
	}
	const end = at + length;
	if (end > bytes.length) refuse('is cut off');
	const content = bytes.subarray(at, end);
	if (broken(tag, content)) refuse('value');
	const children = constructed ? readAll(content, depth + 1) : [];
	return { tag, content, whole: bytes.subarray(0, end), children };
};

/** Elements one after the other, each byte belonging to one. */
const readAll = (bytes: Uint8Array, depth: number): Element[] => {
	if (depth > DEPTH) refuse('depth');
	const elements: Element[] = [];
	for (let at = 0; at < bytes.length; ) {
		const element = readElement(bytes.subarray(at), depth);
		elements.push(element);
		at += element.whole.length;
	}
	return elements;
};

/**
 * Read the one element that the bytes are, and everything in it. Throws `internal`.
 *
 * Refused are indefinite and non-minimal lengths, lengths past the end, trailing bytes, high tags,
 * values that are not canonical, and elements that lie too deep. Every element is read once, so
 * that the work is linear in the length.
 */
export const parseDer = (bytes: Uint8Array): Element => {
	const element = readElement(bytes, 0);
	if (element.whole.length !== bytes.length) refuse('trailing bytes');
	return element;
};

/** The tag of an explicitly tagged `[number]`. */
export const explicit = (number: number): number => CONTEXT | CONSTRUCTED | number;

/** Read the children of an element in order; what is not as asked for throws `internal`. */
export const fields = (element: Element, tag = SEQUENCE) => {
	if (element.tag !== tag) refuse('tag');
	const { children } = element;
	let at = 0;
	const maybe = (wanted: number): Element | undefined =>
		children[at]?.tag === wanted ? children[at++] : undefined;
	return {
		/** The next child where it has this tag. */
		maybe,
		take: (wanted: number): Element => maybe(wanted) ?? refuse('tag'),
		end: (): void => {
			if (at < children.length) refuse('has more');
		}
	};
};

/** The whole bytes of a BIT STRING. */
export const bits = ({ content }: Element): Uint8Array => {
	if (content[0] !== 0) refuse('value');
	return content.subarray(1);
};

/** An INTEGER from 0 to `max`. */
export const small = ({ content }: Element, max: number): number => {
	const value = content.reduce((sum, byte) => sum * 256 + byte, 0);
	return content[0] > 0x7f || value > max ? refuse('value') : value;
};
