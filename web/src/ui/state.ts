import { headline, type Status } from '../base/checks';
import type { TextKey } from '../i18n/en';
import { judgeModel } from '../policy/notes';
import type { State } from '../session/session';

/** A state by one word: the badge's `data-state`. */
export type StateName = 'off' | 'pending' | Status;

/** A state as the badge draws it, its `data-kind`: red that says nothing of the server is apart. */
export type Kind = 'off' | 'checking' | 'verified' | 'warning' | 'failed' | 'unavailable';

const KINDS = {
	off: 'off',
	pending: 'checking',
	green: 'verified',
	amber: 'warning',
	red: 'failed'
} as const;

/** Is it known of the model in use that it may not be inside? */
const isElsewhere = (state: State, model: string | null): boolean => {
	const workload = state.kind === 'done' ? state.verdict.workload : undefined;
	return model !== null && !!workload && judgeModel(workload.sections, model).level !== 'ok';
};

/** Could nothing be checked, so that nothing speaks against the server? */
const isUnavailable = (state: State): boolean => {
	if (state.kind !== 'done' || state.verdict.status !== 'red') return false;
	const { wait, checks } = state.verdict;
	return wait !== undefined || headline(checks)?.code === 'offline';
};

/** @param model The model in use, where one is. */
export const stateOf = (state: State, model: string | null = null): StateName => {
	const name = state.kind === 'done' ? state.verdict.status : state.kind;
	return name === 'green' && isElsewhere(state, model) ? 'amber' : name;
};

/** @param model The model in use, where one is. */
export const kindOf = (state: State, model: string | null = null): Kind =>
	isUnavailable(state) ? 'unavailable' : KINDS[stateOf(state, model)];

/** The state in words. */
export const labelOf = (state: State, model: string | null = null): TextKey => {
	if (isUnavailable(state)) return 'state.unavailable';
	const name = stateOf(state, model);
	const simulated =
		state.kind === 'done' &&
		name === 'amber' &&
		state.verdict.checks.some(({ id, code }) => id === 'not-simulated' && code === 'simulated');
	return simulated ? 'state.simulated' : `state.${name}`;
};
