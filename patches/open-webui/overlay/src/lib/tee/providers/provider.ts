import type { Check, CheckId } from '../checks';
import type { Environment } from '../environment';
import type { Evidence } from '../evidence';
import type { Choice, ServerConfig } from '../settings';

/** What a provider works with. `evidence` is already known to answer this page's nonce. */
export interface Context {
	env: Environment;
	subtle: SubtleCrypto;
	signal: AbortSignal;
	evidence: Evidence;
	choice: Choice;
	config: ServerConfig;
	/** Run one check and keep its outcome; a false answer means that it failed. */
	check: (id: CheckId, run: () => Promise<void | Finding> | void | Finding) => Promise<boolean>;
}

/** An outcome other than a plain pass; a failure is thrown as a Problem. */
export interface Finding {
	outcome: 'warn' | 'skipped';
	code: NonNullable<Check['code']>;
	detail?: string;
}

/** What a provider says about its result, once its signature holds. */
export interface Result {
	/** Seconds since 1970. */
	expires: number;
	/** Evidence that does not come from hardware, by the provider's word. */
	simulated: boolean;
	/** Shown in the panel. */
	fields: Record<string, unknown>;
}

export interface Provider {
	/** A required check that did not run counts as failed. */
	required: readonly CheckId[];
	/** Run this provider's checks through `context.check`; null where it came to no result. */
	verify: (context: Context) => Promise<Result | null>;
}
