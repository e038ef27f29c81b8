/**
 * The way out of a page: its gate, what that opens to, and what this browser keeps about both. It is
 * told what the verification found; the rest of the page only ever sees the carrier.
 */
import type { Environment } from '../base/environment';
import type { Carrier, LineRequest } from './carrier';
import type { Control, WorkerControl } from './control';
import type { Cause, Decision, Enforcement, Gate, Key, Standing, View } from './gate';
import type { Jar } from './jar';
import type { Keyset } from './keyset';
import { namesModel } from './chosen-model';
import { createCarrier, type Held, type LineEnvironment } from './line';
import { isSame, LONGEST, type Grounds, type Permission, type Shared } from './shared';

/** Milliseconds between two looks at the clock: a sleeping machine stops timers. */
const GLANCE = 10_000;

/** What a verdict means for the requests of a page. */
export interface Judgement {
	enforcement: Enforcement;
	standing: Standing;
	key: Key;
	causes: readonly Cause[];
	/** Whether something beside this browser's store remembers that this origin was sealed. */
	known?: boolean;
	/** What requests are sealed to; null where no key is named, or none may be used. */
	keyset: Keyset | null;
	/** Under which policy the keys were judged. */
	policy: string;
	/** The hash of the statement that the verdict is about. */
	statement?: string;
	/** Milliseconds since 1970. */
	until: number;
}

export interface DoorEnvironment
	extends
		Pick<Environment, 'now' | 'later' | 'origin'>,
		Pick<Carrier, 'fetch' | 'more' | 'failed'> {
	gate: Gate<Held>;
	shared: Shared;
	jar: Jar;
	control: Pick<WorkerControl, 'take' | 'release'>;
	/** Make what requests go to: a new one for each verdict, also for the same keys. */
	hold: (keyset: Keyset, policy: string, statement?: string) => Held;
	/** The jar has changed, or another one counts: documents show its cookies. */
	showCookies: () => Promise<void>;
	/** Have the browser lose the cookies that it got in the clear; nobody waits for it. */
	endCookies: () => void;
	/** Load this document anew. */
	reload: () => void;
}

const PENDING = { standing: 'pending', key: 'pending', channel: null } as const;

/** What is kept for other pages, for the worker, and for the next load of this page. */
const permissionOf = ({ keyset, until, policy, statement, ...judged }: Judgement): Permission => {
	const { standing, key, causes, enforcement } = judged;
	return { keyset, until, policy, statement, grounds: { standing, key, causes, enforcement } };
};

const isGrounds = (grounds: Grounds | undefined): grounds is Grounds =>
	typeof grounds?.standing === 'string' && Array.isArray(grounds.causes);

/** What was kept, as it was judged: this tab asks anew; null where that does not say. */
const judgementOf = ({ grounds, ...kept }: Permission): Judgement | null =>
	isGrounds(grounds) ? { enforcement: 'warn', ...grounds, ...kept } : null;

/**
 * What is left to others where a page asks its person: what another page was given under this policy
 * on the same grounds, as there the person may have said yes, or on any where this page has found
 * nothing. News that nobody has said yes to leave nothing.
 */
const leaves =
	(judged: Judgement) =>
	({ policy, grounds }: Permission): boolean => {
		const { policy: ours, grounds: found } = permissionOf(judged);
		return ours === policy && (judged.standing === 'unreachable' || isSame(found, grounds));
	};

/** Have a request weighed by what comes to do that, for as long as it is wanted. */
const orAborted = (
	weighing: Promise<LineEnvironment['mind']>,
	request: LineRequest
): Promise<void> =>
	new Promise((resolve, reject) => {
		const { signal } = request;
		signal?.throwIfAborted();
		signal?.addEventListener('abort', () => {
			reject(signal.reason as Error);
		});
		weighing.then((mind) => (signal?.aborted ? undefined : mind(request))).then(resolve, reject);
	});

/** What a gate came to, and by which judgement. */
type Outcome = readonly [kind: Decision['kind'], judged: Judgement | null];

const WAITS: Outcome = ['wait', null];

export class Door {
	readonly gate: Gate<Held>;
	readonly carrier: Carrier;
	/** Have the server attested anew: its keys answer no more, or it states another thing. */
	attest: () => void = () => undefined;
	/** Given once: what weighs requests that name a model, which wait for it. */
	weigh: (mind: LineEnvironment['mind']) => void = () => undefined;
	#judged: Judgement | null = null;
	#held: Held | null = null;
	#known = false;
	/** What the gate goes by: the one in use, once documents show its cookies. */
	#weighed: Judgement | null = null;
	/** What the others were told last. */
	#told = WAITS;
	/** The number of the newest judgement. */
	#turn = 0;
	#control: Promise<Control> | undefined;
	/** Settles when what the gate decided is kept: requests wait for it. */
	#kept: Promise<unknown> = Promise.resolve();
	#isKept = true;
	#stop: () => void = () => undefined;

