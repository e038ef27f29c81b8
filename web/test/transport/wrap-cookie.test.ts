// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openJar, type Jar } from '../../src/transport/jar';
import { openStore } from '../../src/transport/shared';
import { wrapCookie } from '../../src/transport/wrap-cookie';
import { fakeClock, settle } from '../support/environment';
import { pretendDatabase } from '../support/indexed-db';

let policy: string | null;
let path: string;
let clock: ReturnType<typeof fakeClock>;
let jar: Jar;
let refresh: () => Promise<void>;

beforeEach(() => {
	policy = 'p';
	path = '/auth';
	clock = fakeClock();
	const { factory } = pretendDatabase();
	jar = openJar(
		openStore(() => factory, clock.later),
		'chat.example',
		clock.now
	);
	refresh = wrapCookie(document, jar, {
		policy: () => policy,
		path: () => path,
		host: 'chat.example',
		now: clock.now
	});
});
afterEach(() => {
	policy = null;
	document.cookie = 'own=; Max-Age=0';
	Reflect.deleteProperty(document, 'cookie');
});

describe('document.cookie', () => {
	it('shows the jar’s, but for those that are not for scripts', async () => {
		await jar.take('/', ['token=abc; Path=/', 'hidden=1; Path=/; HttpOnly', 'x=1; Path=/x'], 'p');
		expect(document.cookie).toBe('');
		await refresh();
		expect(document.cookie).toBe('token=abc');
		path = '/x/y';
		expect(document.cookie).toBe('x=1; token=abc');
	});

	it('sets and ends them, at once and for the others', async () => {
		await jar.take('/', ['token=abc; Path=/'], 'p');
		await refresh();
		document.cookie = 'token=; Max-Age=0; path=/';
		document.cookie = 'a=1; path=/; Max-Age=60';
		document.cookie = 'b=1; HttpOnly';
		document.cookie = 'none';
		expect(document.cookie).toBe('a=1');
		await refresh();
		expect([document.cookie, await jar.header('/', 'p')]).toEqual(['a=1', 'a=1']);
		clock.advance(60_000);
		expect(document.cookie).toBe('');
	});

	it('does not hide one that is not for scripts', async () => {
		await jar.take('/', ['token=abc; Path=/; HttpOnly'], 'p');
		document.cookie = 'token=evil; path=/';
		await settle(() => document.cookie === '');
		expect(await jar.header('/', 'p')).toBe('token=abc');
	});

	it('is the browser’s own where nothing is sealed, and nothing of it gets out of the jar', async () => {
		await jar.take('/', ['token=abc; Path=/'], 'p');
		await refresh();
		policy = null;
		document.cookie = 'own=1';
		expect(document.cookie).toBe('own=1');
		await refresh();
		policy = 'p';
		expect(document.cookie).toBe('');
		expect(await jar.header('/', 'p')).toBe('token=abc');
	});
});
