import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fromUtf8, toUtf8 } from '$lib/tee/encoding';
import { parseJwt, verifyJwt } from '$lib/tee/jwt';
import { parseKeySet } from '$lib/tee/keys';
import { Problem } from '$lib/tee/problem';

// Made by tests/vectors/make.py; PyJWT accepts and refuses the same ones (tests/unit/test_vectors.py).
const vectors = JSON.parse(readFileSync(new URL('../vectors/tokens.json', import.meta.url), 'utf8'));
const keys = parseKeySet(JSON.stringify(vectors.keys));

const read = async (token: string) => {
	const jwt = parseJwt(token);
	await verifyJwt(crypto.subtle, jwt, keys, vectors.algorithms, false);
	return jwt.payload;
};

describe('tokens of the vectors', () => {
	it.each(vectors.valid as { name: string; token: string }[])('$name holds', async ({ token }) => {
		expect(await read(token)).toEqual(vectors.claims);
	});

	it.each(vectors.invalid as { fault: string; token: string }[])(
		'$fault is refused',
		async ({ token }) => {
			await expect(read(token)).rejects.toBeInstanceOf(Problem);
		}
	);

	it('are refused whole: no byte of the signed part may change', async () => {
		const token: string = vectors.valid[0].token;
		const signed = token.slice(0, token.lastIndexOf('.'));
		for (let at = 0; at < signed.length; at++) {
			const bytes = toUtf8(token);
			bytes[at] ^= 1;
			await expect(read(fromUtf8(bytes))).rejects.toBeInstanceOf(Problem);
		}
	});
});
