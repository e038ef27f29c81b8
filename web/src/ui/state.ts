import type { Status } from '../base/checks';
import type { TextKey } from '../i18n/en';
import { judgeModel } from '../policy/notes';
import type { State } from '../session/session';

/** A state by one word: the badge's `data-state`. */
export type StateName = 'off' | 'pending' | Status;

/** Is it known of the model in use that it may not be inside? */
const isElsewhere = (state: State, model: string | null): boolean => {
	const workload = state.kind === 'done' ? state.verdict.workload : undefined;
	return model !== null && !!workload && judgeModel(workload.sections, model).level !== 'ok';
};

/** @param model The model in use, where one is. */
export const stateOf = (state: State, model: string | null = null): StateName => {
	const name = state.kind === 'done' ? state.verdict.status : state.kind;
	return name === 'green' && isElsewhere(state, model) ? 'amber' : name;
};

/** The state in words. */
export const labelOf = (state: State, model: string | null = null): TextKey => {
	const name = stateOf(state, model);
	const simulated =
		state.kind === 'done' &&
		name === 'amber' &&
		state.verdict.checks.some(({ id, code }) => id === 'not-simulated' && code === 'simulated');
	return simulated ? 'state.simulated' : `state.${name}`;
};