	constructor(private readonly env: DoorEnvironment) {
		const { gate, jar, shared } = env;
		this.gate = gate;
		const weighing = new Promise<LineEnvironment['mind']>((resolve) => {
			this.weigh = resolve;
		});
		const inner = createCarrier({
			...env,
			jar: {
				header: jar.header,
				take: async (path, lines, policy) => {
					await jar.take(path, lines, policy);
					if (lines.length > 0) await env.showCookies();
				}
			},
			doubt: (held) => {
				this.#doubt(held);
			},
			async mind(request) {
				if (namesModel(request)) await orAborted(weighing, request);
			}
		});
		this.carrier = {
			...inner,
			open: async (signal) => {
				const line = await inner.open(signal);
				await this.#kept;
				// Another page may have had this origin sealed since: then it does not go plain.
				return line || this.carrier.isPlain() ? line : this.carrier.open(signal);
			},
			isPlain: () => this.#isKept && inner.isPlain()
		};
		gate.hear((view) => {
			this.#decided(view);
		});
		shared.hear((word) => {
			if (word === 'stale') this.#renew();
		});
	}

	/** Under which policy the keys in use were judged; null where nothing is sealed. */
	get policy(): string | null {
		return this.#held?.policy ?? null;
	}

	/** Under which policy the verdict in use was made; null before any. */
	get basis(): string | null {
		return this.#judged?.policy ?? null;
	}

	/** Whether a verdict under this policy still holds. */
	holds(policy: string): boolean {
		const judged = this.#judged;
		return judged !== null && judged.policy === policy && judged.until > this.env.now();
	}

	/** Go by what this browser kept, so that a page which comes again need not wait. */
	async begin(): Promise<void> {
		const { sealed, permission } = await this.env.shared.known();
		this.#know(sealed);
		const kept = permission && judgementOf(permission);
		// What this page has heard since is newer.
		if (!kept || this.#turn > 0) return;
		await this.judge(kept, true);
	}

	/**
	 * The verification has come to something.
	 *
	 * @param isKept Whether the others have it already.
	 */
	async judge(judgement: Judgement, isKept = false): Promise<void> {
		const { env } = this;
		const turn = ++this.#turn;
		const { keyset, policy, statement, ...news } = judgement;
		const held = keyset && env.hold(keyset, policy, statement);
		if (held) {
			this.#control ??= env.control.take();
			await this.#control;
			if (turn !== this.#turn) return;
		} else if (news.key === 'refuted') {
			// It lets nothing through, nor what the browser itself loads. The gate waits for nothing.
			void (this.#control ??= env.control.take());
		}
		this.#judged = judgement;
		this.#held = held;
		this.#know(news.known ?? false);
		this.#watch();
		// What closes the gate waits for nothing.
		if (held) await env.showCookies().catch(() => undefined);
		if (turn !== this.#turn) return;
		this.#weighed = judgement;
		if (isKept) this.#told = ['open', judgement];
		env.gate.update({ ...news, known: this.#known, channel: held });
	}

	/** Nothing that was found so far counts any more. */
	wait(): void {
		this.#turn += 1;
		this.#stop();
		this.#judged = this.#held = this.#weighed = null;
		this.gate.update(PENDING);
	}

	/** By the person's word, and nobody else's: as if this origin had never been sealed. */
	async forget(): Promise<void> {
		const { shared, jar, control } = this.env;
		await Promise.allSettled([shared.forget(), jar.empty(), control.release()]);
	}

	#know(sealed: boolean): void {
		this.#known ||= sealed;
	}

	/** End a judgement when its time is over; where nothing is sealed there is nothing to end. */
	#watch(): void {
		this.#stop();
		if (!this.#held) return;
		const left = (this.#judged?.until ?? 0) - this.env.now();
		if (left <= 0) {
			// What has ended by itself need not be taken back.
			if (this.#told[1] === this.#judged) this.#told = WAITS;
			this.#renew();
			return;
		}
		this.#stop = this.env.later(Math.min(left, GLANCE), () => {
			this.#watch();
		});
	}

	#decided({ decision: { kind } }: View): void {
		const [toldKind, toldBy] = this.#told;
		if (kind === toldKind && this.#weighed === toldBy) return;
		const told: Outcome = [kind, this.#weighed];
		this.#told = told;
		this.#isKept = false;
		const keeping = this.#tell(told).catch(() => undefined);
		this.#kept = keeping.then(() => {
			if (told === this.#told) this.#isKept = true;
		});
	}

	/** Have the others know: what closes this gate closes theirs to what the browser itself loads. */
	#tell([kind, judged]: Outcome): Promise<void> {
		if (kind === 'open' && judged) return this.#allow(judged);
		return this.env.shared.withdraw(kind === 'ask' && judged ? leaves(judged) : undefined);
	}

	async #allow(judged: Judgement): Promise<void> {
		const until = Math.min(judged.until, this.env.now() + LONGEST);
		const told = this.#told;
		const { sealed: wasSealed } = await this.env.shared.known();
		if (told !== this.#told) return; // what closes it may have overtaken this
		const isKept = await this.env.shared.allow(permissionOf({ ...judged, until }));
		if (judged.keyset) {
			this.#know(true);
			if (!wasSealed) this.env.endCookies();
		}
		if (!isKept) {
			// Another page has had it sealed since.
			this.#know(true);
			this.gate.update({ known: true });
			return;
		}
		const control = await this.#control;
		if (control?.kind === 'controlled' && (await control.standIn)) {
			this.env.reload();
			await new Promise(() => undefined); // nothing of this document goes out
		}
	}

	#doubt(held: Held): void {
		if (held !== this.#held || !this.#judged) return;
		const doubted = permissionOf(this.#judged);
		this.#renew();
		this.env.shared.doubt(doubted).catch(() => undefined);
	}

	#renew(): void {
		this.wait();
		this.attest();
	}
}
