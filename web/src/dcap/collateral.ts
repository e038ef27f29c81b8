import { fromHex, latin1, strictBase64 } from '../base/encoding';
import { own } from '../base/json';
import * as x509 from '../base/x509';
import { checkListProfile, parseChain, SIGNER_CHAIN, type Chain } from './chain';
import {
	openDocument,
	parseQeIdentity,
	parseTcbInfo,
	signedText,
	type Opened,
	type QeIdentity,
	type TcbInfo
} from './documents';
import type { Pck } from './signatures';
import { inOrder, reasoned, refuse } from './steps';

type Bytes = Uint8Array<ArrayBuffer>;

/** What a PCCS knows about a platform, all of it signed by others; nothing in it is trusted. */
export interface Collateral {
	/** The service's answers as they came, with the signatures. */
	tcb_info_json: string;
	qe_identity_json: string;
	/** DER in standard base64 or in hex, or PEM, as it is or in base64. */
	pck_crl_der_b64: string;
	root_crl_der_b64: string;
	/** PEM, leaf first. The PCK list's is not needed: its issuer is in the quote's own chain. */
	tcb_info_issuer_chain_pem: string;
	qe_identity_issuer_chain_pem: string;
	pck_crl_issuer_chain_pem: string;
}

/** Up to which key, and as of when. */
export interface Terms {
	/** The root's uncompressed P-256 point, 65 bytes. */
	rootKey: Bytes;
	/** Whole seconds since 1970. */
	now: number;
	/** Seconds ago that what counts for a time may have ended: all of it but the PCK chain. */
	grace: number;
}

/** One thing that counts for a time only; `last` is its last second. */
export interface Lasting {
	what: string;
	until: number;
	last: number;
}

/** Collateral that holds, whatever the quote. */
export interface Held {
	info: TcbInfo;
	identity: QeIdentity;
	rootList: x509.RevocationList;
	/** The other list's bytes: it is verified under the CA of the quote's chain. */
	pckList: Bytes;
	lasting: Lasting[];
}

// --- as it came --------------------------------------------------------------------------------

const LIST = 'X509 CRL';

/** The bytes of a list that is written in PEM or in hex, or undefined where it is in neither. */
const readText = (text: string): Bytes | undefined => {
	if (text.includes(`-----BEGIN ${LIST}-----`)) {
		const [bytes, ...more] = x509.parsePem(text, LIST);
		return bytes && more.length === 0 ? bytes : refuse('PEM');
	}
	return /^30(?:[\da-f]{2})*$/i.test(text) ? fromHex(text) : undefined;
};

/** The DER of a list in whichever of its forms; a PCCS puts text into base64, too. Throws `internal`. */
export const readList = (text: string): Bytes => {
	const written = readText(text);
	if (written) return written;
	const bytes = strictBase64(text);
	return readText(latin1(bytes)) ?? bytes;
};

interface Members {
	tcbInfo: string;
	qeIdentity: string;
	tcbSigners: string;
	qeSigners: string;
	rootList: Bytes;
	pckList: Bytes;
}

const readMembers = async (collateral: unknown): Promise<Members> => {
	const text = (name: keyof Collateral): string => {
		const value = own(collateral, name);
		return typeof value === 'string' ? value : refuse(`collateral-malformed: ${name}`);
	};
	const list = (name: keyof Collateral) =>
		reasoned(`collateral-malformed: ${name}`, () => readList(text(name)));
	text('pck_crl_issuer_chain_pem'); // has to be there, but that CA is in the quote's own chain
	return {
		tcbInfo: text('tcb_info_json'),
		qeIdentity: text('qe_identity_json'),
		tcbSigners: text('tcb_info_issuer_chain_pem'),
		qeSigners: text('qe_identity_issuer_chain_pem'),
		rootList: await list('root_crl_der_b64'),
		pckList: await list('pck_crl_der_b64')
	};
};

// --- lists -------------------------------------------------------------------------------------

/** A list of this CA. */
const verifyList = (
	subtle: SubtleCrypto,
	bytes: Bytes,
	ca: x509.Certificate,
	{ now, grace }: Terms
): Promise<x509.RevocationList> =>
	reasoned('crl-invalid', async () => {
		const list = x509.parseRevocationList(bytes);
		checkListProfile(list);
		await x509.verifyRevocationList(subtle, list, ca, now, grace);
		return list;
	});

const refuseRevoked = (
	{ revoked }: x509.RevocationList,
	certificates: readonly x509.Certificate[]
): void => {
	const found = certificates.find(({ serial }) => revoked.has(serial));
	if (found) refuse(`revoked: ${found.serial}`);
};

/** The moment of the next list is no longer this one's. */
const lastingList = (what: string, { until }: x509.RevocationList): Lasting => ({
	what,
	until,
	last: until - 1
});

// --- documents and who signs them --------------------------------------------------------------

