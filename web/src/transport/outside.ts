/**
 * What may be asked for in the clear: the same for everybody, and nothing of a chat in it or in what
 * is asked (outside.json; the server's own list is held against it by a test).
 */
import { files, folders, methods } from './outside.json';

/** The kit's own routes, which carry what is sealed, or nothing worth it; but for administrators'. */
const OWN = /^\/api\/v1\/tee\/(?!admin)/;
/** Where a server may read another path than is written: an escape, a backslash, an empty step. */
const AMBIGUOUS = /%|\\|\/\//;

/** Whether a request may travel in the clear; the address is one of this origin. */
export const isOutside = (method: string, { pathname, search }: URL): boolean => {
	if (AMBIGUOUS.test(pathname)) return false;
	if (OWN.test(pathname)) return true;
	// The question may be somebody's words.
	if (search || !methods.includes(method)) return false;
	return files.includes(pathname) || folders.some((folder) => pathname.startsWith(folder));
};
