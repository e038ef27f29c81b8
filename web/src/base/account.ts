/**
 * Whose word this browser keeps. Its storage belongs to an origin, and so to everybody who signs in
 * there; what one account set or accepted must not count for another.
 */
import { fromBase64url, fromUtf8 } from './encoding';
import { own, parseObject } from './json';

/** The name under which this browser keeps the id of the account that was here first. */
export const OWNER_KEY = 'tee.owner';
/** The name under which open-webui keeps the token of who is signed in. */
const TOKEN_KEY = 'token';
/** Characters of a token that are read. */
const TOKEN_LIMIT = 1 << 14;

/**
 * What the names of an account's things end in: nothing for the account that was here first, and for
 * whoever comes before it; the id of any other one. Null: nobody is signed in, where somebody was
 * before.
 */
export type Whose = string | null;

type Kept = Pick<Storage, 'getItem'>;

/** The id of the account that a token is of; empty where it is nobody's, or does not say. */
export const accountIn = (token: string | null): string => {
	try {
		const [, claims] = (token ?? '').slice(0, TOKEN_LIMIT).split('.');
		const id = own(parseObject(fromUtf8(fromBase64url(claims))), 'id');
		return typeof id === 'string' && /^[\w-]{1,64}$/.test(id) ? id : '';
	} catch {
		return '';
	}
};

/** Whose things count now; those of the first account where this browser lets nobody read any. */
export const whoseIn = (storage: () => Kept): Whose => {
	try {
		const owner = storage().getItem(OWNER_KEY);
		const account = accountIn(storage().getItem(TOKEN_KEY));
		if (owner === null || (account && owner === account)) return '';
		return account ? `@${account}` : null;
	} catch {
		return '';
	}
};

/** Remember who was here first, as soon as somebody is signed in. */
export const claim = (storage: Kept & Pick<Storage, 'setItem'>): void => {
	try {
		const account = accountIn(storage.getItem(TOKEN_KEY));
		if (account && storage.getItem(OWNER_KEY) === null) storage.setItem(OWNER_KEY, account);
	} catch {
		// the check `settings` says that this browser keeps nothing
	}
};
