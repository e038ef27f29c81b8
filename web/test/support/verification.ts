import { reasonOf, type CheckId, type Outcome } from '../../src/base/checks';
import { verifyQuote, type DcapResult } from '../../src/dcap/verify';
import { DEFAULT_POLICY, parsePolicy, type Policy } from '../../src/policy/policy';
import { keys, makeCase, NOW, type Faults } from './pki';

const { subtle } = crypto;

export const IDS: CheckId[] = [
	'evidence-format',
	'collateral',
	'quote-signature',
	'tcb-status',
	'td-attributes'
];

export interface Asked {
	policy?: Policy;
	now?: number;
	rootKey?: Uint8Array<ArrayBuffer>;
	subtle?: SubtleCrypto;
}

export const verifyWith = (
	quote: Uint8Array<ArrayBuffer>,
	collateral: unknown,
	asked: Asked = {}
): Promise<DcapResult> => {
	const { policy = DEFAULT_POLICY, now = NOW, rootKey = keys.root.point } = asked;
	return verifyQuote(asked.subtle ?? subtle, quote, collateral, { rootKey, now, policy });
};

export const verify = (faults: Faults = {}, asked: Asked = {}) => {
	const { quote, collateral } = makeCase(faults);
	return verifyWith(quote, collateral, asked);
};

export type Told = readonly [id: CheckId, outcome: Outcome, detail: string];

/** Every check that was reached, in order. */
export const told = ({ findings }: DcapResult): Told[] =>
	IDS.flatMap((id) => findings[id] ?? []).map(({ id, outcome, detail = '' }) => [
		id,
		outcome,
		detail
	]);

export const outcomes = (result: DcapResult): Partial<Record<CheckId, Outcome>> =>
	Object.fromEntries(told(result).map(([id, outcome]) => [id, outcome]));
export const accepted = (result: DcapResult): boolean => {
	const all = outcomes(result);
	return IDS.every((id) => all[id] === 'pass' || all[id] === 'warn');
};
/** The first failing check in the order of the contract, with the word of its detail. */
export const failing = (result: DcapResult): string => {
	const [first] = told(result).filter(([, outcome]) => outcome === 'fail');
	return first ? `${first[0]} ${first[2]}` : 'nothing';
};

export const policy = (value: object): Policy => parsePolicy(JSON.stringify({ v: 1, ...value }));

/** Every check that was reached, with the reason of those that are no plain pass. */
export const reasons = ({ findings }: DcapResult): Partial<Record<CheckId, string>> =>
	Object.fromEntries(
		IDS.flatMap((id) => findings[id] ?? [])
			.filter(({ outcome }) => outcome !== 'pass')
			.map((check) => [check.id, reasonOf(check)])
	);
