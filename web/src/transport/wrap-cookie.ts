/**
 * The cookies of a document are those in the jar: newer versions of open-webui read a token
 * there after a sign-in elsewhere, and end it there. Those that are not for scripts stay unseen.
 */
import { cookiesFor, cookieText, parseCookie, withCookie, type Cookie } from './cookies';
import type { Jar } from './jar';

/** Where a page stands. */
export interface Place {
	/** Under which policy the keys were judged; null where nothing is sealed. */
	policy: () => string | null;
	/** The path of its address. */
	path: () => string;
	host: string;
	/** Milliseconds since 1970. */
	now: () => number;
}

/**
 * Put the jar in the place of the browser's own cookies, as far as scripts go.
 *
 * @returns What takes over changes that others made to the jar: call it before the app begins, and
 *   when an answer has set cookies. The jar cannot be asked while a script waits.
 */
export const wrapCookie = (page: Document, jar: Jar, place: Place): (() => Promise<void>) => {
	const native = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
	/** Those of all paths that scripts may see. */
	let seen: Cookie[] = [];

	Object.defineProperty(page, 'cookie', {
		configurable: true,
		get() {
			if (place.policy() === null) return native?.get?.call(page) as unknown;
			return cookieText(cookiesFor(seen, place.path(), 'own', place.now()));
		},
		set(line: unknown) {
			const policy = place.policy();
			if (policy === null) {
				native?.set?.call(page, line);
				return;
			}
			const { host } = place;
			const [path, now, text] = [place.path(), place.now(), String(line)];
			const cookie = parseCookie(text, { host, path, now });
			if (!cookie || cookie.httpOnly) return;
			seen = withCookie(seen, cookie, now);
			// One of that name that is not for scripts stays, and this one is then gone again.
			jar.set(path, text, policy).then(refresh, () => undefined);
		}
	});

	const refresh = async (): Promise<void> => {
		const policy = place.policy();
		seen = policy === null ? [] : await jar.visible(policy);
	};
	return refresh;
};
