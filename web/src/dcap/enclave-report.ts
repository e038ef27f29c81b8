import { toHex } from '../base/encoding';
import { reader } from '../base/reader';
import type { QeIdentity } from './documents';
import { refuse } from './steps';

/** What a quoting enclave says about itself, as far as its identity is held against it. */
export interface EnclaveReport {
	miscselect: Uint8Array<ArrayBuffer>;
	attributes: Uint8Array<ArrayBuffer>;
	/** MRSIGNER. */
	signer: Uint8Array<ArrayBuffer>;
	/** ISVPRODID and ISVSVN. */
	product: number;
	svn: number;
	/** What the enclave put there: a hash, and zeros after it. */
	data: Uint8Array<ArrayBuffer>;
}

/**
 * Read an enclave report, 384 bytes (Intel SDM volume 3D, REPORT); throws `quote-signature` for
 * another length. Nothing is verified yet.
 */
export const parseEnclaveReport = (bytes: Uint8Array<ArrayBuffer>): EnclaveReport => {
	const report = reader(bytes, 'quote-signature');
	report.take(16); // CPUSVN
	const miscselect = report.take(4);
	report.take(28); // reserved
	const attributes = report.take(16);
	report.take(32); // MRENCLAVE
	report.take(32); // reserved
	const signer = report.take(32);
	report.take(96); // reserved
	const product = report.number(2);
	const svn = report.number(2);
	report.take(60); // reserved
	const data = report.take(64);
	report.end();
	return { miscselect, attributes, signer, product, svn, data };
};

/** ATTRIBUTES.DEBUG of an enclave, in their first byte. */
const DEBUG = 0x02;

/** Whatever an identity's mask says: a debug enclave's keys can be read. */
export const checkNoDebug = ({ attributes: [flags = DEBUG] }: EnclaveReport): void => {
	if ((flags & DEBUG) !== 0) refuse('qe-debug');
};

/** Is `actual` in the bits of a mask of its length exactly as expected? */
const agrees = (actual: Uint8Array, mask: Uint8Array, expected: Uint8Array): boolean =>
	toHex(actual.map((byte, at) => byte & (mask[at] ?? 0))) === toHex(expected);

/** Is it Intel's quoting enclave for TDs? Stops reports of anybody's own enclave. */
export const checkIdentity = (report: EnclaveReport, identity: QeIdentity): void => {
	const { attributes, signer, product, miscselect } = report;
	const differing = [
		['MRSIGNER', toHex(signer) === identity.signer],
		['ISVPRODID', product === identity.product],
		['MISCSELECT', agrees(miscselect, identity.miscselectMask, identity.miscselect)],
		['ATTRIBUTES', agrees(attributes, identity.mask, identity.attributes)]
	] as const;
	for (const [name, isSame] of differing) if (!isSame) refuse(`qe-unknown: ${name}`);
};
