/**
 * Cookies as RFC 6265 has them, with SameSite (of its revision 6265bis), for one host by sealed requests
 * only: so Secure asks for nothing more, and no Domain leads elsewhere.
 */

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

const DELIMITERS = /[\t\x20-\x2f;-@[-`{-~]+/;
const MONTHS = 'janfebmaraprmayjunjulaugsepoctnovdec';

/** Read a cookie-date (RFC 6265 section 5.1.1) as milliseconds since 1970, or NaN. */
export const parseDate = (text: string): number => {
	const tokens = text.split(DELIMITERS);
	/** Take the first token of this form away; each token is one thing. */
	const take = (form: RegExp): string[] => {
		const at = tokens.findIndex((token) => form.test(token));
		return form.exec(tokens.splice(at, at < 0 ? 0 : 1)[0] ?? '')?.slice(1) ?? [];
	};
	const [hour = NaN, minute = NaN, second = NaN] = take(/^(\d\d?):(\d\d?):(\d\d?)(?!\d)/).map(
		Number
	);
	const [day] = take(/^(\d\d?)(?!\d)/).map(Number);
	const [name = '-'] = take(/^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)/i);
	const [said = NaN] = take(/^(\d{2,4})(?!\d)/).map(Number);
	const year = said < 70 ? said + 2000 : said < 100 ? said + 1900 : said;
	const month = MONTHS.indexOf(name.toLowerCase()) / 3;
	const at = Date.UTC(year, month, day, hour, minute, second);
	// There is no 31st of February, and no 24:00:00.
	const usual = new Date(at);
	const exists = usual.getUTCDate() === day && usual.getUTCHours() === hour;
	return exists && month >= 0 && year >= 1601 && minute < 60 && second < 60 ? at : NaN;
};

/** The path that a cookie belongs to where none is named (RFC 6265 section 5.1.4). */
const defaultPath = (path: string): string => path.slice(0, path.lastIndexOf('/')) || '/';

/** RFC 6265 section 5.1.4. */
const isUnder = (path: string, cookie: string): boolean =>
	path === cookie || path.startsWith(cookie.endsWith('/') ? cookie : `${cookie}/`);

/**
 * Read one Set-Cookie field (RFC 6265 section 5.2), or null where it is to be ignored. A Domain must
 * be the host itself: nothing is kept for others.
 */
export const parseCookie = (line: string, { host, path, now }: Received): Cookie | null => {
	if (/[\0-\x08\x0a-\x1f\x7f]/.test(line)) return null;
	const [pair = '', ...rest] = line.split(';');
	const at = pair.indexOf('=');
	const name = pair.slice(0, Math.max(at, 0)).trim();
	const value = pair.slice(at + 1).trim();
	if (name === '' || new TextEncoder().encode(name + value).length > PAIR_BYTES) return null;

	const attributes = new Map(
		rest.map((one) => {
			const [key = '', ...words] = one.split('=');
			return [key.trim().toLowerCase(), words.join('=').trim()];
		})
	);
	const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase();
	if (domain && domain !== host.toLowerCase()) return null;

	const age = attributes.get('max-age') ?? '';
	const ends = /^-?\d+$/.test(age)
		? Number(age) * 1000 + now
		: parseDate(attributes.get('expires') ?? '');
	const named = attributes.get('path');
	const site = attributes.get('samesite')?.toLowerCase();
	return {
		name,
		value,
		path: named?.startsWith('/') ? named : defaultPath(path),
		expires: isNaN(ends) ? null : Math.min(ends, now + LONGEST),
		httpOnly: attributes.has('httponly'),
		sameSite: site === 'strict' || site === 'none' ? site : 'lax'
	};
};

export const isAlive = ({ expires }: Cookie, now: number): boolean =>
	expires === null || expires > now;

/** Put a cookie among others, oldest first, in the place of the same one; one that ends takes it out. */
export const withCookie = (cookies: readonly Cookie[], cookie: Cookie, now: number): Cookie[] => {
	const isSame = ({ name, path }: Cookie) => name === cookie.name && path === cookie.path;
	const next = cookies.some(isSame)
		? cookies.map((one) => (isSame(one) ? cookie : one))
		: [...cookies, cookie];
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
