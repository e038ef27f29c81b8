import { toHex } from '../base/encoding';
import * as x509 from '../base/x509';
import type { Quote } from '../evidence/quote';
import { parseChain, PCK_CHAIN } from './chain';
import type { QeIdentity } from './documents';
import { checkIdentity, checkNoDebug, parseEnclaveReport } from './enclave-report';
import { readPlatform, type Platform } from './pck';
import { inOrder, reasoned, refuse } from './steps';

/** A verified PCK chain, and the platform that it is about. */
export interface Pck {
	leaf: x509.Certificate;
	ca: x509.Certificate;
	root: x509.Certificate;
	platform: Platform;
}

/** The PCK certificate leads to the pinned root; stops quotes of anybody who has a P-256 key. */
export const verifyPck = async (
	subtle: SubtleCrypto,
	{ chain: pem }: Quote,
	rootKey: Uint8Array<ArrayBuffer>,
	now: number
): Promise<Pck> => {
	const [leaf, ca, root] = await reasoned('chain', async () => {
		const chain = parseChain(pem, PCK_CHAIN);
		await x509.verifyChain(subtle, chain, rootKey, now);
		return chain;
	});
	if (!ca || !root) return refuse('chain: length');
	const platform = await reasoned('pck-malformed', () => readPlatform(leaf));
	return { leaf, ca, root, platform };
};

/** The quoting enclave runs on the platform that the PCK certificate is about. */
const verifyQeReport = async (
	subtle: SubtleCrypto,
	{ qeSignature, qeReport }: Quote,
	{ leaf }: Pck
): Promise<void> => {
	const good = await x509.verifyEcdsa(subtle, leaf.key, qeSignature, qeReport);
	if (!good) refuse('qe-report-forged');
};

/** The attestation key is the quoting enclave's; stops a genuine report beside somebody's key. */
const verifyAttestationKey = async (subtle: SubtleCrypto, quote: Quote): Promise<void> => {
	const { attestationKey, authData, qeReport } = quote;
	const bound = new Uint8Array(attestationKey.length + authData.length);
	bound.set(attestationKey);
	bound.set(authData, attestationKey.length);
	const digest = toHex(new Uint8Array(await subtle.digest('SHA-256', bound)));
	const { data } = parseEnclaveReport(qeReport);
	if (toHex(data) !== digest.padEnd(2 * data.length, '0')) refuse('attestation-key');
};

/** The quoting enclave is Intel's, as far as an identity is known. */
const verifyEnclave = async (
	{ qeReport }: Quote,
	identity: Promise<QeIdentity | undefined>
): Promise<void> => {
	const report = parseEnclaveReport(qeReport);
	checkNoDebug(report);
	const known = await identity;
	if (known) checkIdentity(report, known);
};

/** The attestation key signed this very header and body. */
const verifyQuoteSignature = async (subtle: SubtleCrypto, quote: Quote): Promise<void> => {
	const key = Uint8Array.of(x509.UNCOMPRESSED, ...quote.attestationKey);
	const good = await x509.verifyEcdsa(subtle, key, quote.signature, quote.signed);
	if (!good) refuse('quote-forged');
};

/**
 * Verify what a quote is signed with, from the PCK down to its body; throws `internal`. Where there
 * is no identity of the quoting enclave, all else is verified.
 */
export const verifySignatures = async (
	subtle: SubtleCrypto,
	quote: Quote,
	pck: Promise<Pck>,
	identity: Promise<QeIdentity | undefined>
): Promise<void> => {
	await inOrder([
		pck.then((found) => verifyQeReport(subtle, quote, found)),
		verifyAttestationKey(subtle, quote),
		verifyEnclave(quote, identity),
		verifyQuoteSignature(subtle, quote)
	]);
};
