import { writable, type Readable } from 'svelte/store';
import type { Verdict } from './attest';
import { complete, type CheckId } from './checks';
import type { Environment } from './environment';
import { asProblem, Problem } from './problem';
import type { Settings, SettingsState } from './settings';

export type State =
	| { kind: 'off' }
	| { kind: 'pending' }
	| { kind: 'done'; verdict: Verdict };

export type Verify = (env: Environment, settings: Settings, signal: AbortSignal) => Promise<Verdict>;

/** Milliseconds: of a whole run; of the pause that gathers a burst of changes. */
export const DEADLINE = 120_000;
export const SETTLE = 100;
/** Between two looks at the clock while a result is on show. */
const GLANCE = 10_000;
/** The part of a result's life after which the next one is fetched. */
const REFRESH = 0.75;

export interface Session extends Readable<State> {
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
	settings: Readable<SettingsState>,
	verify: Verify
): Session => {
	let state: State = { kind: 'pending' };
	const store = writable<State>(state);
	const publish = (next: State) => store.set((state = next));

	let current: Settings | undefined;
	let badges = 0;
	let chat: string | undefined;
	let run = 0;
	let running = false;
	let waiting = false; // offline: for `online`
	/** End the run under way, or the timer of its successor. */
	let stop = () => {};
	/** Cancel the end of the result on show. */
	let keep = () => {};
	/** Milliseconds since 1970: when to refresh the result on show. */
	let due = Infinity;

	/** Nobody under way will be heard any more. */
	const supersede = () => {
		stop();
		running = false;
		return ++run;
	};
	const expired = () => state.kind === 'done' && env.now() >= state.verdict.expires;

	/** End a result after its life, by timers and by the clock: a sleeping machine stops timers. */
	const watch = (left: number) => {
		keep = env.later(Math.min(left, GLANCE), () => {
			if (left > GLANCE && !expired()) return watch(left - GLANCE);
			publish({ kind: 'pending' });
			if (!running && badges > 0) start();
		});
	};

	const finish = (mine: number, verdict: Verdict) => {
		if (mine !== run) return;
		supersede(); // a run speaks once
		keep();
		due = Infinity;
		if (verdict.status !== 'red') {
			const life = verdict.expires - env.now();
			due = env.now() + life * REFRESH;
			stop = env.later(life * REFRESH, () => badges > 0 && start(true));
			watch(life);
		}
		// Last, so that whatever a view does with it, the result ends.
		publish({ kind: 'done', verdict });
	};

	/** Attest; quietly, a result that still holds stays on show meanwhile. */
	const start = (quiet = false) => {
		const mine = supersede();
		if (!quiet) keep();
		if (!current?.enabled) return publish({ kind: 'off' });
		if (!quiet) publish({ kind: 'pending' });
		running = true;
		const chosen = current;
		const controller = new AbortController();
		const fail = (error: unknown) => finish(mine, failure(error, env.now()));
		const cancelSettle = env.later(quiet ? 0 : SETTLE, () => {
			verify(env, chosen, controller.signal).then((verdict) => finish(mine, verdict), fail);
		});
		const cancelDeadline = env.later(DEADLINE, () => fail(new Problem('internal', 'time')));
		stop = () => {
			cancelSettle();
			cancelDeadline();
			controller.abort();
		};
	};

	const restart = () => {
		if (current?.enabled && badges > 0) start();
	};

	/** Start what should be under way: where nobody looked, or timers were slow, it may not be. */
	const catchUp = () => {
		if (running || waiting || badges === 0) return;
		if (state.kind === 'pending' || expired()) start();
		else if (env.now() >= due) start(true);
	};

	settings.subscribe(({ settings: next }) => {
		const changed = JSON.stringify(next) !== JSON.stringify(current);
		current = next;
		if (!changed) return;
		if (next.enabled && badges > 0) return start();
		supersede();
		keep();
		publish({ kind: next.enabled ? 'pending' : 'off' });
	});

	return {
		subscribe: store.subscribe,
		attach() {
			badges++;
			catchUp();
			return () => {
				badges--;
			};
		},
		chat(id, renamed = false) {
			const changed = chat !== undefined && chat !== id && !renamed;
			chat = id;
			if (changed) restart();
		},
		recheck() {
			if (!running) start();
		},
		accept() {
			if (state.kind !== 'done') return;
			try {
				state.verdict.accept?.();
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
