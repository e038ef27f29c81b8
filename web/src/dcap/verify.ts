import type { Check, CheckId, Finding, Findings } from '../base/checks';
import { fromHex, strictBase64, toHex } from '../base/encoding';
import { own } from '../base/json';
import { asProblem, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import * as x509 from '../base/x509';
import { parseQuote, type Quote } from '../evidence/quote';
import { appraiseAttributes, appraiseServiceTd, appraiseTcb, type Policy } from '../policy/policy';
import { parseEnclaveReport } from './enclave-report';
import { readPlatform, type Platform } from './pck';
import * as tcb from './tcb';

/** What a PCCS knows about a platform, all of it signed by others; nothing in it is trusted. */
export interface Collateral {
	/** The service's answers as they came, with the signatures. */
	tcb_info_json: string;
	qe_identity_json: string;
	/** Standard base64. */
	pck_crl_der_b64: string;
	root_crl_der_b64: string;
	/** PEM, leaf first. The PCK list's is not needed: its issuer is in the quote's own chain. */
	tcb_info_issuer_chain_pem: string;
	qe_identity_issuer_chain_pem: string;
	pck_crl_issuer_chain_pem: string;
}

export interface DcapOptions {
	/** The root's uncompressed P-256 point, 65 bytes. */
	rootKey: Uint8Array<ArrayBuffer>;
	/** Seconds since 1970; parts of one do not count. */
	now: number;
	policy: Policy;
}

/** What Intel says about platform, TDX module and quoting enclave together. */
export interface MergedTcb {
	status: string;
	advisories: string[];
	/** RFC 3339, of the platform's level. */
	date: string;
	/** The lower number of the two documents. */
	evaluation: number;
}

/** Which edition of Intel's documents was used: their numbers can differ, and grow. */
export interface Evaluation {
	/** Hex, lower case: what kind of platform. */
	fmspc: string;
	tcbInfo: number;
	qeIdentity: number;
}

export interface DcapResult {
	/** Of evidence-format, quote-signature, collateral, tcb-status and td-attributes. */
	findings: Findings;
	/** Once everything it rests on is verified. */
	tcb?: MergedTcb;
	/** Once collateral and quote are verified, whatever the documents say of the platform. */
	evaluation?: Evaluation;
	/** Seconds since 1970: when the first thing that this result rests on ends; 0 for no result. */
	expires: number;
}

/** Bytes; the kernel stops at half of it. */
const QUOTE_LIMIT = 1 << 16;

/** Certificates of a PCK chain (leaf, CA, root), and of a signer of TCB info (leaf, root). */
const PCK_CHAIN = 3;
const SIGNER_CHAIN = 2;

/** ATTRIBUTES.DEBUG of an enclave, in their first byte. */
const DEBUG = 0x02;

/** Each check's reason, whose sentence the page shows; details begin with a word of their own. */
const CODES = {
	'evidence-format': 'evidence-malformed',
	'quote-signature': 'quote-signature',
	collateral: 'collateral',
	'tcb-status': 'tcb-status',
	'td-attributes': 'td-attributes'
} satisfies Partial<Record<CheckId, ReasonCode>>;

type Id = keyof typeof CODES;

/** A detail that begins with a reason's stable word. */
const WORDED = /^([a-z]+(-[a-z]+)+|revoked)(:|$)/;

/** A chain, leaf first. */
type Chain = readonly [leaf: x509.Certificate, ...above: x509.Certificate[]];

/** A verified PCK chain, and the platform that it is about. */
interface Pck {
	leaf: x509.Certificate;
	ca: x509.Certificate;
	root: x509.Certificate;
	platform: Platform;
}

const refuse = (what: string): never => {
	throw new Problem('internal', what);
};

/**
 * A chain as Intel's profile has it ("SGX PCK Certificate and CRL Profile Specification"): of this
 * length, every certificate says what it is for, and every CA signs a revocation list.
 */
const parseChain = (pem: string, length: number): Chain => {
	const blocks = x509.parsePem(pem);
	if (blocks.length !== length) refuse('length');
	const [leaf, ...above] = blocks.map(x509.parseCertificate);
	if (!leaf) return refuse('length');
	const saysWhatFor = ({ extensions }: x509.Certificate) =>
		extensions.has(x509.BASIC_CONSTRAINTS) && extensions.has(x509.KEY_USAGE);
	const signsLists = ({ usage }: x509.Certificate) => (usage & x509.CRL_SIGN) !== 0;
	if (![leaf, ...above].every(saysWhatFor) || !above.every(signsLists)) refuse('profile');
	return [leaf, ...above];
};

/** 1: one TDX quote of a version, a key type and a vendor that we know, and nothing besides. */
const step1Format = (bytes: Uint8Array<ArrayBuffer>): Quote =>
	bytes.length > QUOTE_LIMIT ? refuse('size') : parseQuote(bytes);

/** 2: the PCK certificate leads to the pinned root; stops quotes of anybody who has a P-256 key. */
const step2PckChain = async (
	subtle: SubtleCrypto,
	quote: Quote,
	{ rootKey, now }: DcapOptions
): Promise<Pck> => {
	const chain = parseChain(quote.chain, PCK_CHAIN);
	await x509.verifyChain(subtle, chain, rootKey, now);
	const [leaf, ca, root] = chain;
	if (!ca || !root) return refuse('length');
	return { leaf, ca, root, platform: readPlatform(leaf) };
};

/** 3: nobody in any of the chains is revoked; stops platforms whose keys have leaked. */
const step3Revocation = async (
	subtle: SubtleCrypto,
	collateral: unknown,
	{ leaf, ca, root }: Pck,
	signers: readonly x509.Certificate[],
	now: number
): Promise<x509.RevocationList[]> => {
	const text = (name: keyof Collateral): string => {
		const value = own(collateral, name);
		return typeof value === 'string' ? value : refuse(`collateral-malformed: ${name}`);
	};
	const list = (name: keyof Collateral) => x509.parseRevocationList(strictBase64(text(name)));
	text('pck_crl_issuer_chain_pem'); // has to be there, but that CA is in the quote's own chain
	const ofRoot = list('root_crl_der_b64');
	const ofCa = list('pck_crl_der_b64');
	await Promise.all([
		x509.verifyRevocationList(subtle, ofRoot, root, now),
		x509.verifyRevocationList(subtle, ofCa, ca, now)
	]);
	for (const { serial } of [root, ca, ...signers]) {
		if (ofRoot.revoked.has(serial)) refuse(`revoked: ${serial}`);
	}
	if (ofCa.revoked.has(leaf.serial)) refuse(`revoked: ${leaf.serial}`);
	return [ofRoot, ofCa];
};

/** Who signs for Intel: a chain of a signer and the root right above it, in PEM. */
const verifySigners = async (
	subtle: SubtleCrypto,
	pem: string,
	{ rootKey, now }: DcapOptions
): Promise<Chain> => {
	try {
		const chain = parseChain(pem, SIGNER_CHAIN);
		await x509.verifyChain(subtle, chain, rootKey, now);
		return chain;
	} catch (error) {
		return refuse(`signer-chain: ${asProblem(error).detail}`);
	}
};

type Signers = () => Promise<Chain>;

/** 4 and 5: a document is in date and signed for Intel; with the chain of who signed it. */
const verifyDocument = async <T extends tcb.TcbInfo | tcb.QeIdentity>(
	subtle: SubtleCrypto,
	document: T,
	signers: Signers,
	forged: string,
	now: number
): Promise<T & { signers: Chain }> => {
	const chain = await signers();
	const [signer] = chain;
	// An old one would hide what has become known since.
	x509.checkTime(document, now, 'collateral-early', 'collateral-expired');
	const { signed, signature } = document;
	if (!(await x509.verifyEcdsa(subtle, signer.key, signature, signed))) refuse(forged);
	return { ...document, signers: chain };
};

/** 4: what Intel says about platforms like this one; an old or foreign one would be kinder. */
const step4TcbInfo = (subtle: SubtleCrypto, text: unknown, signers: Signers, now: number) =>
	verifyDocument(subtle, tcb.parseTcbInfo(text), signers, 'tcb-info-forged', now);

/** 5: what Intel says about its quoting enclave. */
const step5QeIdentity = (subtle: SubtleCrypto, text: unknown, signers: Signers, now: number) =>
	verifyDocument(subtle, tcb.parseQeIdentity(text), signers, 'qe-identity-forged', now);

/** 6: the quoting enclave runs on the platform that the PCK certificate is about. */
const step6QeReport = async (
	subtle: SubtleCrypto,
	{ qeSignature, qeReport }: Quote,
	{ leaf }: Pck
): Promise<void> => {
	const good = await x509.verifyEcdsa(subtle, leaf.key, qeSignature, qeReport);
	if (!good) refuse('qe-report-forged');
};

/** 7: the attestation key is the quoting enclave's; stops a genuine report beside somebody's key. */
const step7AttestationKey = async (subtle: SubtleCrypto, quote: Quote): Promise<void> => {
	const { attestationKey, authData, qeReport } = quote;
	const bound = new Uint8Array(attestationKey.length + authData.length);
	bound.set(attestationKey);
	bound.set(authData, attestationKey.length);
	const digest = toHex(new Uint8Array(await subtle.digest('SHA-256', bound)));
	const { data } = parseEnclaveReport(qeReport);
	if (toHex(data) !== digest.padEnd(2 * data.length, '0')) refuse('attestation-key');
};

/** 8: that enclave is Intel's quoting enclave for TDs; stops reports of anybody's own enclave. */
const step8QeIdentity = ({ qeReport }: Quote, identity: tcb.QeIdentity): void => {
	const { attributes, signer, product, miscselect } = parseEnclaveReport(qeReport);
	const [flags = DEBUG] = attributes;
	// Whatever the mask says: a debug enclave's keys can be read.
	if ((flags & DEBUG) !== 0) refuse('qe-debug');
	if (toHex(signer) !== identity.signer) refuse('qe-unknown: MRSIGNER');
	if (product !== identity.product) refuse('qe-unknown: ISVPRODID');
	if (!tcb.agrees(miscselect, identity.miscselect, identity.miscselectMask)) {
		refuse('qe-unknown: MISCSELECT');
	}
	if (!tcb.agrees(attributes, identity.attributes, identity.mask)) {
		refuse('qe-unknown: ATTRIBUTES');
	}
};

/** 8, second half: the level of the quoting enclave's security version. */
const step8QeLevel = ({ qeReport }: Quote, identity: tcb.QeIdentity): tcb.Level =>
	tcb.levelOf(identity, parseEnclaveReport(qeReport).svn) ?? refuse('ISVSVN');

/** 9: the attestation key signed this very header and body. */
const step9QuoteSignature = async (subtle: SubtleCrypto, quote: Quote): Promise<void> => {
	const key = Uint8Array.of(x509.UNCOMPRESSED, ...quote.attestationKey);
	const good = await x509.verifyEcdsa(subtle, key, quote.signature, quote.signed);
	if (!good) refuse('quote-forged');
};

/** 10: the TCB info is about this kind of platform; another's could be kinder. */
const step10Platform = ({ fmspc, pceId }: tcb.TcbInfo, { platform }: Pck): void => {
	if (fmspc !== platform.fmspc || pceId !== platform.pceId) refuse('other-platform');
};

/** 10, second half: the platform is not older than all that Intel knows. */
const step10Level = ({ body }: Quote, info: tcb.TcbInfo, { platform }: Pck): tcb.Level =>
	tcb.platformLevel(info, platform, fromHex(body.tcb_svn)) ?? refuse('tcb-unknown');

/** 11: the TDX module is one that Intel signed and still knows. */
const step11Module = ({ body }: Quote, info: tcb.TcbInfo): tcb.Level | null => {
	tcb.checkModule(info, body);
	return tcb.moduleLevel(info, fromHex(body.tcb_svn));
};

/** The levels that count together, by the platform's and the TDX module's SVNs. */
type Levels = readonly [tcb.Level, ...(tcb.Level | null)[]];

const mergedStatus = (levels: Levels): string | undefined =>
	tcb.statusName(levels.reduce((merged, level) => merged | (level?.status ?? 0), 0));

/**
 * The status by TEE_TCB_SVN2: of the TDX module that runs by now. Undefined where a quote of this
 * kind has none, or it reaches nothing that Intel knows.
 */
const currentStatus = (
	{ body: { tee_tcb_svn2 } }: Quote,
	info: tcb.TcbInfo,
	{ platform }: Pck,
	enclave: tcb.Level
): string | undefined => {
	if (tee_tcb_svn2 === undefined) return undefined;
	const tdx = fromHex(tee_tcb_svn2);
	const level = tcb.platformLevel(info, platform, tdx);
	try {
		return level && mergedStatus([level, tcb.moduleLevel(info, tdx), enclave]);
	} catch {
		return undefined;
	}
};

/**
 * 12: platform, TDX module and quoting enclave together; the worst status wins. What is revoked, or
 * has a status that nobody here understands, is refused: no policy can say yes to it.
 */
const step12Merge = (
	quote: Quote,
	info: tcb.TcbInfo,
	identity: tcb.QeIdentity,
	pck: Pck,
	platform: tcb.Level,
	module: tcb.Level | null,
	enclave: tcb.Level
): MergedTcb => {
	const levels = [platform, module, enclave] as const;
	const status = mergedStatus(levels);
	const current = currentStatus(quote, info, pck, enclave);
	if (status === undefined) return refuse('tcb-unknown');
	if (status === 'Revoked' || current === 'Revoked') return refuse('tcb-revoked');
	return {
		status: tcb.relaunched(status, current),
		advisories: [...new Set(levels.flatMap((level) => level?.advisories ?? []))],
		date: platform.date,
		evaluation: Math.min(info.evaluation, identity.evaluation)
	};
};

/** 13: nobody debugs this TD or serves it from outside, and it has the features it must have. */
const step13Attributes = ({ body }: Quote, policy: Policy): Finding => {
	const finding = appraiseAttributes(policy, body);
	appraiseServiceTd(policy, body);
	return finding;
};

const evaluationOf = (info: tcb.TcbInfo, identity: tcb.QeIdentity): Evaluation => ({
	fmspc: info.fmspc,
	tcbInfo: info.evaluation,
	qeIdentity: identity.evaluation
});

/** Told where they differ: each of the two could be an old one. */
const tellDifference = ({ tcbInfo, qeIdentity }: Evaluation): Finding | undefined =>
	tcbInfo === qeIdentity
		? undefined
		: { outcome: 'pass', detail: `tcbInfo ${tcbInfo}, enclaveIdentity ${qeIdentity}` };

/**
 * Verify a quote, from its bytes up to the root, as of `now`: steps 1 to 13, each of which belongs
 * to one check.
 *
 * Never throws for bad input: that is a failed check. Every step runs that can; a check of which
 * a step could not run is left out, and whoever requires it counts it as failed. What the quote
 * says about the TD does not pass before the quote itself has passed.
 */
export const verifyQuote = async (
	subtle: SubtleCrypto,
	bytes: Uint8Array<ArrayBuffer>,
	collateral: unknown,
	asked: DcapOptions
): Promise<DcapResult> => {
	// Certificates know whole seconds only.
	const options = { ...asked, now: Math.floor(asked.now) };
	const { policy, now } = options;
	const failures: { at: number; check: Check }[] = [];
	const missing = new Set<Id>();

	/**
	 * Run one step where all that it needs is there; undefined where it failed or did not run.
	 * `reason` begins the detail of a failure that brings no word of its own.
	 */
	const step = async <Needs extends unknown[], T>(
		at: number,
		id: Id,
		reason: string,
		needs: [...Needs],
		run: (...needs: { [At in keyof Needs]: Exclude<Needs[At], undefined> }) => T | Promise<T>
	): Promise<T | undefined> => {
		if (needs.includes(undefined)) {
			missing.add(id);
			return undefined;
		}
		try {
			return await run(...(needs as Parameters<typeof run>));
		} catch (error) {
			const problem = asProblem(error);
			const ours = error instanceof Problem && problem.code === 'internal';
			const code = ours ? CODES[id] : problem.code;
			const worded = !reason || WORDED.test(problem.detail);
			const detail = worded ? problem.detail : `${reason}: ${problem.detail}`;
			failures.push({ at, check: { id, outcome: 'fail', code, detail } });
			return undefined;
		}
	};

	// Both documents have the same signer, so its chain is verified once.
	const known = new Map<string, Promise<Chain>>();
	const signersOf = (name: 'tcb_info' | 'qe_identity') => (): Promise<Chain> => {
		const pem = String(own(collateral, `${name}_issuer_chain_pem`));
		const chain = known.get(pem) ?? verifySigners(subtle, pem, options);
		known.set(pem, chain);
		return chain;
	};
	const textOf = (name: 'tcb_info' | 'qe_identity') => own(collateral, `${name}_json`);

	const quote = await step(1, 'evidence-format', 'quote-malformed', [], () => step1Format(bytes));
	const [pck, info, identity, attributes] = await Promise.all([
		step(2, 'quote-signature', 'chain', [quote], (q) => step2PckChain(subtle, q, options)),
		step(4, 'collateral', 'collateral-malformed', [], () =>
			step4TcbInfo(subtle, textOf('tcb_info'), signersOf('tcb_info'), now)
		),
		step(5, 'collateral', 'collateral-malformed', [], () =>
			step5QeIdentity(subtle, textOf('qe_identity'), signersOf('qe_identity'), now)
		),
		step(13, 'td-attributes', '', [quote], (q) => step13Attributes(q, policy)),
		step(7, 'quote-signature', '', [quote], (q) => step7AttestationKey(subtle, q)),
		step(9, 'quote-signature', '', [quote], (q) => step9QuoteSignature(subtle, q))
	]);
	const documents = [info, identity].flatMap((document) => document ?? []);
	const signing = documents.flatMap(({ signers }) => [...signers]);
	const [lists] = await Promise.all([
		step(3, 'collateral', 'crl-invalid', [pck], (chain) =>
			step3Revocation(subtle, collateral, chain, signing, now)
		),
		step(6, 'quote-signature', '', [quote, pck], (q, chain) => step6QeReport(subtle, q, chain))
	]);
	await step(8, 'quote-signature', '', [quote, identity], step8QeIdentity);
	const enclave = await step(8, 'tcb-status', 'qe-old', [quote, identity], step8QeLevel);
	await step(10, 'collateral', '', [info, pck], step10Platform);
	const platform = await step(10, 'tcb-status', '', [quote, info, pck], step10Level);
	const module = await step(11, 'tcb-status', 'tdx-module', [quote, info], step11Module);
	const merged = await step(
		12,
		'tcb-status',
		'',
		[quote, info, identity, pck, platform, module, enclave],
		step12Merge
	);
	const verdict = await step(12, 'tcb-status', '', [merged], (found) => appraiseTcb(policy, found));

	const findings: Findings = {};
	/** Put a check's first failure, or its pass where all of it ran, into the findings. */
	const settle = (id: Id, after: Id[], good?: Finding): boolean => {
		const [first] = failures.filter(({ check }) => check.id === id).sort((a, b) => a.at - b.at);
		const ready = !missing.has(id) && after.every((other) => findings[other]?.outcome === 'pass');
		if (first) findings[id] = first.check;
		else if (ready) findings[id] = { id, outcome: 'pass', ...good };
		return !first && ready;
	};
	const evaluation = info && identity && evaluationOf(info, identity);
	settle('evidence-format', []);
	const current = settle(
		'collateral',
		['evidence-format'],
		evaluation && tellDifference(evaluation)
	);
	const signed = settle('quote-signature', ['evidence-format']);
	settle('tcb-status', ['collateral', 'quote-signature'], verdict);
	settle('td-attributes', ['collateral', 'quote-signature'], attributes);
	const holds = current && signed;
	const chain = pck ? [pck.leaf, pck.ca, pck.root] : [];
	const used = [...chain, ...documents, ...signing, ...(lists ?? [])];
	return {
		findings,
		tcb: holds ? merged : undefined,
		evaluation: holds ? evaluation : undefined,
		expires: holds ? Math.min(...used.map(({ until }) => until)) : 0
	};
};
