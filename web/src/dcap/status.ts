/** A TCB status in bits: 1 software hardening, 2 configuration, 4 out of date, 8 revoked. */
export type Status = number;

const CONFIGURATION = 2;
const OUT_OF_DATE = 4;
const REVOKED = 8;

/**
 * Names by that number. So statuses are merged by `|`, and the worst wins: what is out of date
 * is so whatever hardening it needs, and what needs configuration as well keeps saying so.
 */
const NAMES = [
	'UpToDate',
	'SWHardeningNeeded',
	'ConfigurationNeeded',
	'ConfigurationAndSWHardeningNeeded',
	'OutOfDate',
	'OutOfDate',
	'OutOfDateConfigurationNeeded',
	'OutOfDateConfigurationNeeded',
	'Revoked'
] as const;

/** The statuses that a platform's level can have; one of a TDX module or an enclave has fewer. */
export const PLATFORM_STATUSES: readonly string[] = NAMES;
export const OWN_STATUSES: readonly string[] = ['UpToDate', 'OutOfDate', 'Revoked'];

export const statusName = (status: Status): string => NAMES[Math.min(status, REVOKED)] ?? 'Revoked';

/** A status by one of these names, or undefined for another one. */
export const statusOf = (name: unknown, names: readonly string[]): Status | undefined =>
	typeof name === 'string' && names.includes(name)
		? NAMES.findIndex((known) => known === name)
		: undefined;

export const isRevoked = (status: Status): boolean => status >= REVOKED;

/**
 * The status of a TD that was started with one status, by TEE_TCB_SVN, and runs under another one
 * by now, by TEE_TCB_SVN2: where the host was updated under it, the TD has to be started anew
 * (Intel's quote verification library 1.27). Neither may be revoked.
 */
export const relaunched = (launch: Status, current: Status): string => {
	const updated = (launch & OUT_OF_DATE) !== 0 && (current & OUT_OF_DATE) === 0;
	if (!updated) return statusName(launch);
	const configuration = ((launch | current) & CONFIGURATION) !== 0;
	return configuration ? 'TDRelaunchAdvisedConfigurationNeeded' : 'TDRelaunchAdvised';
};
