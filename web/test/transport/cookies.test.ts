import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
	cookiesFor,
	cookieText,
	isAlive,
	parseCookie,
	parseDate,
	withCookie,
	type Asker,
	type Cookie
} from '../../src/transport/cookies';

const NOW = Date.UTC(2026, 10, 29, 9);
const AT = { host: 'chat.example', path: '/api/v1/auths/signin', now: NOW };
const DAY = 86_400_000;

const read = (line: string, at = AT): Cookie => {
	const cookie = parseCookie(line, at);
	if (!cookie) throw new Error(`ignored: ${line}`);
	return cookie;
};

describe('a cookie-date (RFC 6265 section 5.1.1)', () => {
	it.each([
		['Sun, 06 Nov 1994 08:49:37 GMT', Date.UTC(1994, 10, 6, 8, 49, 37)],
		['Sunday, 06-Nov-94 08:49:37 GMT', Date.UTC(1994, 10, 6, 8, 49, 37)],
		['Sun Nov  6 08:49:37 1994', Date.UTC(1994, 10, 6, 8, 49, 37)],
		['Mon, 10-Dec-2007 17:02:24 GMT', Date.UTC(2007, 11, 10, 17, 2, 24)],
		['1 jan 69 0:0:0', Date.UTC(2069, 0, 1)],
		['1 jan 70 0:0:0', Date.UTC(1970, 0, 1)],
		['29 Feb 2028 23:59:59', Date.UTC(2028, 1, 29, 23, 59, 59)]
	])('%s', (text, time) => {
		expect(parseDate(text)).toBe(time);
	});

	it.each([
		'',
		'Sun, 06 Nov 1994',
		'06 Nov 1994 24:00:00',
		'06 Nov 1994 08:60:00',
		'06 Nov 1994 08:49:60',
		'31 Feb 2026 08:49:37',
		'00 Nov 1994 08:49:37',
		'06 Nov 1600 08:49:37',
		'06 Foo 1994 08:49:37',
		'Nov 1994 08:49:37',
		'123456 Nov 08:49:37'
	])('is none: %s', (text) => {
		expect(parseDate(text)).toBeNaN();
	});
});

describe('a Set-Cookie field', () => {
	it('has everything that open-webui says in one', () => {
		expect(
			read('token=a.b.c; expires=Mon, 30 Nov 2026 09:00:00 GMT; HttpOnly; Path=/; SameSite=lax')
		).toEqual({
			name: 'token',
			value: 'a.b.c',
			path: '/',
			expires: NOW + DAY,
			httpOnly: true,
			sameSite: 'lax'
		});
	});

	it.each<[string, Partial<Cookie>]>([
		['a=', { name: 'a', value: '' }],
		['a=b=c', { name: 'a', value: 'b=c' }],
		[' a = "b c" ; Path=/x', { name: 'a', value: '"b c"', path: '/x' }],
		['a=1', { path: '/api/v1/auths', expires: null, sameSite: 'lax' }],
		['a=1; path=x', { path: '/api/v1/auths' }],
		['a=1; path=/x; path=/y', { path: '/y' }],
		['a=1; PATH=/x; SECURE; httponly=no', { path: '/x', httpOnly: true }],
		['a=1; SameSite=Strict', { sameSite: 'strict' }],
		['a=1; SameSite=None', { sameSite: 'none' }],
		['a=1; SameSite=whatever', { sameSite: 'lax' }],
		['a=1; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT', { expires: NOW + 60_000 }],
		['a=1; Max-Age=x; Expires=Mon, 30 Nov 2026 09:00:00 GMT', { expires: NOW + DAY }],
		['a=1; Expires=soon', { expires: null }],
		['a=1; Max-Age=99999999999', { expires: NOW + 400 * DAY }],
		['a=1; Expires=Mon, 30 Nov 2099 09:00:00 GMT', { expires: NOW + 400 * DAY }],
		['a=1; Domain=chat.example', { name: 'a' }],
		['a=1; Domain=.CHAT.example', { name: 'a' }],
		['a=1; Domain=', { name: 'a' }],
		['__Host-a=1; Secure; Path=/', { name: '__Host-a' }]
	])('%s', (line, expected) => {
		expect(read(line)).toMatchObject(expected);
	});

	it.each([
		'',
		'a',
		'=1',
		';a=1',
		'a=1; Domain=example',
		'a=1; Domain=other.example',
		'a=1; Domain=x.chat.example',
		'a=1\r\nSet-Cookie: b=2',
		'a=1\0',
		'a=1\x7f',
		`a=${'x'.repeat(4096)}`,
		`a=${'ä'.repeat(2048)}`
	])('is ignored: %j', (line) => {
		expect(parseCookie(line, AT)).toBeNull();
	});

	it('that has ended is known to have', () => {
		for (const line of [
			'a=1; Max-Age=0',
			'a=1; Max-Age=-5',
			'a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT'
		]) {
			expect(isAlive(read(line), NOW)).toBe(false);
		}
	});

	it('of any text whatever is a cookie or ignored, in little time', () => {
		fc.assert(
			fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (line) => {
				const cookie = parseCookie(line, AT);
				if (cookie) expect(cookieText([cookie])).not.toMatch(/[\0\r\n;]/);
			})
		);
		expect(parseCookie(`a=1${'; x=y'.repeat(100_000)}`, AT)).toMatchObject({ name: 'a' });
		expect(parseDate('1 '.repeat(100_000))).toBeNaN();
	});
});

describe('the cookies of a request', () => {
	const sent = (cookies: readonly Cookie[], path: string, asker: Asker = 'own') =>
		cookieText(cookiesFor(cookies, path, asker, NOW));

	it.each([
		['/', '/', true],
		['/', '/c/1', true],
		['/api', '/api', true],
		['/api', '/api/v1', true],
		['/api/', '/api/v1', true],
		['/api', '/apis', false],
		['/api/', '/api', false],
		['/api/v1', '/api', false]
	])('of path %s go to %s: %s', (path, to, goes) => {
		expect(sent([read(`a=1; Path=${path}`)], to)).toBe(goes ? 'a=1' : '');
	});

	it('go the longest path first, then the oldest', () => {
		const cookies = ['old=1; Path=/', 'young=1; Path=/', 'deep=1; Path=/api'].map((line) =>
			read(line)
		);
		expect(sent(cookies, '/api/x')).toBe('deep=1; old=1; young=1');
	});

	it('have not ended', () => {
		const cookies = [read('a=1; Path=/; Max-Age=1'), read('b=1; Path=/')];
		expect(cookieText(cookiesFor(cookies, '/', 'own', NOW + 1000))).toBe('b=1');
	});

	it('go along with what others ask as far as they say', () => {
		const cookies = ['Strict', 'Lax', 'None'].map((site) =>
			read(`${site}=1; Path=/; SameSite=${site}`)
		);
		expect(sent(cookies, '/', 'own')).toBe('Strict=1; Lax=1; None=1');
		expect(sent(cookies, '/', 'link')).toBe('Lax=1; None=1');
		expect(sent(cookies, '/', 'form')).toBe('None=1');
	});

	it('replace the same one, which keeps its age, and end it', () => {
		const old = read('a=1; Path=/');
		const other = read('a=1; Path=/x');
		const next = read('a=2; Path=/');
		expect(withCookie([old, other], next, NOW)).toEqual([next, other]);
		expect(withCookie([old, other], read('a=; Path=/; Max-Age=0'), NOW)).toEqual([other]);
		expect(withCookie([], read('a=; Path=/; Max-Age=0'), NOW)).toEqual([]);
	});
});
