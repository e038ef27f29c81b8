import { strictBase64, toBase64url, toHex } from '../base/encoding';
import { asProblem, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import { parseCertificate, parsePinned, verifyChain, type Certificate } from '../base/x509';
import type { Jwk } from './keys';

/** Certificates that a token's chain may have. */
const CHAIN_LIMIT = 8;

/** A pinned certificate, with its bytes in hex: the only identity that it has. */
interface Anchor extends Certificate {
	hex: string;
}

/** Base64 as RFC 7515 section 4.1.6 has it, or unpadded base64url as Trustee writes up to v0.20. */
const decode = (text: unknown): Uint8Array<ArrayBuffer> => {
	if (typeof text !== 'string') throw new Problem('internal', 'encoding');
	const standard = text.replace(/-/g, '+').replace(/_/g, '/');
	return strictBase64(standard.padEnd(Math.ceil(standard.length / 4) * 4, '='));
};

const readAnchor = (der: Uint8Array<ArrayBuffer>): Anchor => ({
	hex: toHex(der),
	...parsePinned(der)
});

/** The chain's certificates up to the pinned one, or all where that is left out. */
const below = (chain: readonly unknown[], anchor: Anchor): Certificate[] => {
	const path: Certificate[] = [];
	for (const item of chain) {
		const der = decode(item);
		if (toHex(der) === anchor.hex) break;
		path.push(parseCertificate(der));
	}
	return path;
};

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
 * The certificates (DER) that a user pinned; throws `keys-malformed` for one that is none, or of a kind
 * that we cannot read (anything but ECDSA P-256).
 */
export const readPinned = (pinned: readonly Uint8Array<ArrayBuffer>[]): Promise<Anchor[]> =>
	within('keys-malformed', () => pinned.map(readAnchor));

/**
 * The key of a token's certificate chain (leaf first), which must lead to one of the certificates
 * (DER) that the user pinned. What a chain has above that one is nobody's concern, and not even read;
 * nor is who signed the pinned one, and how.
 *
 * Throws `keys-malformed` as `readPinned` does, and `token-forged` for a chain that does not hold now
 * (seconds).
 */
export const keyOfChain = async (
	subtle: SubtleCrypto,
	chain: unknown,
	pinned: readonly Uint8Array<ArrayBuffer>[],
	now: number
): Promise<Jwk> => {
	const anchors = await readPinned(pinned);
	return within('token-forged', async () => {
		if (!Array.isArray(chain) || chain.length === 0) throw new Problem('internal', 'none');
		if (chain.length > CHAIN_LIMIT) throw new Problem('internal', 'length');
		// Its own name tells an anchor from others; two of one name are told apart by the signature.
		let problem = new Problem('internal', 'none pinned');
		for (const anchor of anchors) {
			try {
				const path = [...below(chain, anchor), anchor];
				await verifyChain(subtle, path, anchor.key, now, false);
				return keyOf(path[0] ?? anchor);
			} catch (error) {
				problem = asProblem(error);
			}
		}
		throw problem;
	});
};