/** Who signs for Intel: a chain of a signer and the root right above it, in PEM. */
const verifySigners = (
	subtle: SubtleCrypto,
	pem: string,
	{ rootKey, now, grace }: Terms
): Promise<Chain> =>
	reasoned('signer-chain', async () => {
		const chain = parseChain(pem, SIGNER_CHAIN);
		const graced = chain.map((each) => ({ ...each, until: each.until + grace }));
		await x509.verifyChain(subtle, graced, rootKey, now);
		return chain;
	});

/** A kind of document: its name in the answer, the reason for a forged one, and how it is read. */
interface Kind<T> {
	name: string;
	forged: string;
	read: (text: string) => T;
}

const TCB_INFO: Kind<TcbInfo> = {
	name: 'tcbInfo',
	forged: 'tcb-info-forged',
	read: parseTcbInfo
};
const QE_IDENTITY: Kind<QeIdentity> = {
	name: 'enclaveIdentity',
	forged: 'qe-identity-forged',
	read: parseQeIdentity
};

/** A document that is signed for Intel, and in date: an old one hides what has become known since. */
const verifyDocument = async <T extends TcbInfo | QeIdentity>(
	subtle: SubtleCrypto,
	text: string,
	[signer]: Chain,
	{ name, forged, read }: Kind<T>,
	{ now, grace }: Terms
): Promise<T> => {
	const malformed = 'collateral-malformed';
	const opened: Opened = await reasoned(malformed, () => openDocument(text, name));
	// Nothing in it is looked at before this.
	const signed = await signedText(subtle, opened, signer.key);
	const document = await reasoned(malformed, () => read(signed ?? refuse(forged)));
	const { from, until } = document;
	const dates = { from, until: until + grace };
	x509.checkTime(dates, now, 'collateral-early', 'collateral-expired');
	return document;
};

const lastingChain = (what: string, chain: readonly x509.Certificate[]): Lasting => {
	const until = Math.min(...chain.map((certificate) => certificate.until));
	return { what, until, last: until };
};

/**
 * Verify all of the collateral that needs no quote; throws `internal`. Of several failures the
 * first is told: form, the signers' chains, the root's list, TCB info, QE identity.
 */
export const verifyCollateral = async (
	subtle: SubtleCrypto,
	collateral: unknown,
	terms: Terms
): Promise<Held> => {
	const members = await readMembers(collateral);
	const { tcbSigners: tcbPem, qeSigners: qePem, pckList } = members;
	const ofTcbInfo = verifySigners(subtle, tcbPem, terms);
	// Nearly always both have the same signer, whose chain is then verified once.
	const ofIdentity = qePem === tcbPem ? ofTcbInfo : verifySigners(subtle, qePem, terms);
	const [tcbSigners, qeSigners] = await inOrder([ofTcbInfo, ofIdentity]);
	const root = tcbSigners.at(-1) ?? tcbSigners[0];

	const verifyRootList = async () => {
		const list = await verifyList(subtle, members.rootList, root, terms);
		refuseRevoked(list, [...tcbSigners, ...qeSigners]);
		return list;
	};
	const [rootList, info, identity] = await inOrder([
		verifyRootList(),
		verifyDocument(subtle, members.tcbInfo, tcbSigners, TCB_INFO, terms),
		verifyDocument(subtle, members.qeIdentity, qeSigners, QE_IDENTITY, terms)
	]);
	const lasting = [
		lastingChain('TCB info signer', tcbSigners),
		lastingChain('QE identity signer', qeSigners),
		lastingList('root CRL', rootList),
		{ what: 'TCB info', until: info.until, last: info.until },
		{ what: 'QE identity', until: identity.until, last: identity.until }
	];
	return { info, identity, rootList, pckList, lasting };
};

/**
 * Hold collateral against the platform of a PCK chain: nobody in the chain is revoked, which stops
 * platforms whose keys have leaked, and the TCB info is about this kind of platform, for another's
 * could be kinder. Returns the PCK list; throws `internal`.
 */
export const verifyForPlatform = async (
	subtle: SubtleCrypto,
	{ pckList, rootList, info }: Held,
	{ leaf, ca, root, platform }: Pck,
	terms: Terms
): Promise<x509.RevocationList> => {
	const list = await verifyList(subtle, pckList, ca, terms);
	refuseRevoked(rootList, [ca, root]);
	refuseRevoked(list, [leaf]);
	if (info.fmspc !== platform.fmspc || info.pceId !== platform.pceId) refuse('other-platform');
	return list;
};

/** What is in use, with what only a verified PCK chain brings along. */
export const lastingOf = (
	{ lasting }: Held,
	{ leaf, ca, root }: Pck,
	list: x509.RevocationList
): Lasting[] => [
	...lasting,
	lastingList('PCK CRL', list),
	lastingChain('PCK chain', [leaf, ca, root])
];
