import { Problem } from './problem';

/** DER (ITU-T X.690), the part that certificates need, and not one byte of BER besides it. */
export interface Element {
	tag: number;
	/** The content's bytes, and the whole element's: what a signature is over, or a name's identity. */
	content: Uint8Array<ArrayBuffer>;
	whole: Uint8Array<ArrayBuffer>;
	/** Of a constructed element; others have none. */
	children: Element[];
}

/** Universal tags; a SEQUENCE or SET is always constructed, and nothing else universal is. */
export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
const NULL = 0x05;
export const OID = 0x06;
export const ENUMERATED = 0x0a;
export const UTF8_STRING = 0x0c;
export const PRINTABLE_STRING = 0x13;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;
export const SET = 0x31;

/** The parts of a tag. */
const CLASS = 0xc0;
const UNIVERSAL = 0x00;
const CONTEXT = 0x80;
const CONSTRUCTED = 0x20;
const NUMBER = 0x1f;

/** How deep elements may lie in one another; a certificate has 7 levels. */
const DEPTH = 12;
/** Bytes that a length may be written in. */
const LENGTH_BYTES = 4;
/** Bytes that an object identifier, and each of its arcs but the first, may have. */
const OID_BYTES = 39;
const ARC_BYTES = 4;

/** Work done since the page came up, in elements read: tests hold it linear in the input. */
export const work = { steps: 0 };

const refuse = (what: string): never => {
	throw new Problem('internal', `DER ${what}`);
};

/** X.690 section 8.3.2: two spellings of one number would be two serial numbers for one certificate. */
const isCanonicalInteger = ([first, second]: Uint8Array): boolean => {
	if (first === undefined) return false;
	if (second === undefined) return true;
	return !(first === 0x00 && second < 0x80) && !(first === 0xff && second > 0x7f);
};

/** Sections 8.6.2 and 11.2.1: the unused bits are fewer than 8, and zero. */
const isCanonicalBitString = (content: Uint8Array): boolean => {
	const [unused = 8] = content;
	const last = content.length > 1 ? (content.at(-1) ?? 0) : 0;
	const possible = content.length > 1 ? unused < 8 : unused === 0;
	return possible && (last & ((1 << unused) - 1)) === 0;
};

/**
 * Section 8.19.2: no arc begins with a zero digit, and the last one does not go on. None is longer
 * than every reader of certificates has room for, nor are all of them together.
 */
const isCanonicalOid = (content: Uint8Array): boolean => {
	const goesOn = (byte: number | undefined) => byte !== undefined && byte > 0x7f;
	const zeroDigit = content.some((byte, at) => byte === 0x80 && !goesOn(content[at - 1]));
	const fits = content.length <= OID_BYTES && !goesOn(content[0]) && !hasLongArc(content);
	return content.length > 0 && !goesOn(content.at(-1)) && !zeroDigit && fits;
};

/** Do so many bytes go on in a row that an arc is longer than `ARC_BYTES`? */
const hasLongArc = (content: Uint8Array): boolean =>
	content.some((_, at) => {
		const arc = content.subarray(at, at + ARC_BYTES);
		return arc.length === ARC_BYTES && arc.every((byte) => byte > 0x7f);
	});

/** Is a value of this type written as DER has it? */
const isCanonical = (tag: number, content: Uint8Array): boolean => {
	switch (tag) {
		case BOOLEAN:
			return content.length === 1 && (content[0] === 0x00 || content[0] === 0xff);
		case INTEGER:
		case ENUMERATED:
			return isCanonicalInteger(content);
		case BIT_STRING:
			return isCanonicalBitString(content);
		case NULL:
			return content.length === 0;
		case OID:
			return isCanonicalOid(content);
		default:
			return true;
	}
};

/** No end-of-contents, no tag numbers of several bytes, no strings in pieces, no foreign classes. */
const isKnownTag = (tag: number): boolean => {
	const number = tag & NUMBER;
	if (number === NUMBER) return false;
	const isCollection = number === (SEQUENCE & NUMBER) || number === (SET & NUMBER);
	const isConstructed = (tag & CONSTRUCTED) !== 0;
	switch (tag & CLASS) {
		case CONTEXT:
			return true;
		case UNIVERSAL:
			return tag !== 0 && isConstructed === isCollection;
		default:
			return false;
	}
};

/** The content's length, and where the content begins. */
const readLength = (bytes: Uint8Array, first: number): { length: number; start: number } => {
	if (first < 0x80) return { length: first, start: 2 };
	const start = 2 + (first & 0x7f);
	const digits = bytes.subarray(2, start);
	const length = digits.reduce((sum, byte) => sum * 256 + byte, 0);
	// 0x80 alone is an indefinite length; of all others only the shortest spelling counts.
	const complete = start <= bytes.length && digits.length > 0 && digits.length <= LENGTH_BYTES;
	const shortest = digits[0] !== 0 && length >= 0x80;
	return complete && shortest ? { length, start } : refuse('length');
};

const readElement = (bytes: Uint8Array<ArrayBuffer>, depth: number): Element => {
	work.steps += 1;
	const [tag, first] = bytes;
	if (tag === undefined || first === undefined) return refuse('is cut off');
	if (!isKnownTag(tag)) refuse('tag');
	const { length, start } = readLength(bytes, first);
	const end = start + length;
	if (end > bytes.length) refuse('is cut off');
	const content = bytes.subarray(start, end);
	if (!isCanonical(tag, content)) refuse('value');
	const children = (tag & CONSTRUCTED) !== 0 ? readAll(content, depth + 1) : [];
	return { tag, content, whole: bytes.subarray(0, end), children };
};

/** Elements one after the other, each byte belonging to one. */
const readAll = (bytes: Uint8Array<ArrayBuffer>, depth: number): Element[] => {
	if (depth > DEPTH) refuse('depth');
	const elements: Element[] = [];
	for (let at = 0; at < bytes.length;) {
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
export const parseDer = (bytes: Uint8Array<ArrayBuffer>): Element => {
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
	const maybe = (wanted: number): Element | undefined => {
		const child = children[at];
		if (child?.tag !== wanted) return undefined;
		at += 1;
		return child;
	};
	return {
		/** The next child where it has this tag. */
		maybe,
		take: (wanted: number): Element => maybe(wanted) ?? refuse('tag'),
		end: (): void => {
			if (at < children.length) refuse('has more');
		}
	};
};

export type Fields = ReturnType<typeof fields>;

/** The whole bytes of a BIT STRING. */
export const bits = ({ content }: Element): Uint8Array<ArrayBuffer> => {
	if (content[0] !== 0) refuse('value');
	return content.subarray(1);
};

/** Is an INTEGER below zero? */
export const isNegative = ({ content }: Element): boolean => (content[0] ?? 0xff) > 0x7f;

/** An INTEGER or an ENUMERATED from 0 to `max`. */
export const small = (element: Element, max: number): number => {
	const value = element.content.reduce((sum, byte) => sum * 256 + byte, 0);
	return isNegative(element) || value > max ? refuse('value') : value;
};
