/**
 * Cookies as RFC 6265 has them, with SameSite (of its revision 6265bis), for one host by sealed requests
 * only: so Secure asks for nothing more, and no Domain leads elsewhere.
 */

import { toUtf8 } from '../base/encoding';

/** Bytes of a name with its value (6265bis section 5.6). */
const PAIR_BYTES = 4096;
/** A cookie ends at the latest so many milliseconds from now: 400 days (6265bis section 5.5). */
const LONGEST = 400 * 86_400_000;

export interface Cookie {
	name: string;
	value: string;
	path: string;
	/** Milliseconds since 1970, or null where the server says none. */
	expires: number | null;
	/** Not for scripts. */
	httpOnly: boolean;
	sameSite: 'strict' | 'lax' | 'none';
}

/**
 * Who asks: this site itself, a link that may stand on another one, or a form that may; what a worker
 * is told of a navigation does not say where it began.
 */
export type Asker = 'own' | 'link' | 'form';

/** What a cookie is received for. */
export interface Received {
	host: string;
	/** Path of the request that it answered, without query. */
	path: string;
	/** Milliseconds since 1970. */
	now: number;
}

const DELIMITERS = /[\t\x20-\x2f;-@[-`{-~]+/g;
const MONTHS = 'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec';
/** Nothing before the year 1601 is a date. */
const EARLIEST = Date.UTC(1601);

/** Read a cookie-date (RFC 6265 section 5.1.1) as milliseconds since 1970, or NaN. */
export const parseDate = (text: string): number => {
	let words = ` ${text.replace(DELIMITERS, ' ')}`;
	/** Take the first word of this form away, as each word is one thing; its groups. */
	const take = (form: RegExp): string[] => {
		const [, ...groups] = form.exec(words) ?? [];
		words = words.replace(form, '');
		return groups;
	};
	const [hour, minute, second = NaN] = take(/ (\d\d?):(\d\d?):(\d\d?)(?!\d)[^ ]*/).map(Number);
	const [day] = take(/ (\d\d?)(?!\d)[^ ]*/).map(Number);
	const [name = '-'] = take(new RegExp(` (${MONTHS})[^ ]*`, 'i'));
	const [year = NaN] = take(/ (\d{2,4})(?!\d)[^ ]*/).map(Number);
	const month = MONTHS.indexOf(name.toLowerCase()) / 4;
	// A year of two digits is one of 1900 to Date.UTC.
	const at = Date.UTC(year < 70 ? year + 2000 : year, month, day, hour, minute, second);
	// There is no 31st of February, and no 24:00:00; a 60th minute would be another hour.
	const usual = new Date(at);
	const exists = usual.getUTCDate() === day && usual.getUTCHours() === hour && second < 60;
	return exists && month >= 0 && at >= EARLIEST ? at : NaN;
};

/** The path that a cookie belongs to where none is named (RFC 6265 section 5.1.4). */
const defaultPath = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** RFC 6265 section 5.1.4. */
const isUnder = (path: string, cookie: string): boolean =>
	path === cookie || path.startsWith(cookie.replace(/\/?$/, '/'));

/** What is before and after the first "=". */
const halves = (text: string): [string, string] => {
	const [first = '', ...words] = text.split('=');
	return [first.trim(), words.join('=').trim()];
};

/**
 * Read one Set-Cookie field (RFC 6265 section 5.2), or null where it is to be ignored. A Domain must
 * be the host itself: nothing is kept for others.
 */
export const parseCookie = (line: string, { host, path, now }: Received): Cookie | null => {
	if (/[\0-\x08\x0a-\x1f\x7f]/.test(line)) return null;
	const [pair = '', ...rest] = line.split(';');
	const [name, value] = halves(pair);
	if (!pair.includes('=') || !name || toUtf8(name + value).length > PAIR_BYTES) return null;

	const said = new Map(
		rest.map((one) => {
			const [attribute, words] = halves(one);
			return [attribute.toLowerCase(), words];
		})
	);
	const domain = said.get('domain')?.replace(/^\./, '').toLowerCase();
	if (domain && domain !== host) return null;

	const age = said.get('max-age') ?? '';
	const ends = /^-?\d+$/.test(age)
		? Number(age) * 1000 + now
		: parseDate(said.get('expires') ?? '');
	const named = said.get('path');
	const site = said.get('samesite')?.toLowerCase();
	return {
		name,
		value,
		path: named?.startsWith('/') ? named : defaultPath(path),
		expires: isNaN(ends) ? null : Math.min(ends, now + LONGEST),
		httpOnly: said.has('httponly'),
		sameSite: site === 'strict' || site === 'none' ? site : 'lax'
	};
};

export const isAlive = ({ expires }: Cookie, now: number): boolean =>
	expires === null || expires > now;

/** Put a cookie among others, oldest first, in the place of the same one; one that ends takes it out. */
export const withCookie = (cookies: readonly Cookie[], cookie: Cookie, now: number): Cookie[] => {
	const isSame = ({ name, path }: Cookie) => name === cookie.name && path === cookie.path;
	const next = [...cookies];
	const at = cookies.findIndex(isSame);
	next[at < 0 ? cookies.length : at] = cookie;
	return next.filter((one) => isAlive(one, now));
};

/** Whether a cookie goes along with what somebody asks (6265bis section 5.8.3). */
const goesTo = ({ sameSite }: Cookie, asker: Asker): boolean =>
	asker === 'own' || sameSite === 'none' || (asker === 'link' && sameSite === 'lax');

/** Those that a request for a path gets, in their order (RFC 6265 section 5.4). */
export const cookiesFor = (
	cookies: readonly Cookie[],
	path: string,
	asker: Asker,
	now: number
): Cookie[] =>
	cookies
		.filter((one) => isAlive(one, now) && isUnder(path, one.path) && goesTo(one, asker))
		.sort((a, b) => b.path.length - a.path.length);

/** The value of a Cookie field. */
export const cookieText = (cookies: readonly Cookie[]): string =>
	cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
