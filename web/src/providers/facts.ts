import type { DcapResult, Evaluation } from '../dcap/verify';

/** Both numbers, or the one that both documents have. */
const numbersOf = ({ tcbInfo, qeIdentity }: Evaluation): number[] => [
	...new Set([tcbInfo, qeIdentity])
];

/** What is shown of a verified quote, by the names that attestation services have for it. */
export const factsOf = ({
	tcb,
	evaluation,
	crlNumbers,
	platform,
	expires
}: DcapResult): Record<string, unknown> => {
	const { launch, current, dates } = tcb ?? {};
	// What runs now is told where it is not what the TD was started with.
	const running = current && JSON.stringify(current) !== JSON.stringify(launch) ? current : null;
	const list = (ids?: string[]) => ids?.join(' ') || undefined;
	return {
		tee: 'tdx',
		exp: expires,
		tcb_status: tcb?.status,
		tcb_date: launch?.date,
		advisory_ids: list(launch?.advisories),
		tcb_status_launch: running ? launch?.status : undefined,
		tcb_status_current: running?.status,
		tcb_date_current: running?.date,
		advisory_ids_current: list(running?.advisories),
		tcb_date_platform: dates?.platform,
		tcb_date_module: dates?.module ?? undefined,
		tcb_date_qe: dates?.qe,
		fmspc: evaluation?.fmspc,
		tcb_evaluation: evaluation && numbersOf(evaluation).join(', '),
		root_ca_crl_num: crlNumbers?.root,
		pck_crl_num: crlNumbers?.pck,
		is_dynamic_platform: platform?.dynamic_platform,
		is_cached_keys: platform?.cached_keys,
		is_smt_enabled: platform?.smt
	};
};
