import { atom, type ReadableAtom } from 'nanostores';
import { complete, headline, type Check, type CheckId } from '../base/checks';
import { countdown } from '../base/countdown';
import type { Environment } from '../base/environment';
import { asProblem, Passing, Problem } from '../base/problem';
import type { Verdict } from './attest';
import { leastPause, pause } from './backoff';
import { examineKept, type Keeping } from './keeping';
import type { Settings, SettingsStore } from './settings';

/** The newest try came to nothing, for what may pass by itself, and is made again. */
export interface Renewal {
	/** What it failed at. */
	check: Check | undefined;
	/** Milliseconds since 1970: when the next one is; missing while that is under way. */
	again?: number;
	/** Milliseconds since 1970: the end of the older result on show; missing where none is. */
	until?: number;
}

export type State =
	{ kind: 'off' } | { kind: 'pending' } | { kind: 'done'; verdict: Verdict; renewal?: Renewal };

export type Verify = (
	env: Environment,
	settings: Settings,
	signal: AbortSignal
) => Promise<Verdict>;

/** Milliseconds that a whole run may take. */
export const DEADLINE = 120_000;
/** Milliseconds of the pause that gathers a burst of changes. */
export const SETTLE = 100;
/** Milliseconds between two looks at the clock while a result is on show. */
const GLANCE = 10_000;
/** The part of a result's life after which the next one is fetched. */
const REFRESH = 0.75;

export interface Session {
	state: ReadableAtom<State>;
	/** A badge is on the page; returns what says that it is gone. */
	attach: () => () => void;
	/** The open chat: another one is attested anew, one that only got its name is not. */
	chat: (id: string, renamed?: boolean) => void;
	/** The user asks. A run that is on show is shared; a quiet one is made anew, for all to see. */
	recheck: () => void;
	/** The user accepts the measurements on show. */
	accept: () => void;
	/** The person forgets that requests to this origin were ever sealed. */
	forget: () => void;
	/** The person mends what this browser keeps: a result that does not know of it is void. */
	mend: (act: () => void) => void;
	/** What the verification leans on has changed: a result that does not know of it is void. */
	restart: () => void;
	offline: () => void;
	online: () => void;
	/** The page is looked at again. */
	visible: () => void;
}

const nothing = () => {
	// there is nothing to cancel
};

/** A run that came to no verdict at all, as one: red, with the reason at the check it ended in. */
const failure = (error: unknown, now: number, id: CheckId = 'evidence-format'): Verdict => {
	const { code, detail } = asProblem(error);
	return {
		status: 'red',
		checks: complete({ [id]: { id, outcome: 'fail', code, detail } }, [id]),
		fields: {},
		at: now,
		expires: now,
		wait: error instanceof Passing ? error.wait : undefined
	};
};

/** A result on the merits. */
interface Result {
	verdict: Verdict;
	/** Milliseconds for which it still counts. */
	left: () => number;
	/** What is left of it when the next one is fetched; 0 where none is. */
	due: number;
}

/** Tries since then that came to nothing, for what may pass by itself. */
interface Trouble {
	/** The newest one. */
	verdict: Verdict;
	failed: number;
	again?: number;
	/** Milliseconds that are waited in any case. */
	rest: () => number;
}

/** From 0 to 1. */
const draw = ({ random }: Environment): number => {
	const [byte = 0] = random(1);
	return byte / 255;
};

/**
 * The one store behind every badge.
 *
 * Each run carries a number, and only the newest may speak: a late answer of an older run, of
 * other settings or of another chat changes nothing. Green ends by itself: a refresh starts after
 * three quarters of a result's life. One that says nothing about the machine is made again, with
 * growing pauses; meanwhile the older result stays on show, and ends when its life does.
 */
