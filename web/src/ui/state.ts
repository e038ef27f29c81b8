import { headline, type Status } from '../base/checks';
import type { ReasonCode } from '../base/reasons';
import { judgeModel } from '../policy/notes';
import type { Verdict } from '../session/attest';
import type { State } from '../session/session';

/** A state as it is told: texts are named for it. */
export type Told = StateName | 'changed' | 'simulated' | 'unavailable';

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
export const isUnavailable = ({ status, wait, checks }: Verdict): boolean =>
	status === 'red' && (wait !== undefined || headline(checks)?.code === 'offline');

/** Codes of what is not as this browser remembers it. */
const CHANGED: readonly (ReasonCode | undefined)[] = ['changed', 'workload-changed'];

/** @param model The model in use, where one is. */
export const stateOf = (state: State, model: string | null = null): StateName => {
	const name = state.kind === 'done' ? state.verdict.status : state.kind;
	return name === 'green' && isElsewhere(state, model) ? 'amber' : name;
};

/** @param model The model in use, where one is. */
export const kindOf = (state: State, model: string | null = null): Kind =>
	state.kind === 'done' && isUnavailable(state.verdict)
		? 'unavailable'
		: KINDS[stateOf(state, model)];

/** What a verdict below green, and not red, is in words: the more telling, the earlier. */
const amberLabel = (checks: Verdict['checks']): Told => {
	if (checks.some(({ id, code }) => id === 'not-simulated' && code === 'simulated')) {
		return 'simulated';
	}
	return checks.some(({ code }) => CHANGED.includes(code)) ? 'changed' : 'amber';
};

/** As what a state is told. */
export const toldAs = (state: State, model: string | null = null): Told => {
	if (state.kind === 'done' && isUnavailable(state.verdict)) return 'unavailable';
	const name = stateOf(state, model);
	if (state.kind !== 'done' || name !== 'amber') return name;
	return amberLabel(state.verdict.checks);
};

/** The state in words. */
export const labelOf = (state: State, model: string | null = null): `state.${Told}` =>
	`state.${toldAs(state, model)}`;
