/** A session whose runs end when the test wants, on a clock that moves when it is told to. */
import { atom } from 'nanostores';
import { complete, type Check } from '../../src/base/checks';
import type { Environment } from '../../src/base/environment';
import type { Verdict } from '../../src/session/attest';
import { createSession, type Renewal, type Session } from '../../src/session/session';
import { defaults, type Settings } from '../../src/session/settings';
import { fakeClock, makeEnvironment } from './environment';
import { must } from './must';

/** Milliseconds. */
export const LIFE = 300_000;

interface Run {
	settings: Settings;
	signal: AbortSignal;
	end: (status?: Verdict['status'], life?: number, more?: Partial<Verdict>) => Promise<void>;
	/** End without a word about the machine, asked to wait so many milliseconds. */
	pass: (wait?: number) => Promise<void>;
	fail: (error: Error) => Promise<void>;
}

const flush = async () => {
	for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

export const BUSY: Check = {
	id: 'evidence-format',
	outcome: 'fail',
	code: 'quote-refused',
	detail: 'busy'
};

export const stage = (enabled = true, more: Partial<Environment> = {}) => {
	const clock = fakeClock();
	const { now, elapsed, later } = clock;
	const settings = atom({ settings: { ...defaults(), enabled }, broken: false });
	const runs: Run[] = [];
	const env = makeEnvironment(fetch, { now, elapsed, later, ...more });
	const session: Session = createSession(
		env,
		{ state: settings },
		(_env, chosen, signal) =>
			new Promise((resolve, reject) => {
				const end: Run['end'] = async (status = 'green', life = LIFE, more = {}) => {
					const at = clock.now();
					const fields = { run: runs.length };
					resolve({ status, checks: [], fields, at, expires: at + life, ...more });
					await flush();
				};
				runs.push({
					settings: chosen,
					signal,
					end,
					pass: (wait = 0) => {
						const checks = complete({ [BUSY.id]: BUSY }, [BUSY.id]);
						return end('red', 0, { checks, wait });
					},
					fail: async (error) => {
						reject(error);
						await flush();
					}
				});
			})
	);
	const states: string[] = [];
	let renewal: Renewal | undefined;
	session.state.subscribe((state) => {
		states.push(state.kind === 'done' ? state.verdict.status : state.kind);
		renewal = state.kind === 'done' ? state.renewal : undefined;
	});
	const change = (edit: (s: Settings) => void) => {
		const next = structuredClone(settings.get().settings);
		edit(next);
		settings.set({ settings: next, broken: false });
	};
	return {
		clock,
		session,
		/** All that began, and one by its number; the last is -1. */
		runs,
		run: (at: number) => must(runs.at(at)),
		states,
		change,
		now: () => states.at(-1),
		renewal: () => renewal
	};
};
