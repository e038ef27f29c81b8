import type { Status } from '../base/checks';
import type { TextKey } from '../i18n/en';
import type { State } from '../session/session';

/** A state by one word: the badge's `data-state`. */
export type StateName = 'off' | 'pending' | Status;

export const stateOf = (state: State): StateName =>
	state.kind === 'done' ? state.verdict.status : state.kind;

/** The state in words. */
export const labelOf = (state: State): TextKey => {
	const name = stateOf(state);
	const simulated =
		state.kind === 'done' &&
		name === 'amber' &&
		state.verdict.checks.some(({ id, code }) => id === 'not-simulated' && code === 'simulated');
	return simulated ? 'state.simulated' : `state.${name}`;
};
