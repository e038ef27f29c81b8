import { beforeEach, describe, expect, it } from 'vitest';
import { CHARACTERS, COOKIES, LINES, openJar, type Jar } from '../../src/transport/jar';
import { NOBODYS, openStore } from '../../src/transport/shared';
import { fakeClock } from '../support/environment';
import { pretendDatabase, type PretendedDatabase } from '../support/indexed-db';

const POLICY = 'strict';

let database: PretendedDatabase;
let clock: ReturnType<typeof fakeClock>;
let jar: Jar;

/** As another page, or the worker, has it. */
const another = (): Jar =>
	openJar(
		openStore(() => database.factory, clock.later),
		'chat.example',
		clock.now
	);
const kept = () => database.stores.get('state')?.get('jar') as { cookies: unknown[] } | undefined;

beforeEach(() => {
	database = pretendDatabase();
	clock = fakeClock();
	jar = another();
});

describe('the jar', () => {
	it('gives pages and worker what an answer to any of them set', async () => {
		await jar.take('/api/v1/auths/signin', ['token=abc; Path=/; HttpOnly'], POLICY);
		expect(await another().header('/api/v1/chats/', POLICY)).toBe('token=abc');
		expect(await another().header('/c/1', POLICY, 'form')).toBe('');
	});

	it('never hands scripts what is not for them', async () => {
		await jar.take('/', ['token=abc; HttpOnly', 'theme=dark', 'deep=1; Path=/x'], POLICY);
		expect((await jar.visible(POLICY)).map(({ name }) => name)).toEqual(['theme', 'deep']);
	});

	it('lets scripts set and end their own, and not the others', async () => {
		await jar.take('/', ['token=abc; Path=/; HttpOnly', 'a=1; Path=/'], POLICY);
		await jar.set('/', 'token=; Max-Age=0; path=/', POLICY);
		await jar.set('/', 'token=evil; path=/', POLICY);
		await jar.set('/', 'b=2; HttpOnly', POLICY);
		await jar.set('/', 'a=; Max-Age=0; path=/', POLICY);
		await jar.set('/', 'c=3; path=/', POLICY);
		await jar.set('/', 'no cookie', POLICY);
		expect(await jar.header('/', POLICY)).toBe('token=abc; c=3');
	});

	it('gives nothing to keys that were judged under another policy', async () => {
		await jar.take('/', ['token=abc'], POLICY);
		expect(await jar.header('/', 'lax')).toBe('');
		expect(await jar.visible('lax')).toEqual([]);
		await jar.take('/', [], 'lax');
		expect(await jar.header('/', POLICY)).toBe('token=abc');
		await jar.take('/', ['other=1'], 'lax');
		expect(await jar.header('/', POLICY)).toBe('');
		expect(await jar.header('/', 'lax')).toBe('other=1');
	});

	it('hands on what a sign-in set to whoever signed in, under whichever policy', async () => {
		const nobodys = `${NOBODYS}lax`;
		await jar.take('/api/v1/auths/signin', ['token=abc; Path=/'], nobodys);
		expect(await another().header('/', POLICY)).toBe('token=abc');
		expect((await jar.visible(POLICY)).map(({ name }) => name)).toEqual(['token']);

		await jar.set('/', 'theme=dark', POLICY);
		expect(await another().header('/', POLICY)).toBe('token=abc; theme=dark');
		expect(await jar.header('/', nobodys)).toBe('');
		expect(await jar.header('/', 'lax')).toBe('');
	});

	it('takes what comes late of before a sign-in, and has it for the account', async () => {
		await jar.take('/', ['token=abc; Path=/'], POLICY);
		await jar.take('/api/v1/auths/', ['token=new; Path=/'], `${NOBODYS}lax`);
		expect(await jar.header('/', POLICY)).toBe('token=new');
	});

	it('is emptied at sign-out, whatever the answer sets', async () => {
		await jar.take('/', ['token=abc', 'oauth_id_token=x'], POLICY);
		await jar.take('/api/v1/auths/signout', ['token=; Max-Age=0', 'more=1'], POLICY);
		expect(kept()).toBeUndefined();
		expect(await another().header('/', POLICY)).toBe('');
	});

	it('loses nothing where many write at once', async () => {
		const jars = Array.from({ length: 20 }, another);
		await Promise.all(jars.map((one, at) => one.take('/', [`c${at}=${at}`], POLICY)));
		const names = (await jar.header('/', POLICY)).split('; ').sort();
		expect(names).toEqual(jars.map((_, at) => `c${at}=${at}`).sort());
	});

	it('stays small: the newest are kept, of one answer not all are read', async () => {
		for (let at = 0; at < COOKIES + 5; at += 1) await jar.take('/', [`c${at}=1`], POLICY);
		expect(kept()?.cookies).toHaveLength(COOKIES);
		expect(await jar.header('/', POLICY)).not.toContain('c4=');
		expect(await jar.header('/', POLICY)).toContain(`c${COOKIES + 4}=`);

		const big = Array.from({ length: LINES }, (_, at) => `big${at}=${'x'.repeat(4000)}`);
		await jar.take('/', big, POLICY);
		const header = await jar.header('/', POLICY);
		expect(header.length).toBeLessThanOrEqual(CHARACTERS + 2 * COOKIES);
		expect(header).toContain(`big${LINES - 1}=`);
		expect(header).not.toContain('big0=');

		await jar.empty();
		await jar.take('/', [...Array.from({ length: LINES }, () => 'x'), 'late=1'], POLICY);
		expect(await jar.header('/', POLICY)).toBe('');
	});

	it('takes what nobody of ours wrote for empty', async () => {
		await jar.take('/', ['a=1'], POLICY);
		const state = database.stores.get('state');
		for (const value of [
			null,
			7,
			'x',
			[],
			{ policy: POLICY },
			{ policy: 7, cookies: [] },
			{ policy: NOBODYS, cookies: 7 },
			{ policy: POLICY, cookies: [null, { name: 'a' }] }
		]) {
			state?.set('jar', value);
			expect(await jar.header('/', POLICY)).toBe('');
		}
		await jar.take('/', ['b=1'], POLICY);
		expect(await jar.header('/', POLICY)).toBe('b=1');
	});

	it('forgets what has ended', async () => {
		await jar.take('/', ['a=1; Max-Age=60', 'b=1'], POLICY);
		clock.advance(60_000);
		expect(await jar.header('/', POLICY)).toBe('b=1');
		await jar.take('/', ['c=1'], POLICY);
		expect(kept()?.cookies).toHaveLength(2);
	});
});
