/**
 * Why a check did not simply pass, or something was not stored. The codes are stable; each
 * catalogue of texts has a sentence for every one of them, or does not compile.
 */
export const REASONS = [
	// A check that came to no outcome of its own
	'not-run',
	'not-offered',
	'internal',
	'offline',

	// What the user wrote
	'bad-address',
	'http-unpinned',
	'keys-malformed',
	'policy-malformed',

	// Evidence
	'insecure',
	'quote-unreachable',
	'quote-refused',
	'tdx-not-available',
	'evidence-malformed',
	'nonce',
	'key-none',
	'key-mismatch',
	'keyset-expired',
	'keyset-life',
	'key-silent',
	'no-log',
	'log-malformed',
	'log-differs',
	'log-unexplained',

	// What the server states of its workload
	'not-stated',
	'statement-mismatch',
	'statement-withheld',
	'statement-changed',
	'measured-mismatch',
	'log-withheld',
	'release-missing',
	'release-expired',
	'workload-policy',
	'unlisted-function',
	'workload-changed',
	'own-word',

	// An attestation service and its token
	'no-service',
	'service-unreachable',
	'service-address',
	'service-broken',
	'service-rejected',
	'server-chosen',
	'no-relay',
	'keys-unreachable',
	'keys-needed',
	'key-changed',
	'logs-unmerged',
	'token-malformed',
	'token-forged',
	'token-claim',
	'token-time',
	'appraisal',
	'collateral-expired',
	'not-told',

	// A quote that is verified here
	'quote-signature',
	'collateral',
	'collateral-unreachable',
	'collateral-older',
	'collateral-grace',
	'collateral-memory',

	// The policy and this browser's memory
	'tcb-status',
	'tcb-grace',
	'platform-refused',
	'tcb-advisory',
	'tcb-old',
	'tcb-relaunch',
	'tcb-evaluation',
	'service-td-unknown',
	'td-attributes',
	'reference-values',
	'first-use',
	'not-remembered',
	'unchanged',
	'changed',
	'memory',

	// What this browser keeps, and who wrote it
	'settings-storage',
	'settings-unreadable',
	'settings-gone',
	'settings-off',
	'settings-foreign',
	'settings-unmarked',
	'settings-differ',
	'marks',

	// What vouches for the hardware
	'root',
	'simulated'
] as const;

export type ReasonCode = (typeof REASONS)[number];
