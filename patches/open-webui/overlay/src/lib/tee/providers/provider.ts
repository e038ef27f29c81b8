import type { Check, CheckId, Outcome } from '../checks';
import type { Environment } from '../environment';
import type { Evidence } from '../evidence';
import type { Policy } from '../policy';
import type { Choice, ServerConfig } from '../settings';

/** What a provider works with. `evidence` is already known to answer this page's nonce. */
export interface Context {
	env: Environment;
	subtle: SubtleCrypto;
	signal: AbortSignal;
	evidence: Evidence;
	choice: Choice;
	config: ServerConfig;
	policy: Policy;
	/** Run one check and keep its outcome; a false answer means that it failed. */
	check: (id: CheckId, run: () => Promise<void | Finding> | void | Finding) => Promise<boolean>;
}

/** An outcome other than a plain pass; a failure is thrown as a Problem. */
export interface Finding {
	outcome: Exclude<Outcome, 'fail'>;
	code?: Check['code'];
	detail?: string;
}

/** What a provider says about its result, once its signature holds. */
export interface Result {
	/** Seconds since 1970. */
	expires: number;
	/** Evidence that does not come from hardware, by the provider's word. */
	simulated: boolean;
	/** Another root than Intel's vouches for it: then it is never green. */
	otherRoot?: boolean;
	/** Shown in the panel. */
	fields: Record<string, unknown>;
}

export interface Provider {
	/** A required check that did not run counts as failed. */
	required: readonly CheckId[];
	/** Run this provider's checks through `context.check`; null where it came to no result. */
	verify: (context: Context) => Promise<Result | null>;
}
