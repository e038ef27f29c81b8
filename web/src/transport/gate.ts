/**
 * The one place of enforcement: whether what the page's code asks for goes to the holder of a key,
 * goes as without the kit, waits, or is refused.
 */
import type { Environment } from '../base/environment';

/** What the administrator asks for, and the person: the laxest first. */
export const ENFORCEMENTS = ['off', 'warn', 'block'] as const;
export type Enforcement = (typeof ENFORCEMENTS)[number];

/**
 * How far the verification has come: `off` where the person has switched it off, `unreachable` where
 * it could not be made.
 */
export type Standing = 'pending' | 'off' | 'passed' | 'warned' | 'failed' | 'unreachable';

/**
 * What is known of the server's key: nothing yet; it names none; one that nobody has checked; one
 * whose holder has answered; one that does not belong to the quote, or whose holder is silent.
 */
export type Key = 'pending' | 'none' | 'unchecked' | 'proved' | 'refuted';

/** A check that warned or failed, as `id:code`. */
export type Cause = string;

export interface Situation {
	enforcement: Enforcement;
	standing: Standing;
	key: Key;
	/** Whether this browser ever had a sealed connection to this origin. */
	known: boolean;
	/** Why it warned or failed, or could not be made. */
	causes: readonly Cause[];
	/** What the person has confirmed: failures for the chat in this tab, warnings for this browser. */
	confirmed: { failures: ReadonlySet<Cause>; warnings: ReadonlySet<Cause> };
}

/**
 * Why a request is refused: the key is not the quote's; whether it is cannot be told, as this
 * computer's clock and the server's differ; this origin was sealed once and names no key
 * now (the person may forget it); a check failed, or warned, or is switched off, where that blocks;
 * nobody decided in time; too many wait; the model that it names is not inside, and the person does not want that, or
 * may not.
 */
export type Refusal =
	| 'key-refuted'
	| 'clock'
	| 'no-way-back'
	| 'blocked'
	| 'blocked-warned'
	| 'blocked-off'
	| 'undecided'
	| 'crowded'
	| 'model';

/** What the person is asked about, or has confirmed; `failed` says whether as failures. */
export interface Asked {
	causes: readonly Cause[];
	failed: boolean;
}

export type Decision =
	/** `despite` is what the person has confirmed, where it opens by that. */
	| { kind: 'open'; way: 'sealed' | 'plain'; despite?: Asked }
	/** Where something has come to nothing, and is tried again, `causes` say what. */
	| { kind: 'wait'; causes?: readonly Cause[] }
	| ({ kind: 'ask' } & Asked)
	| { kind: 'refuse'; reason: Refusal };

const WAIT: Decision = { kind: 'wait' };

/** The cause that is always among those asked about where a confirmation has requests go plain. */
export const NO_KEY: Cause = 'key-binding:key-none';

/** That the key's time is over, or is yet to come, may be this computer's own clock. */
const CLOCK: Cause = 'key-binding:clock-differs';

/** Who confirms anything else, such as a key's silence, has not confirmed that there is none. */
const withKey = (key: Key, causes: readonly Cause[]): readonly Cause[] => {
	if (key === 'none') return causes.includes(NO_KEY) ? causes : [NO_KEY, ...causes];
	const isSaid = causes.some((cause) => cause.startsWith('key-binding:'));
	if (isSaid || (key === 'proved' && causes.length > 0)) return causes;
	return ['key-binding:not-asked', ...causes];
};

/** Decide about every request alike: they are all somebody's words. */
export const decide = (situation: Situation): Decision => {
	const { enforcement, standing, key, known, causes, confirmed } = situation;
	if (key === 'refuted') {
		return { kind: 'refuse', reason: causes.includes(CLOCK) ? 'clock' : 'key-refuted' };
	}
	if (key === 'pending') return WAIT;
	if (key === 'none' && known) return { kind: 'refuse', reason: 'no-way-back' };
	const open: Decision = { kind: 'open', way: key === 'none' ? 'plain' : 'sealed' };
	if (enforcement === 'off') return open;
	if (standing === 'off') {
		// Who need not be asked may still not be laxer than what was asked for.
		return enforcement === 'block' ? { kind: 'refuse', reason: 'blocked-off' } : open;
	}
	if (standing === 'pending') return WAIT;
	// A key that nobody has answered under, or none at all, is not what a verdict passes.
	if (standing === 'passed' && key === 'proved') return open;
	const failed = standing === 'failed';
	if (enforcement === 'block') {
		// Time may cure only what could not be made.
		if (standing === 'unreachable') return { ...WAIT, causes };
		return { kind: 'refuse', reason: failed ? 'blocked' : 'blocked-warned' };
	}
	const names = failed ? confirmed.failures : confirmed.warnings;
	const asked = withKey(key, causes);
	const isConfirmed = asked.every((cause) => names.has(cause));
	const about: Asked = { causes: asked, failed };
	return isConfirmed ? { ...open, despite: about } : { kind: 'ask', ...about };
};

/** Milliseconds for which a request waits for the verdict, and for a person. */
export const PATIENCE = { wait: 150_000, ask: 600_000 };
/** How many requests wait at most. */
export const WAITING_MAX = 1_000;
/** How many confirmations are kept. */
export const CONFIRMED_MAX = 64;

/**
 * A request that may not go. A TypeError, as `fetch` throws where it got nowhere, with the sentence
 * where open-webui looks for what to show.
 */
export class Refused extends TypeError {
	readonly detail: string;

