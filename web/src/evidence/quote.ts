import { fromBase64, latin1, toHex } from '../base/encoding';
import { Problem } from '../base/problem';
import { reader } from '../base/reader';

/**
 * Layouts: Intel TDX DCAP Quoting Library API, appendix A (quote v4 and v5); body type 4 as in
 * Intel's header `sgx_quote_5.h` and its QVL 1.27. All little-endian, lengths in bytes; names as
 * attestation services use them in their claims.
 */
const BODY = [
	['tcb_svn', 16],
	['mr_seam', 48],
	['mrsigner_seam', 48],
	['seam_attributes', 8],
	['td_attributes', 8],
	['xfam', 8],
	['mr_td', 48],
	['mr_config_id', 48],
	['mr_owner', 48],
	['mr_owner_config', 48],
	['rtmr_0', 48],
	['rtmr_1', 48],
	['rtmr_2', 48],
	['rtmr_3', 48],
	['report_data', 64]
] as const;

/** What a TDX 1.5 body (v5, types 3 and 4) has after those. */
const BODY_15 = [
	['tee_tcb_svn2', 16],
	['mr_servicetd', 48]
] as const;

/**
 * And what an extended one (type 4) has after those: the nested guest that asked (0: the TD itself),
 * this one instance of the TD, a digest of what is told of its devices, the service TD and the
 * platform that it began with, and the service TD that is bound now.
 */
const BODY_15_EXTENDED = [
	['vmid', 1],
	['td_id', 32],
	['devinfo', 48],
	['init_server_td_hash', 48],
	['init_server_td_attr', 8],
	['init_cpu_svn', 16],
	['init_tee_tcb_svn', 16],
	['init_tee_fmspc', 12],
	['curr_server_td_hash', 48],
	['curr_server_td_attr', 8]
] as const;

/** Bytes of any quote; real ones have some 5,000. */
const SIZE_LIMIT = 64 << 10;

const ECDSA_P256 = 2;
const TDX = 0x81;
const INTEL_QE_VENDOR = '939a7233f79c4ca9940a0db3957f0607';
/** Body types of v5, and the length of the one that v4 always has. */
const TDX_10 = 2;
const TDX_15 = 3;
const TDX_15_EXTENDED = 4;
const TDX_10_LENGTH = 584;
/** Types of certification data: what a TDX quote has outside, and within it. */
const QE_REPORT_DATA = 6;
const PCK_CHAIN = 5;

export type BodyField = (typeof BODY)[number][0];
/** Fields that not every body has. */
export type LaterBodyField = (typeof BODY_15 | typeof BODY_15_EXTENDED)[number][0];

export const LATER_FIELDS: readonly string[] = [...BODY_15, ...BODY_15_EXTENDED].map(
	([name]) => name
);

export interface Quote {
	/** Every body field as lower-case hex of the bytes in the quote. */
	body: Record<BodyField, string> & Partial<Record<LaterBodyField, string>>;
	/** The PCK certificate chain as PEM text. */
	chain: string;
	/** What the attestation key signs: header, body descriptor (v5) and body. */
	signed: Uint8Array<ArrayBuffer>;
	/** Raw r || s over `signed`. */
	signature: Uint8Array<ArrayBuffer>;
	/** Raw x || y. */
	attestationKey: Uint8Array<ArrayBuffer>;
	/** The quoting enclave's report, and raw r || s over it by the PCK. */
	qeReport: Uint8Array<ArrayBuffer>;
	qeSignature: Uint8Array<ArrayBuffer>;
	/** What the quoting enclave binds into its report besides the attestation key. */
	authData: Uint8Array<ArrayBuffer>;
}

/**
 * Parse a TDX quote, version 4 or 5 (bodies of TDX 1.0 and 1.5, extended or not), with exact bounds.
 *
 * Nothing is verified here. Throws `evidence-malformed`, also for another version, TEE, key type or
 * quoting enclave vendor.
 */
export const parseQuote = (bytes: Uint8Array<ArrayBuffer>): Quote => {
	const whole = reader(bytes);
	const expect = (field: string, good: boolean) => {
		if (!good) throw new Problem('evidence-malformed', field);
	};
	expect('size', bytes.length <= SIZE_LIMIT);
	const version = whole.number(2);
	expect('version', version === 4 || version === 5);
	expect('att_key_type', whole.number(2) === ECDSA_P256);
	expect('tee_type', whole.number(4) === TDX);
	whole.take(4); // quoting enclave and PCE SVN, reserved in TDX quotes
	expect('vendor-unknown', toHex(whole.take(16)) === INTEL_QE_VENDOR);
	whole.take(20); // user data

	const type = version === 5 ? whole.number(2) : TDX_10;
	expect('body_type', type >= TDX_10 && type <= TDX_15_EXTENDED);
	const inner = reader(whole.take(version === 5 ? whole.number(4) : TDX_10_LENGTH));
	const body = {
		...inner.fields(BODY),
		...(type >= TDX_15 && inner.fields(BODY_15)),
		...(type >= TDX_15_EXTENDED && inner.fields(BODY_15_EXTENDED))
	};
	inner.end();
	const signed = whole.before();

	const data = reader(whole.take(whole.number(4)));
	whole.end();
	const signature = data.take(64);
	const attestationKey = data.take(64);
	expect('certification data', data.number(2) === QE_REPORT_DATA);
	const certified = reader(data.take(data.number(4)));
	data.end();
	const qeReport = certified.take(384);
	const qeSignature = certified.take(64);
	const authData = certified.take(certified.number(2));
	expect('certification data', certified.number(2) === PCK_CHAIN);
	// Intel's own service ends the text with a NUL byte.
	const chain = latin1(certified.take(certified.number(4))).replace(/\0$/, '');
	certified.end();
	return { body, chain, signed, signature, attestationKey, qeReport, qeSignature, authData };
};

/** Does a certificate of the chain carry the simulator's name? (Intel's never do.) */
export const namesSimulator = (chain: string): boolean =>
	(chain.match(/[A-Za-z\d+/=\s]{64,}/g) ?? []).some((block) => {
		try {
			return latin1(fromBase64(block)).includes('SIMULATION');
		} catch {
			return false; // no certificate: nobody will vouch for this chain anyway
		}
	});