export const createSession = (
	env: Environment,
	settings: Pick<SettingsStore, 'state'>,
	verify: Verify
): Session => {
	const state = atom<State>({ kind: 'pending' });

	let current: Settings | undefined;
	let badges = 0;
	let openChat: string | undefined;
	/** The number of the newest run. */
	let newest = 0;
	let running = false;
	/** Offline: for `online`. */
	let waiting = false;
	/** End the run under way, or the timer of its successor. */
	let stop = nothing;
	/** Cancel the look at the end of the result. */
	let keep = nothing;
	let result: Result | undefined;
	let trouble: Trouble | undefined;

	/** Nobody under way will be heard any more; returns the number of the run that comes. */
	const supersede = (): number => {
		stop();
		running = false;
		newest += 1;
		return newest;
	};

	const drop = (): void => {
		keep();
		result = undefined;
	};

	/** Nothing that came before counts any more; returns the number of the run that comes. */
	const forget = (): number => {
		drop();
		trouble = undefined;
		return supersede();
	};

	/** Show the result, or else what keeps us from one. */
	const show = (): void => {
		const verdict = (result ?? trouble)?.verdict;
		if (!verdict) {
			if (state.get().kind !== 'pending') state.set({ kind: 'pending' });
			return;
		}
		const renewal = trouble && {
			check: headline(trouble.verdict.checks),
			again: trouble.again,
			until: result && env.now() + result.left()
		};
		state.set({ kind: 'done', verdict, renewal });
	};

	/** End the result after its life, by timers and by the clocks: a sleeping machine stops timers. */
	const watch = (): void => {
		const left = result?.left() ?? 0;
		if (left > 0) {
			keep = env.later(Math.min(left, GLANCE), watch);
			return;
		}
		drop();
		show();
		if (!running && !trouble && badges > 0) start();
	};

	/** Refresh what is on show, if anybody sees it, so many milliseconds from now. */
	const refreshIn = (ms: number): void => {
		stop = env.later(ms, () => {
			if (badges > 0) start(true);
		});
	};

	/** Try again after a pause, while a good result that still holds stays on show. */
	const retry = (verdict: Verdict, asked: number): void => {
		const left = result?.verdict.status === 'red' ? 0 : Math.max(0, result?.left() ?? 0);
		if (left === 0) drop();
		const failed = (trouble?.failed ?? 0) + 1;
		const ms = pause({ failed, asked, left, random: draw(env) });
		const rest = countdown(env, leastPause(asked));
		trouble = { verdict, failed, again: env.now() + ms, rest };
		refreshIn(ms);
		show();
	};

	/** Have a result, for so many milliseconds. */
	const have = (verdict: Verdict, life: number): void => {
		drop();
		trouble = undefined;
		const good = verdict.status !== 'red';
		result = { verdict, left: countdown(env, life), due: good ? life * (1 - REFRESH) : 0 };
		if (good) {
			refreshIn(life * REFRESH);
			keep = env.later(Math.min(life, GLANCE), watch);
		}
		// Last, so that whatever a view does with it, the result ends.
		show();
	};

	/** A run has come to its verdict. */
	const finish = (run: number, verdict: Verdict, now: number): void => {
		if (run !== newest) return;
		supersede(); // a run speaks once
		if (verdict.wait === undefined) have(verdict, verdict.expires - now);
		else retry(verdict, verdict.wait);
	};

	/** Off holds where the kit's form says so: what else switched the check off is told, in red. */
	const rest = (run: number, chosen: Settings): void => {
		state.set({ kind: 'off' });
		const told: Keeping = {};
		examineKept(env, chosen, told).catch((error: unknown) => {
			const now = env.now();
			finish(run, { ...failure(error, now, 'settings'), ...told }, now);
		});
	};

	/** Attest; quietly, what is on show stays there meanwhile. */
	const start = (quiet = false): void => {
		const run = supersede();
		if (!current) return;
		if (!current.enabled) {
			rest(run, current);
			return;
		}
		if (!quiet) {
			trouble = undefined;
			state.set({ kind: 'pending' });
		} else if (trouble) {
			trouble.again = undefined;
			show();
		}
		running = true;
		const chosen = current;
		const controller = new AbortController();
		const began = env.now();
		const spent = countdown(env, 0);
		const end = (verdict: Verdict) => {
			// Not the clock's word: set back since we began, it would make the result longer.
			finish(run, verdict, began - spent());
		};
		const fail = (error: unknown) => {
			end(failure(error, env.now()));
		};
		const cancelSettle = env.later(quiet ? 0 : SETTLE, () => {
			verify(env, chosen, controller.signal).then(end, fail);
		});
		const cancelDeadline = env.later(DEADLINE, () => {
			fail(new Passing('internal', 'time'));
		});
		stop = () => {
			cancelSettle();
			cancelDeadline();
			controller.abort();
		};
	};

	/** Attest, with nothing to fall back to. */
	const restart = (): void => {
		forget();
		if (badges > 0) start();
		else if (current?.enabled) show();
	};

	/** What the person does about a result, and another look. */
	const mend = (act: () => void): void => {
		try {
			act();
		} catch {
			// storage refuses: the next result says so again
		}
		forget();
		start();
	};

	/** What the result on show offers to do. */
	const mendBy = (offer: 'accept' | 'forget'): void => {
		const shown = state.get();
		if (shown.kind === 'done') mend(shown.verdict[offer] ?? nothing);
	};

	/** Start what should be under way: where nobody looked, or timers were slow, it may not be. */
	const catchUp = (): void => {
		if (running || waiting || badges === 0 || state.get().kind === 'off') return;
		const left = result?.left() ?? 0;
		if (left <= 0) drop();
		if (trouble) {
			show();
			if (trouble.rest() <= 0) start(true);
		} else if (!result) start();
		else if (left <= result.due) start(true);
	};

	settings.state.subscribe(({ settings: next }) => {
		const changed = JSON.stringify(next) !== JSON.stringify(current);
		current = next;
		if (!changed) return;
		const run = forget();
		if (!next.enabled) rest(run, next);
		else if (badges > 0) start();
		else show();
	});

	return {
		state,
		attach() {
			badges += 1;
			catchUp();
			return () => {
				badges -= 1;
			};
		},
		chat(id, renamed = false) {
			const changed = openChat !== undefined && openChat !== id && !renamed;
			openChat = id;
			if (changed && current?.enabled && badges > 0) start();
		},
		recheck() {
			// A try that went on quietly is made anew, so that one sees that something is done.
			if (!running || state.get().kind !== 'pending') start();
		},
		accept: () => {
			mendBy('accept');
		},
		forget: () => {
			mendBy('forget');
		},
		mend,
		restart,
		offline() {
			if (!current?.enabled) return;
			forget();
			waiting = true;
			state.set({ kind: 'done', verdict: failure(new Problem('offline'), env.now()) });
		},
		online() {
			if (waiting && badges > 0) start();
			waiting = false;
			catchUp(); // a page that came up offline never heard that it was
		},
		visible: catchUp
	};
};
