import { parseCertificate, verifyChain } from './dcap/x509';
import { fromBase64, toBase64url, toHex } from './encoding';
import type { Jwk } from './keys';
import { asProblem, Problem, type ReasonCode } from './problem';

/** Base64 as RFC 7515 section 4.1.6 has it, or unpadded base64url as Trustee writes up to v0.20. */
const decode = (text: unknown) => fromBase64(String(text).replace(/-/g, '+').replace(/_/g, '/'));

/** Certificates, each with its bytes in hex: the only identity that they have. */
const read = (ders: readonly Uint8Array[]) =>
	ders.map((der) => ({ hex: toHex(der), ...parseCertificate(der) }));

/** Whatever goes wrong meanwhile has this code. */
const within = async <T>(code: ReasonCode, run: () => T | Promise<T>): Promise<T> => {
	try {
		return await run();
	} catch (error) {
		throw new Problem(code, `x5c: ${asProblem(error).detail}`);
	}
};

/**
 * The key of a token's certificate chain (leaf first), which must lead to one of the certificates
 * (DER) that the user pinned. What a chain has above that one is nobody's concern.
 *
 * Throws `keys-malformed` for a pinned certificate that is none, or of a kind that we cannot read
 * (anything but ECDSA P-256), and `token-forged` for a chain that does not hold now (seconds).
 */
export const keyOfChain = async (
	subtle: SubtleCrypto,
	chain: unknown,
	pinned: readonly Uint8Array[],
	now: number
): Promise<Jwk> => {
	const anchors = await within('keys-malformed', () => read(pinned));
	return within('token-forged', async () => {
		if (!Array.isArray(chain) || chain.length === 0) throw new Problem('internal', 'none');
		const path = read(chain.map(decode));
		// Its own name tells an anchor from others; two of one name are told apart by the signature.
		let problem: unknown;
		for (const anchor of anchors) {
			const above = path.findIndex(({ hex }) => hex === anchor.hex);
			const below = above < 0 ? path : path.slice(0, above);
			try {
				await verifyChain(subtle, [...below, anchor], anchor.key, now, false);
				const [x, y] = [1, 33].map((at) => toBase64url(path[0].key.slice(at, at + 32)));
				return { kty: 'EC', crv: 'P-256', x, y };
			} catch (error) {
				problem = error;
			}
		}
		throw problem;
	});
};
