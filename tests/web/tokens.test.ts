import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { keyOfChain } from '$lib/tee/chain';
import { fromUtf8, toUtf8 } from '$lib/tee/encoding';
import { parseJwt, verifyJwt } from '$lib/tee/jwt';
import { parseKeySet, parsePins } from '$lib/tee/keys';
import { asProblem, Problem } from '$lib/tee/problem';

// Made by tests/vectors/make.py; PyJWT accepts and refuses the same ones (tests/unit/test_vectors.py).
const vectors = JSON.parse(readFileSync(new URL('../vectors/tokens.json', import.meta.url), 'utf8'));
const keys = parseKeySet(JSON.stringify(vectors.keys));
const { subtle } = crypto;

const read = async (token: string) => {
	const jwt = parseJwt(token);
	await verifyJwt(subtle, jwt, keys, vectors.algorithms, false);
	return jwt.payload;
};

type Case = { fault: string; token: string };

describe('tokens of the vectors', () => {
	it.each(vectors.valid as { name: string; token: string }[])('$name holds', async ({ token }) => {
		expect(await read(token)).toEqual(vectors.claims);
	});

	it.each([...vectors.invalid, ...vectors.strict] as Case[])('$fault is refused', async ({ token }) => {
		await expect(read(token)).rejects.toBeInstanceOf(Problem);
	});

	// Those are well signed: nothing but their form can have been the reason.
	it.each(vectors.strict as Case[])('$fault is malformed', ({ token }) => {
		expect(() => parseJwt(token)).toThrow(expect.objectContaining({ code: 'token-malformed' }));
	});

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

describe('certificate chains of the vectors', () => {
	const { chains } = vectors;
	const verify = async (token: string, pin: string, now = chains.now) => {
		const jwt = parseJwt(token);
		const { keys, certificates } = parsePins(pin);
		expect(keys).toEqual([]);
		const key = await keyOfChain(subtle, jwt.chain, certificates, now);
		await verifyJwt(subtle, jwt, [key], ['ES256', 'RS384'], true);
		return jwt.payload;
	};
	const outcome = (run: Promise<unknown>) =>
		run.then(
			() => ['accepted'],
			(error) => [asProblem(error).code, asProblem(error).detail]
		);

	it.each(chains.valid as { name: string; pin: string; token: string }[])(
		'$name: holds',
		async ({ pin, token }) => {
			expect(await verify(token, pin)).toEqual(vectors.claims);
		}
	);

	it.each(chains.invalid as (Case & { pin: string; why: string })[])(
		'$fault: is refused ($why)',
		async ({ fault, why, pin, token }) => {
			const [code, detail] = await outcome(verify(token, pin));
			expect(code).toBe(fault === 'RSA CA' ? 'keys-malformed' : 'token-forged');
			expect(detail).toContain(why && `x5c: ${why}`);
			expect(detail === '').toBe(why === '');
		}
	);

	it('hold between their first and last second only', async () => {
		const [{ pin, token }] = chains.valid;
		const [start, end] = [2026, 2036].map((year) => Date.UTC(year) / 1000);
		for (const [now, expected] of [
			[start - 1, 'token-forged'],
			[start, 'accepted'],
			[end, 'accepted'],
			[end + 1, 'token-forged']
		]) {
			expect((await outcome(verify(token, pin, now as number)))[0]).toBe(expected);
		}
	});

	it('are refused with any byte of any certificate changed', async () => {
		const pins = parsePins(chains.root).certificates;
		const good: Uint8Array[] = chains.x5c.map((text: string) => Buffer.from(text, 'base64url'));
		const wanted = await keyOfChain(subtle, chains.x5c, pins, chains.now);
		for (const [which, der] of good.entries()) {
			for (let at = 0; at < der.length; at += 3) {
				const changed = good.map((bytes) => Buffer.from(bytes));
				changed[which][at] ^= 1 << at % 8;
				const texts = changed.map((bytes) => bytes.toString('base64url'));
				const key = keyOfChain(subtle, texts, pins, chains.now);
				await expect(key, `byte ${at} of certificate ${which}`).rejects.toMatchObject({ code: 'token-forged' });
			}
		}
		expect(wanted).toMatchObject({ kty: 'EC', x: chains.signer.x, y: chains.signer.y });
	});
});
