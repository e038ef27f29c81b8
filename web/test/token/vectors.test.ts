import { describe, expect, it } from 'vitest';
import { fromUtf8, toUtf8 } from '../../src/base/encoding';
import { Problem } from '../../src/base/problem';
import { keyOfChain } from '../../src/token/chain';
import { parseJwt, verifyJwt, type Algorithm } from '../../src/token/jwt';
import { parseKeySet, parsePins } from '../../src/token/keys';
import { flipped } from '../support/bytes';
import { must } from '../support/must';
import { problemIn, problemOf } from '../support/problems';
import { readVectors } from '../support/vectors';

interface Case {
	fault: string;
	token: string;
}
interface Pinned {
	pin: string;
	token: string;
}

// Made by tests/vectors/make.py; PyJWT accepts and refuses the same ones (tests/unit/test_vectors.py).
const vectors = readVectors('tokens') as {
	keys: unknown;
	algorithms: Algorithm[];
	claims: unknown;
	valid: { name: string; token: string }[];
	invalid: Case[];
	strict: Case[];
	chains: {
		now: number;
		root: string;
		signer: JsonWebKey;
		x5c: string[];
		valid: (Pinned & { name: string })[];
		invalid: (Pinned & { fault: string; why: string })[];
	};
};
const keys = parseKeySet(JSON.stringify(vectors.keys));
const { subtle } = crypto;

const read = async (token: string) => {
	const jwt = parseJwt(token);
	await verifyJwt(subtle, jwt, keys, vectors.algorithms, false);
	return jwt.payload;
};

describe('tokens of the vectors', () => {
	it.each(vectors.valid)('$name holds', async ({ token }) => {
		expect(await read(token)).toEqual(vectors.claims);
	});

	it.each([...vectors.invalid, ...vectors.strict])('$fault is refused', async ({ token }) => {
		await expect(read(token)).rejects.toBeInstanceOf(Problem);
	});

	// Those are well signed: nothing but their form can have been the reason.
	it.each(vectors.strict)('$fault is malformed', ({ token }) => {
		expect(problemOf(() => parseJwt(token))?.code).toBe('token-malformed');
	});

	it('are refused whole: no byte of the signed part may change', async () => {
		const { token } = must(vectors.valid[0]);
		const signed = token.slice(0, token.lastIndexOf('.'));
		for (let at = 0; at < signed.length; at++) {
			const changed = fromUtf8(flipped(toUtf8(token), at));
			await expect(read(changed)).rejects.toBeInstanceOf(Problem);
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
	const outcome = async (run: Promise<unknown>) => {
		const { code = 'accepted', detail = '' } = (await problemIn(() => run)) ?? {};
		return { code, detail };
	};

	it.each(chains.valid)('$name: holds', async ({ pin, token }) => {
		expect(await verify(token, pin)).toEqual(vectors.claims);
	});

	it.each(chains.invalid)('$fault: is refused ($why)', async ({ fault, why, pin, token }) => {
		const { code, detail } = await outcome(verify(token, pin));
		expect(code).toBe(fault === 'RSA CA' ? 'keys-malformed' : 'token-forged');
		expect(detail).toContain(why && `x5c: ${why}`);
		expect(detail === '').toBe(why === '');
	});

	it('hold between their first and last second only', async () => {
		const { pin, token } = must(chains.valid[0]);
		const start = Date.UTC(2026) / 1000;
		const end = Date.UTC(2036) / 1000;
		for (const [now, expected] of [
			[start - 1, 'token-forged'],
			[start, 'accepted'],
			[end, 'accepted'],
			[end + 1, 'token-forged']
		] as const) {
			expect((await outcome(verify(token, pin, now))).code).toBe(expected);
		}
	});

	it('are refused with any byte of any certificate changed', async () => {
		const pins = parsePins(chains.root).certificates;
		const good = chains.x5c.map((text) => Buffer.from(text, 'base64url'));
		const wanted = await keyOfChain(subtle, chains.x5c, pins, chains.now);
		for (const [which, der] of good.entries()) {
			for (let at = 0; at < der.length; at += 3) {
				const changed = good.map((bytes, place) =>
					place === which ? flipped(bytes, at, 1 << (at % 8)) : bytes
				);
				const texts = changed.map((bytes) => bytes.toString('base64url'));
				const key = keyOfChain(subtle, texts, pins, chains.now);
				await expect(key, `byte ${at} of certificate ${which}`).rejects.toMatchObject({
					code: 'token-forged'
				});
			}
		}
		expect(wanted).toMatchObject({ kty: 'EC', x: chains.signer.x, y: chains.signer.y });
	});
});
