/**
 * Binary HTTP messages (RFC 9292): requests are written with indeterminate length, answers read
 * with either. The bounds are quote_generator/sealing/binary_http.py's too.
 */
import { latin1, toUtf8 } from '../base/encoding';
import { type ByteSource, type Bytes, type Pull, byteSource, concat, once, varint } from './bytes';
import { broken } from './errors';
import { expectZeros } from './padding';

/** Names in lower case, and values of Latin-1, as `Headers` has them. */
export type Fields = [name: string, value: string][];

export interface RequestHead {
	method: string;
	scheme: string;
	authority: string;
	/** With the query. */
	path: string;
	fields: Fields;
}

export interface Answer {
	status: number;
	fields: Fields;
	content: Pull;
}

const KNOWN_RESPONSE = 1;
const REQUEST = 2;
const RESPONSE = 3;

const METHOD_LIMIT = 32;
const PATH_LIMIT = 65_536;
const FIELD_LIMIT = 256;
const NAME_LIMIT = 256;
/** Bytes of all names and values of a section together. */
const FIELDS_LIMIT = 131_072;
/** The same with their lengths, at most 4 bytes each. */
const SECTION_LIMIT = FIELDS_LIMIT + FIELD_LIMIT * 8;
const INFORMATIONAL_LIMIT = 8;

const NAME = /^[!#$%&'*+\-.^_`|~\da-z]+$/;
const VALUE = /^[^\0\r\n\u0100-\uffff]*$/;

const fromLatin1 = (text: string): Bytes =>
	Uint8Array.from(text, (character) => character.charCodeAt(0));

const withLength = (bytes: Bytes): Bytes => concat(varint(bytes.length), bytes);

/** Count the fields of one section; throws for one that none may have, and for too many. */
const counter = () => {
	let count = 0;
	let size = 0;
	return (name: number, value: number) => {
		count += 1;
		size += name + value;
		if (name > NAME_LIMIT || count > FIELD_LIMIT || size > FIELDS_LIMIT) throw broken();
	};
};

const checkField = (name: string, value: string): void => {
	if (!NAME.test(name) || !VALUE.test(value)) throw broken();
};

/** A request up to its content. Throws for what may not be said. */
export const writeRequestHead = ({
	method,
	scheme,
	authority,
	path,
	fields
}: RequestHead): Bytes => {
	if (method.length > METHOD_LIMIT || path.length > PATH_LIMIT) throw broken();
	const control = [method, scheme, authority, path].map((text) => withLength(toUtf8(text)));
	const count = counter();
	const section = fields.flatMap(([name, value]) => {
		checkField(name, value);
		count(name.length, value.length);
		return [name, value].map((text) => withLength(fromLatin1(text)));
	});
	return concat(varint(REQUEST), ...control, ...section, varint(0));
};

/** One section of fields; none where the message ends before it (RFC 9292 section 3.8). */
const readFields = async (message: ByteSource, isKnown: boolean): Promise<Fields> => {
	const fields: Fields = [];
	if (await message.isAtEnd()) return fields;
	let source = message;
	if (isKnown) {
		const length = await message.varint();
		if (length > SECTION_LIMIT) throw broken();
		source = byteSource(once(await message.take(length)));
	}
	const count = counter();
	while (!(isKnown && (await source.isAtEnd()))) {
		const nameLength = await source.varint();
		if (!nameLength && !isKnown) break;
		if (nameLength > NAME_LIMIT) throw broken();
		const name = latin1(await source.take(nameLength));
		const valueLength = await source.varint();
		count(nameLength, valueLength);
		const value = latin1(await source.take(valueLength));
		checkField(name, value);
		fields.push([name, value]);
	}
	return fields;
};

/** The content piece by piece; after it the trailers are dropped, and only zeros may follow. */
const readContent = (source: ByteSource, isKnown: boolean): Pull => {
	let left = 0;
	let isBegun = false;
	let ended = false;
	/** Go to the next chunk; true where there is none. */
	const next = async (): Promise<boolean> => {
		if (isBegun && isKnown) return true;
		if (!isBegun && (await source.isAtEnd())) return true;
		isBegun = true;
		left = await source.varint();
		return !left;
	};
	const finish = async (): Promise<void> => {
		await readFields(source, isKnown);
		for (;;) {
			const padding = await source.some(Infinity);
			if (!padding) return;
			expectZeros(padding);
		}
	};
	return async () => {
		if (ended) return null;
		if (!left && (await next())) {
			await finish();
			ended = true;
			return null;
		}
		const piece = await source.some(left);
		if (!piece) throw broken('truncated');
		left -= piece.length;
		return piece;
	};
};

/** Read an answer up to its content; informational ones before it are passed over. */
export const readAnswer = async (message: Pull): Promise<Answer> => {
	const source = byteSource(message);
	const framing = await source.varint();
	if (framing !== KNOWN_RESPONSE && framing !== RESPONSE) throw broken();
	const isKnown = framing === KNOWN_RESPONSE;
	for (let passed = 0; passed <= INFORMATIONAL_LIMIT; passed += 1) {
		const status = await source.varint();
		if (status < 100 || status > 599) throw broken();
		const fields = await readFields(source, isKnown);
		if (status >= 200) return { status, fields, content: readContent(source, isKnown) };
	}
	throw broken();
};
