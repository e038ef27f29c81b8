import type { CheckId, Finding } from '../base/checks';
import type { Environment } from '../base/environment';
import type { Evidence } from '../evidence/evidence';
import type { Policy } from '../policy/policy';

/** Whom to ask, and under which keys an answer counts. */
export interface Target {
	/** The provider's id. */
	provider: string;
	/** Of its service, without its well-known path; empty: there is none. */
	address: string;
	/** Where below that address it takes evidence. */
	path: string;
	/** The user's pinned keys, as text (`parsePins`); empty: ask the service for its keys. */
	keys: string;
	/** Does the user want the event logs to go along? */
	logs: boolean;
	/** Only this server named the provider or the address: such a result is never green. */
	serverChosen: boolean;
}

/** What a provider works with. `evidence` is already known to answer this page's nonce. */
export interface Context {
	env: Environment;
	subtle: SubtleCrypto;
	signal: AbortSignal;
	evidence: Evidence;
	choice: Target;
	/**
	 * The address to which this server offers to pass the evidence on, where the browser cannot reach
	 * the service; empty where it offers none.
	 */
	relay: string;
	/** A root key besides Intel's that this server suggests; what it vouches for is never green. */
	suggestedRoot: unknown;
	policy: Policy;
	/** Hold an edition of Intel's documents against the newest one that this browser has seen. */
	remember: (edition: Edition) => Finding | undefined;
	/** Run one check and keep its outcome; a false answer means that it failed. */
	check: RunCheck;
}

/** An edition of Intel's TCB data. */
export interface Edition {
	/** Which kind of platform it is about, and whose word it is. */
	about: string;
	/** Of TCB info and QE identity: they grow with every TCB recovery. */
	numbers: readonly [tcbInfo: number, qeIdentity: number];
}

export type RunCheck = (
	id: CheckId,
	run: () => CheckResult | Promise<CheckResult>
) => Promise<boolean>;

/** Nothing where the check simply passed. */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type -- a function's result, or none
export type CheckResult = Finding | undefined | void;

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
