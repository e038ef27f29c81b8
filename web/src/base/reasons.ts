/**
 * Why a check did not simply pass, or something was not stored, and what a person can do then: the
 * one table of that. Each catalogue has a sentence for every code (`reason.<code>`) and for every
 * advice (`advice.<advice>`), or does not compile.
 */

/** What a person can do. */
export type Advice =
	| 'nothing'
	| 'distrust'
	// It may be better later
	| 'retry'
	| 'wait'
	| 'slow'
	| 'online'
	| 'grace'
	// It is for the person to mend
	| 'sign-in'
	| 'https'
	| 'clock'
	| 'settings'
	| 'address'
	| 'pin'
	| 'storage'
	| 'kept'
	| 'others'
	| 'lost'
	| 'accept'
	// It is for somebody else to mend
	| 'admit'
	| 'silent'
	| 'operator'
	| 'function'
	| 'update'
	| 'restart'
	| 'unprotected';

interface Reason {
	advice: Advice;
	/**
	 * What a person can do while the page tries again by itself. Only a reason that has it may be one
	 * that passes (`Passing`).
	 */
	waiting?: Advice;
}

/** The codes are stable. */
export const REASONS = {
	// A check that came to no outcome of its own
	'not-run': { advice: 'distrust' },
	'not-offered': { advice: 'nothing' },
	internal: { advice: 'retry', waiting: 'wait' },
	offline: { advice: 'online', waiting: 'online' },

	// What the user wrote
	'bad-address': { advice: 'settings' },
	'http-unpinned': { advice: 'settings' },
	'keys-malformed': { advice: 'settings', waiting: 'settings' },
	'policy-malformed': { advice: 'settings' },

	// Evidence
	insecure: { advice: 'https' },
	'quote-unreachable': { advice: 'retry', waiting: 'wait' },
	'server-down': { advice: 'retry', waiting: 'wait' },
	'signed-out': { advice: 'sign-in', waiting: 'sign-in' },
	'not-allowed': { advice: 'admit', waiting: 'admit' },
	'too-many': { advice: 'slow', waiting: 'slow' },
	'quote-refused': { advice: 'distrust', waiting: 'wait' },
	'tdx-not-available': { advice: 'distrust' },
	'evidence-malformed': { advice: 'distrust', waiting: 'wait' },
	nonce: { advice: 'distrust' },
	'key-none': { advice: 'distrust' },
	'key-mismatch': { advice: 'distrust' },
	'keyset-expired': { advice: 'distrust' },
	'keyset-life': { advice: 'distrust' },
	'clock-differs': { advice: 'clock' },
	'key-silent': { advice: 'distrust' },
	'no-log': { advice: 'distrust' },
	'log-malformed': { advice: 'distrust' },
	'log-differs': { advice: 'distrust' },
	'log-unexplained': { advice: 'distrust' },

	// What the server states of its workload
	'not-stated': { advice: 'distrust' },
	'statement-mismatch': { advice: 'distrust' },
	'statement-withheld': { advice: 'sign-in' },
	'statement-changed': { advice: 'distrust', waiting: 'wait' },
	'measured-mismatch': { advice: 'distrust' },
	'log-withheld': { advice: 'distrust' },
	'release-missing': { advice: 'settings' },
	'release-expired': { advice: 'settings' },
	'workload-policy': { advice: 'distrust' },
	'unlisted-function': { advice: 'function' },
	'workload-changed': { advice: 'accept' },
	'own-word': { advice: 'settings' },

	// An attestation service and its token
	'no-service': { advice: 'nothing' },
	'service-unreachable': { advice: 'retry', waiting: 'wait' },
	'service-silent': { advice: 'silent', waiting: 'silent' },
	'service-down': { advice: 'retry', waiting: 'wait' },
	'service-keeps-out': { advice: 'operator', waiting: 'operator' },
	'service-too-many': { advice: 'slow', waiting: 'slow' },
	'service-address': { advice: 'address', waiting: 'address' },
	'service-kind': { advice: 'address', waiting: 'address' },
	'service-broken': { advice: 'retry', waiting: 'wait' },
	'service-rejected': { advice: 'distrust' },
	'server-chosen': { advice: 'settings' },
	'no-relay': { advice: 'settings', waiting: 'settings' },
	'keys-unreachable': { advice: 'settings', waiting: 'settings' },
	'keys-silent': { advice: 'pin', waiting: 'pin' },
	'keys-needed': { advice: 'settings', waiting: 'settings' },
	'key-changed': { advice: 'settings' },
	'logs-unmerged': { advice: 'settings' },
	'token-malformed': { advice: 'distrust' },
	'token-forged': { advice: 'settings' },
	'token-claim': { advice: 'distrust' },
	'token-time': { advice: 'distrust' },
	appraisal: { advice: 'distrust' },
	'collateral-expired': { advice: 'distrust' },
	'not-told': { advice: 'distrust' },

	// A quote that is verified here
	'quote-signature': { advice: 'distrust' },
	collateral: { advice: 'distrust' },
	'collateral-unreachable': { advice: 'retry', waiting: 'wait' },
	'collateral-older': { advice: 'distrust' },
	'collateral-grace': { advice: 'grace' },
	'collateral-memory': { advice: 'distrust' },

	// The policy and this browser's memory
	'tcb-status': { advice: 'update' },
	'tcb-grace': { advice: 'grace' },
	'platform-refused': { advice: 'distrust' },
	'tcb-advisory': { advice: 'distrust' },
	'tcb-old': { advice: 'distrust' },
	'tcb-relaunch': { advice: 'restart' },
	'tcb-evaluation': { advice: 'distrust' },
	'service-td-unknown': { advice: 'distrust' },
	'td-attributes': { advice: 'distrust' },
	'reference-values': { advice: 'distrust' },
	'first-use': { advice: 'nothing' },
	'not-remembered': { advice: 'nothing' },
	unchanged: { advice: 'nothing' },
	changed: { advice: 'accept' },
	memory: { advice: 'accept' },

	// What this browser keeps, and who wrote it
	'settings-storage': { advice: 'storage' },
	'settings-unreadable': { advice: 'lost' },
	'settings-gone': { advice: 'lost' },
	'settings-off': { advice: 'kept' },
	'settings-foreign': { advice: 'kept' },
	'settings-unmarked': { advice: 'kept' },
	'settings-others': { advice: 'others' },
	'settings-differ': { advice: 'storage' },
	marks: { advice: 'storage' },

	// What vouches for the hardware
	root: { advice: 'unprotected' },
	simulated: { advice: 'unprotected' }
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof REASONS;

/** The codes of what may pass by itself. */
export type PassingCode = {
	[Code in ReasonCode]: (typeof REASONS)[Code] extends { waiting: Advice } ? Code : never;
}[ReasonCode];

/** What a person can do about this; `isPassing` where the page tries again by itself. */
export const adviceOn = (code: ReasonCode, isPassing: boolean): Advice => {
	const { advice, waiting = advice }: Reason = REASONS[code];
	return isPassing ? waiting : advice;
};
