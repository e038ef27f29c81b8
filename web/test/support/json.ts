/** JSON documents and their members, by JSON pointers (RFC 6901, without its escapes). */

/** An object, or a list by its indices. */
export type Json = Record<string, unknown>;

const asObject = (value: unknown, pointer: string): Json => {
	if (typeof value !== 'object' || value === null) throw new Error(`${pointer} is not there`);
	return value as Json;
};

/** The member at a pointer; the empty one is the document itself. */
export const read = (document: unknown, pointer: string): unknown =>
	pointer
		.split('/')
		.slice(1)
		.reduce((found, name) => asObject(found, pointer)[name], document);

const split = (document: unknown, pointer: string): { parent: Json; name: string } => {
	const at = pointer.lastIndexOf('/');
	const parent = asObject(read(document, pointer.slice(0, at)), pointer);
	return { parent, name: pointer.slice(at + 1) };
};

/** Edits in place: another value for a member, or none at all. */
export const put = (pointer: string, value: unknown) => (document: object) => {
	const { parent, name } = split(document, pointer);
	parent[name] = value;
};
export const drop = (pointer: string) => (document: object) => {
	const { parent, name } = split(document, pointer);
	Reflect.deleteProperty(parent, name);
};

/** Another value made of the old one. */
export const change =
	(pointer: string, edit: (value: unknown) => unknown) =>
	(document: object): void => {
		const { parent, name } = split(document, pointer);
		parent[name] = edit(parent[name]);
	};

/** One edit after the other. */
export const both =
	(...edits: ((document: object) => void)[]) =>
	(document: object) => {
		for (const edit of edits) edit(document);
	};
