import { atom, type ReadableAtom } from 'nanostores';
import { complete, type CheckId } from '../base/checks';
import type { Environment } from '../base/environment';
import { asProblem, Problem } from '../base/problem';
import type { Verdict } from './attest';
import type { Settings, SettingsStore } from './settings';

export type State = { kind: 'off' } | { kind: 'pending' } | { kind: 'done'; verdict: Verdict };

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
	/** The user asks. A run under way is shared. */
	recheck: () => void;
	/** The user accepts the measurements on show. */
	accept: () => void;
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
const failure = (error: unknown, now: number): Verdict => {
	const { code, detail } = asProblem(error);
	const id: CheckId = 'evidence-format';
	return {
		status: 'red',
		checks: complete({ [id]: { id, outcome: 'fail', code, detail } }, [id]),
		fields: {},
		expires: now
	};
};

/**
 * The one store behind every badge.
 *
 * Each run carries a number, and only the newest may speak: a late answer of an older run, of
 * other settings or of another chat changes nothing. Green ends by itself: a refresh starts after
 * three quarters of a result's life, and if it brings nothing better the result ends with it.
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
	/** Cancel the end of the result on show. */
	let keep = nothing;
	/** Milliseconds since 1970: when to refresh the result on show. */
	let due = Infinity;

	/** Nobody under way will be heard any more; returns the number of the run that comes. */
	const supersede = (): number => {
		stop();
		running = false;
		newest += 1;
		return newest;
	};

	const expired = (): boolean => {
		const shown = state.get();
		return shown.kind === 'done' && env.now() >= shown.verdict.expires;
	};

	/** End a result after its life, by timers and by the clock: a sleeping machine stops timers. */
	const watch = (left: number): void => {
		keep = env.later(Math.min(left, GLANCE), () => {
			if (left > GLANCE && !expired()) {
				watch(left - GLANCE);
				return;
			}
			state.set({ kind: 'pending' });
			if (!running && badges > 0) start();
		});
	};

	const finish = (run: number, verdict: Verdict): void => {
		if (run !== newest) return;
		supersede(); // a run speaks once
		keep();
		due = Infinity;
		if (verdict.status !== 'red') {
			const life = verdict.expires - env.now();
			due = env.now() + life * REFRESH;
			stop = env.later(life * REFRESH, () => {
				if (badges > 0) start(true);
			});
			watch(life);
		}
		// Last, so that whatever a view does with it, the result ends.
		state.set({ kind: 'done', verdict });
	};

	/** Attest; quietly, a result that still holds stays on show meanwhile. */
	const start = (quiet = false): void => {
		const run = supersede();
		if (!quiet) keep();
		if (!current?.enabled) {
			state.set({ kind: 'off' });
			return;
		}
		if (!quiet) state.set({ kind: 'pending' });
		running = true;
		const chosen = current;
		const controller = new AbortController();
		const fail = (error: unknown) => {
			finish(run, failure(error, env.now()));
		};
		const cancelSettle = env.later(quiet ? 0 : SETTLE, () => {
			verify(env, chosen, controller.signal).then((verdict) => {
				finish(run, verdict);
			}, fail);
		});
		const cancelDeadline = env.later(DEADLINE, () => {
			fail(new Problem('internal', 'time'));
		});
		stop = () => {
			cancelSettle();
			cancelDeadline();
			controller.abort();
		};
	};

	const restart = (): void => {
		if (current?.enabled && badges > 0) start();
	};

	/** Start what should be under way: where nobody looked, or timers were slow, it may not be. */
	const catchUp = (): void => {
		if (running || waiting || badges === 0) return;
		if (state.get().kind === 'pending' || expired()) start();
		else if (env.now() >= due) start(true);
	};

	settings.state.subscribe(({ settings: next }) => {
		const changed = JSON.stringify(next) !== JSON.stringify(current);
		current = next;
		if (!changed) return;
		if (next.enabled && badges > 0) {
			start();
			return;
		}
		supersede();
		keep();
		state.set({ kind: next.enabled ? 'pending' : 'off' });
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
			if (changed) restart();
		},
		recheck() {
			if (!running) start();
		},
		accept() {
			const shown = state.get();
			if (shown.kind !== 'done') return;
			try {
				shown.verdict.accept?.();
			} catch {
				// storage refuses: the next result says so again
			}
			start();
		},
		restart,
		offline() {
			if (!current?.enabled) return;
			finish(supersede(), failure(new Problem('offline'), env.now()));
			waiting = true;
		},
		online() {
			if (waiting && badges > 0) start();
			waiting = false;
			catchUp(); // a page that came up offline never heard that it was
		},
		visible: catchUp
	};
};
