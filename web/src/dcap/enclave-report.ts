import { reader } from '../base/reader';

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
