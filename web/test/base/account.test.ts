/** Whose word this browser keeps: the account that was here first, another one, or nobody's. */
import { describe, expect, it } from 'vitest';
import { accountIn, claim, OWNER_KEY, whoseIn } from '../../src/base/account';
import { fakeStorage, refusingStorage } from '../support/environment';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const tokenOf = (id: unknown) => `${part({ alg: 'HS256' })}.${part({ id, exp: 1 })}.c2ln`;
const ALICE = 'a11ce000-0000-4000-8000-000000000000';
const BOB = 'b0b00000-0000-4000-8000-000000000000';

const browser = (token: string | null, owner?: string) => {
	const items = new Map(owner === undefined ? [] : [[OWNER_KEY, owner]]);
	if (token !== null) items.set('token', token);
	return fakeStorage(items);
};
const whose = (...given: Parameters<typeof browser>) => whoseIn(() => browser(...given));

describe('a token', () => {
	it('names its account', () => {
		expect(accountIn(tokenOf(ALICE))).toBe(ALICE);
	});

	it.each([
		['none', null],
		['an empty one', ''],
		['a key', 'sk-0123456789abcdef'],
		['no base64url', 'a.%.c'],
		['no JSON', `a.${Buffer.from('{').toString('base64url')}.c`],
		['no id', `a.${part({ sub: ALICE })}.c`],
		['an id that is no text', tokenOf(1)],
		['an empty id', tokenOf('')],
		['an id with other signs', tokenOf('../x')],
		['an id with a line end', tokenOf('x\n')],
		['an id that is too long', tokenOf('x'.repeat(65))],
		['too much', tokenOf(ALICE).replace('.', `.${'A'.repeat(1 << 14)}`)]
	])('that is %s names nobody', (_name, token) => {
		expect(accountIn(token)).toBe('');
	});
});

describe('what this browser keeps is', () => {
	it('whoever’s who comes first, before and after they sign in', () => {
		expect([whose(null), whose(tokenOf(ALICE))]).toEqual(['', '']);
		expect(whose(tokenOf(ALICE), ALICE)).toBe('');
	});

	it('not another account’s', () => {
		expect(whose(tokenOf(BOB), ALICE)).toBe(`@${BOB}`);
	});

	it('nobody’s where nobody is signed in, and somebody was before', () => {
		for (const token of [null, '', 'sk-key', tokenOf(1)]) expect(whose(token, ALICE)).toBeNull();
	});

	it('nobody’s whom an owner names that is none', () => {
		expect([whose(null, ''), whose(tokenOf(ALICE), '')]).toEqual([null, `@${ALICE}`]);
	});

	it('as if it were the first account’s where nothing can be read', () => {
		expect(whoseIn(() => refusingStorage)).toBe('');
	});
});

describe('the first account', () => {
	it('is remembered, and no other one after it', () => {
		const storage = browser(null);
		claim(storage);
		expect(storage.items.has(OWNER_KEY)).toBe(false);
		storage.items.set('token', tokenOf(ALICE));
		claim(storage);
		storage.items.set('token', tokenOf(BOB));
		claim(storage);
		expect(storage.items.get(OWNER_KEY)).toBe(ALICE);
	});

	it('is not where nothing can be stored', () => {
		expect(() => {
			claim(refusingStorage);
		}).not.toThrow();
	});
});
