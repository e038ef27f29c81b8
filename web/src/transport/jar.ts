/**
 * Cookies of sealed answers. The browser's own would go along with plain requests, and be read on
 * the way; these are kept apart, for this origin and for the policy under which its key was judged,
 * and go inside sealed requests only. Those that came while nobody was signed in are whose who signs
 * in by them.
 */
import type { Environment } from '../base/environment';
import {
	cookiesFor,
	cookieText,
	parseCookie,
	withCookie,
	type Asker,
	type Cookie
} from './cookies';
import { NOBODYS, type Store } from './shared';

const JAR = 'jar';

/** How many cookies are kept, and how many characters they have together; older ones make room. */
export const COOKIES = 64;
export const CHARACTERS = 64 * 1024;
/** How many Set-Cookie fields of one answer are read. */
export const LINES = 32;

/** Where open-webui ends a session: what it leaves in the jar is nobody's any more. */
const SIGN_OUT = /\/api\/v1\/auths\/signout$/;

interface Kept {
	/** Under which policy the keys were judged that these came from. */
	policy: string;
	cookies: Cookie[];
}

/** What requests need of it. */
export interface Tray {
	/** The Cookie field of a request, or "" for none. */
	header: (path: string, policy: string, asker?: Asker) => Promise<string>;
	/** Keep what an answer sets; the answer to a sign-out empties the jar. */
	take: (path: string, lines: readonly string[], policy: string) => Promise<void>;
}

/** And what scripts and the person do with it. */
export interface Jar extends Tray {
	/** Those that scripts may see, of all paths. */
	visible: (policy: string) => Promise<Cookie[]>;
	/** A script sets one, as documents let it do. */
	set: (path: string, line: string, policy: string) => Promise<void>;
	empty: () => Promise<void>;
}

const isCookie = (value: unknown): value is Cookie => {
	const { name, value: text, path } = Object(value) as Partial<Cookie>;
	return [name, text, path].every((one) => typeof one === 'string');
};

/** Read the jar of a policy; another policy's is empty, as is one that nobody of ours wrote. */
const readJar = (value: unknown, policy: string): Cookie[] => {
	const { policy: owner, cookies } = Object(value) as Partial<Kept>;
	const counts = owner === policy || String(owner).startsWith(NOBODYS);
	return counts && Array.isArray(cookies) ? cookies.filter(isCookie) : [];
};

/** The newest that fit. */
const fitting = (cookies: readonly Cookie[]): Cookie[] => {
	let room = CHARACTERS;
	const fits = ({ name, value, path }: Cookie) => (room -= (name + value + path).length) >= 0;
	return cookies.slice(-COOKIES).reverse().filter(fits).reverse();
};

/** Change the jar in one transaction: pages and worker may all want to. */
const change = (store: Store, policy: string, of: (cookies: Cookie[]) => Cookie[]): Promise<void> =>
	store.change(JAR, (value): Kept => ({ policy, cookies: fitting(of(readJar(value, policy))) }));

const empty = (store: Store): Promise<void> => store.change(JAR, () => undefined);

/**
 * The jar of this origin, for requests only.
 *
 * @param host Name of the host, without port.
 */
export const openTray = (store: Store, host: string, now: Environment['now']): Tray => ({
	header: async (path, policy, asker = 'own') =>
		cookieText(cookiesFor(readJar(await store.read(JAR), policy), path, asker, now())),
	async take(path, lines, policy) {
		if (SIGN_OUT.test(path)) return empty(store);
		const at = { host, path, now: now() };
		const set = lines.slice(0, LINES).flatMap((line) => parseCookie(line, at) ?? []);
		if (!set.length) return;
		await change(store, policy, (cookies) =>
			set.reduce((all, one) => withCookie(all, one, now()), cookies)
		);
	}
});

/** The whole jar; parameters as above. */
export const openJar = (store: Store, host: string, now: Environment['now']): Jar => ({
	...openTray(store, host, now),
	visible: async (policy) =>
		readJar(await store.read(JAR), policy).filter(({ httpOnly }) => !httpOnly),
	async set(path, line, policy) {
		const cookie = parseCookie(line, { host, path, now: now() });
		if (!cookie || cookie.httpOnly) return;
		await change(store, policy, (cookies) => {
			const hidden = cookies.some(
				(one) => one.httpOnly && one.name === cookie.name && one.path === cookie.path
			);
			return hidden ? cookies : withCookie(cookies, cookie, now());
		});
	},
	empty: () => empty(store)
});
