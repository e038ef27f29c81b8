import type { Check, CheckId, Finding, Findings } from '../base/checks';
import { asProblem, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import type { RevocationList } from '../base/x509';
import { parseQuote, type Quote } from '../evidence/quote';
import { appraiseAttributes, appraiseServiceTd, appraiseTcb, type Policy } from '../policy/policy';
import {
	lastingOf,
	verifyCollateral,
	verifyForPlatform,
	type Held,
	type Lasting,
	type Terms
} from './collateral';
import type { PlatformFlags } from './pck';
import { verifyPck, verifySignatures, type Pck } from './signatures';
import { inOrder, reasoned } from './steps';
import { judge, type Judgement } from './tcb';

export interface DcapOptions {
	/** The root's uncompressed P-256 point, 65 bytes. */
	rootKey: Uint8Array<ArrayBuffer>;
	/** Seconds since 1970; parts of one do not count. */
	now: number;
	policy: Policy;
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
	/** What Intel says of the TD's TCB, where everything it rests on is verified. */
	tcb?: Judgement;
	/** What else is told, once collateral and quote are verified, whatever is said of the TCB. */
	evaluation?: Evaluation;
	/** The numbers of the lists in use, in decimal digits. */
	crlNumbers?: { root: string; pck: string };
	/** What the PCK certificate says of the machine; null where it says nothing of that kind. */
	platform?: PlatformFlags | null;
	/**
	 * Seconds since 1970: when the first thing that this result rests on ends, or its grace where it
	 * has ended; 0 for no result.
	 */
	expires: number;
}

/** Each check's reason, whose sentence the page shows; details begin with a word of their own. */
const CODES = {
	'evidence-format': 'evidence-malformed',
	'quote-signature': 'quote-signature',
	collateral: 'collateral',
	'tcb-status': 'tcb-status',
	'td-attributes': 'td-attributes'
} satisfies Partial<Record<CheckId, ReasonCode>>;

type Id = keyof typeof CODES;

const PASS: Finding = { outcome: 'pass' };

const failed = (id: Id, error: unknown): Check => {
	const { code, detail } = asProblem(error);
	const ours = error instanceof Problem && code === 'internal';
	return { id, outcome: 'fail', code: ours ? CODES[id] : code, detail };
};

/** What a promise comes to, or undefined where it fails: others report that. */
const orNothing = <T>(promise: Promise<T>): Promise<T | undefined> =>
	promise.catch(() => undefined);

const dateOf = (seconds: number): string =>
	new Date(seconds * 1000).toISOString().replace(/\.\d+/, '');

/** Collateral that holds; what has ended, and counts by the policy's grace only, is told. */
const examineDates = (
	{ tcbInfo, qeIdentity }: Evaluation,
	lasting: Lasting[],
	{ now, grace }: Terms
): Finding => {
	// Each of the two could be an old one.
	const numbers = tcbInfo === qeIdentity ? '' : `tcbInfo ${tcbInfo}, enclaveIdentity ${qeIdentity}`;
	const ended = lasting.filter(({ last }) => now > last);
	if (ended.length === 0) return { outcome: 'pass', ...(numbers && { detail: numbers }) };
	const until = Math.min(...ended.map((each) => each.until + grace));
	const words = ended.map((each) => `${each.what} ${dateOf(each.until)}`);
	const detail = [`${dateOf(until)} (${words.join(', ')})`, numbers].filter(Boolean).join(' ');
	return { outcome: 'warn', code: 'collateral-grace', detail, until };
};

/** Nobody debugs this TD or serves it from outside, and it has the features it must have. */
const examineTd = ({ body }: Quote, policy: Policy): Finding => {
	const finding = appraiseAttributes(policy, body);
	appraiseServiceTd(policy, body);
	return finding;
};

const evaluationOf = ({ info, identity }: Held): Evaluation => ({
	fmspc: info.fmspc,
	tcbInfo: info.evaluation,
	qeIdentity: identity.evaluation
});

/** What a quote and collateral have come to; missing is what did not hold, or could not be looked at. */
interface Parts {
	quote?: Quote;
	documents?: Held;
	pck?: Pck;
	/** The list of the PCK certificates: the collateral holds for the platform, too. */
	list?: RevocationList;
}

/** Enough of it to judge the TCB. */
type Known = Parts & Required<Pick<Parts, 'quote' | 'documents' | 'pck'>>;

const isKnown = (parts: Parts): parts is Known =>
	parts.quote !== undefined && parts.documents !== undefined && parts.pck !== undefined;

const judgeParts = ({ quote, documents: { info, identity }, pck }: Known): Judgement =>
	judge(quote, info, identity, pck.platform);

type Attempt = <T>(id: Id, run: () => T | Promise<T>) => Promise<T | undefined>;

/** Verify all that is signed, side by side. */
const verifyParts = async (
	subtle: SubtleCrypto,
	quote: Quote | undefined,
	collateral: unknown,
	terms: Terms,
	attempt: Attempt
): Promise<Parts> => {
	const holding = verifyCollateral(subtle, collateral, terms);
	const chaining = quote
		? verifyPck(subtle, quote, terms.rootKey, terms.now)
		: Promise.reject<Pck>(new Problem('internal'));
	const [held, chain] = [orNothing(holding), orNothing(chaining)];
	const listing = Promise.all([held, chain]).then(
		([documents, pck]) => documents && pck && verifyForPlatform(subtle, documents, pck, terms)
	);
	const identity = held.then((documents) => documents?.identity);
	const [settled, , documents, pck] = await Promise.all([
		attempt('collateral', () => inOrder([holding, listing])),
		quote &&
			attempt('quote-signature', () =>
				inOrder([chaining, verifySignatures(subtle, quote, chaining, identity)])
			),
		held,
		chain
	]);
	return { quote, documents, pck, list: settled?.[1] };
};

/** Seconds since 1970: when the first of what is in use ends, or its grace where it has ended. */
const firstEnd = (lasting: Lasting[], { now, grace }: Terms): number =>
	Math.min(...lasting.map(({ last, until }) => (now > last ? until + grace : until)));

/**
 * Verify a quote, from its bytes up to the root, as of `now`.
 *
 * Never throws for bad input: that is a failed check. Everything is looked at that can be; a check
 * of which a part could not be looked at is left out, and whoever requires it counts it as failed.
 * What the quote says about the TD does not pass before the quote itself has passed. Of several
 * failures within a check the first is told in the order of docs/verification.md.
 */
export const verifyQuote = async (
	subtle: SubtleCrypto,
	bytes: Uint8Array<ArrayBuffer>,
	collateral: unknown,
	{ rootKey, now, policy }: DcapOptions
): Promise<DcapResult> => {
	// Certificates know whole seconds only.
	const terms: Terms = { rootKey, now: Math.floor(now), grace: policy.collateral.grace };
	const findings: Findings = {};
	const attempt: Attempt = async (id, run) => {
		try {
			return await run();
		} catch (error) {
			findings[id] = failed(id, error);
			return undefined;
		}
	};
	/** A check that did not fail has come to this, where what it rests on did not fail either. */
	const settle = (id: Id, finding: Finding | undefined, ...after: Id[]): void => {
		const isGood = (other: Id) => findings[other] && findings[other].outcome !== 'fail';
		if (finding && !findings[id] && after.every(isGood)) findings[id] = { id, ...finding };
	};

	const quote = await attempt('evidence-format', () =>
		reasoned('quote-malformed', () => parseQuote(bytes))
	);
	settle('evidence-format', quote && PASS);
	const parts = await verifyParts(subtle, quote, collateral, terms, attempt);
	const known = isKnown(parts) ? parts : undefined;
	const tcb = known && (await attempt('tcb-status', () => judgeParts(known)));
	const platform = known?.pck.platform.flags;
	const verdict =
		tcb &&
		(await attempt('tcb-status', () => appraiseTcb(policy, { ...tcb, platform }, terms.now)));
	const attributes = quote && (await attempt('td-attributes', () => examineTd(quote, policy)));

	const { list } = parts;
	const lasting = known && list ? lastingOf(known.documents, known.pck, list) : [];
	const evaluation = known && evaluationOf(known.documents);
	const dates = evaluation && list && examineDates(evaluation, lasting, terms);
	settle('collateral', dates, 'evidence-format');
	settle('quote-signature', known && PASS, 'evidence-format');
	settle('tcb-status', verdict, 'collateral', 'quote-signature');
	settle('td-attributes', attributes, 'collateral', 'quote-signature');
	const holds = dates && findings['quote-signature']?.outcome === 'pass';
	if (!known || !list || !holds) return { findings, expires: 0 };
	return {
		findings,
		tcb,
		evaluation,
		crlNumbers: { root: known.documents.rootList.number, pck: list.number },
		platform,
		expires: Math.min(firstEnd(lasting, terms), verdict?.until ?? Infinity)
	};
};
