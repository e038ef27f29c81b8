import { fromBase64, toBase64url, toHex } from '../base/encoding';
import { asProblem, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import { parseCertificate, verifyChain, type Certificate } from '../base/x509';
import type { Jwk } from './keys';

/** A certificate, with its bytes in hex: the only identity that it has. */
interface Identified extends Certificate {
	hex: string;
}

/** Base64 as RFC 7515 section 4.1.6 has it, or unpadded base64url as Trustee writes up to v0.20. */
const decode = (text: unknown): Uint8Array<ArrayBuffer> =>
	fromBase64(String(text).replace(/-/g, '+').replace(/_/g, '/'));

const read = (der: Uint8Array<ArrayBuffer>): Identified => ({
	hex: toHex(der),
	...parseCertificate(der)
});

/** Whatever goes wrong meanwhile has this code. */
const within = async <T>(code: ReasonCode, run: () => T | Promise<T>): Promise<T> => {
	try {
		return await run();
	} catch (error) {
		throw new Problem(code, `x5c: ${asProblem(error).detail}`);
	}
};

/** The key of a certificate; its point is 0x04, x and y, 32 bytes each. */
const keyOf = ({ key }: Certificate): Jwk => ({
	kty: 'EC',
	crv: 'P-256',
	x: toBase64url(key.subarray(1, 33)),
	y: toBase64url(key.subarray(33))
});

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
	pinned: readonly Uint8Array<ArrayBuffer>[],
	now: number
): Promise<Jwk> => {
	const anchors = await within('keys-malformed', () => pinned.map(read));
	return within('token-forged', async () => {
		const path = Array.isArray(chain) ? chain.map(decode).map(read) : [];
		const [leaf] = path;
		if (!leaf) throw new Problem('internal', 'none');
		// Its own name tells an anchor from others; two of one name are told apart by the signature.
		let problem = new Problem('internal', 'none pinned');
		for (const anchor of anchors) {
			const above = path.findIndex(({ hex }) => hex === anchor.hex);
			const below = above < 0 ? path : path.slice(0, above);
			try {
				await verifyChain(subtle, [...below, anchor], anchor.key, now, false);
				return keyOf(leaf);
			} catch (error) {
				problem = asProblem(error);
			}
		}
		throw problem;
	});
};