	constructor(
		readonly reason: Refusal,
		sentence: string
	) {
		super(sentence);
		this.detail = sentence;
	}
}

/** What a request gets that may go. */
export interface Passage<Channel> {
	/** To the holder of the key; null: as without the kit. */
	channel: Channel | null;
	/** Aborted when this would not be decided so any more: sockets end then. */
	ended: AbortSignal;
}

/** Where the names of what the person confirmed are kept. */
export interface Confirmations {
	read: () => readonly Cause[];
	write: (causes: readonly Cause[]) => void;
}

export interface GateEnvironment extends Pick<Environment, 'later'> {
	/** Those of failures, which this tab keeps for a chat, and those of warnings, which this browser keeps. */
	failures: Confirmations;
	warnings: Confirmations;
	/** A refusal in the person's language. */
	say: (reason: Refusal) => string;
}

/** What is decided now, for whoever shows it. */
export interface View {
	decision: Decision;
	/** How many requests wait. */
	waiting: number;
}

export type News<Channel> = Partial<Omit<Situation, 'confirmed'>> & { channel?: Channel | null };

interface Waiting<Channel> {
	let: (passage: Passage<Channel>) => void;
	refuse: (reason: Refusal) => void;
	/** Wait for as long as such a decision may take. */
	rest: (kind: 'wait' | 'ask') => void;
}

/** Requests wait here, each for as long as it may. */
export class Gate<Channel> {
	#situation: Omit<Situation, 'confirmed'> = {
		enforcement: 'warn',
		standing: 'pending',
		key: 'pending',
		known: false,
		causes: []
	};
	#channel: Channel | null = null;
	#life = new AbortController();
	readonly #waiting = new Set<Waiting<Channel>>();
	readonly #listeners = new Set<(view: View) => void>();

	constructor(private readonly env: GateEnvironment) {}

	get view(): View {
		return { decision: this.#decision(), waiting: this.#waiting.size };
	}

	/** Something is known that was not. */
	update({ channel, ...news }: News<Channel>): void {
		const before = this.#decision();
		this.#situation = { ...this.#situation, ...news };
		if (channel !== undefined) this.#channel = channel;
		const now = this.#decision();
		// A new key is no end: open sockets outlive the renewal of keys.
		const goesOn = now.kind === 'open' && before.kind === 'open' && now.way === before.way;
		if (before.kind === 'open' && !goesOn) {
			this.#life.abort();
			this.#life = new AbortController();
		}
		this.#settle(now);
	}

	/** The person confirms what is asked, and nothing else. */
	confirm(asked: Decision): void {
		if (asked.kind !== 'ask') return;
		const kept = asked.failed ? this.env.failures : this.env.warnings;
		kept.write([...new Set([...asked.causes, ...kept.read()])].slice(0, CONFIRMED_MAX));
		this.#settle(this.#decision());
	}

	/** Another chat is open: the person confirmed failures for the one before. What is under way goes on. */
	another(): void {
		this.env.failures.write([]);
		this.#settle(this.#decision());
	}

	/** Be told of every change; returns what ends it. */
	hear(listener: (view: View) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Wait until a request may go. Rejects with a Refused, or with the signal's reason. */
	pass(signal?: AbortSignal | null): Promise<Passage<Channel>> {
		return new Promise((resolve, reject) => {
			signal?.throwIfAborted();
			let cancel: () => void = () => undefined;
			let resting: string | undefined;
			const end = () => {
				cancel();
				signal?.removeEventListener('abort', abort);
				this.#waiting.delete(request);
			};
			const request: Waiting<Channel> = {
				let: (passage) => {
					end();
					resolve(passage);
				},
				refuse: (reason) => {
					end();
					reject(new Refused(reason, this.env.say(reason)));
				},
				rest: (kind) => {
					if (resting === kind) return;
					resting = kind;
					cancel();
					cancel = this.env.later(PATIENCE[kind], () => {
						request.refuse('undecided');
						this.#tell();
					});
				}
			};
			const abort = () => {
				end();
				reject(signal?.reason as Error);
				this.#tell();
			};
			signal?.addEventListener('abort', abort);
			const now = this.#decision();
			const waits = now.kind === 'wait' || now.kind === 'ask';
			if (waits && this.#waiting.size >= WAITING_MAX) {
				request.refuse('crowded');
				return;
			}
			this.#apply(request, now);
			if (waits) {
				this.#waiting.add(request);
				this.#tell();
			}
		});
	}

	#decision(): Decision {
		const [failures, warnings] = [this.env.failures, this.env.warnings].map(
			(kept) => new Set(kept.read())
		) as [Set<Cause>, Set<Cause>];
		const decision = decide({ ...this.#situation, confirmed: { failures, warnings } });
		const isSealed = decision.kind === 'open' && decision.way === 'sealed';
		return isSealed && this.#channel === null ? WAIT : decision;
	}

	#apply(request: Waiting<Channel>, now: Decision): void {
		if (now.kind === 'open') {
			const channel = now.way === 'sealed' ? this.#channel : null;
			request.let({ channel, ended: this.#life.signal });
		} else if (now.kind === 'refuse') request.refuse(now.reason);
		else request.rest(now.kind);
	}

	#settle(now: Decision): void {
		for (const request of [...this.#waiting]) this.#apply(request, now);
		this.#tell();
	}

	#tell(): void {
		const { view } = this;
		for (const listener of [...this.#listeners]) listener(view);
	}
}
