import type { ReadableAtom } from 'nanostores';
import type { State } from './session';

/**
 * Write each verdict into the browser's console, once, as one object: what a developer would ask for,
 * and no secret.
 */
export const tellConsole = (
	state: Pick<ReadableAtom<State>, 'subscribe'>,
	console: Pick<Console, 'info'>
): void => {
	let told: unknown;
	state.subscribe((now) => {
		if (now.kind !== 'done' || now.verdict === told) return;
		told = now.verdict;
		const { status, checks, choice, fields, at, expires, changes } = now.verdict;
		console.info('Trust verification', {
			status,
			provider: choice?.provider,
			service: choice?.address,
			checked: new Date(at),
			expires: new Date(expires),
			checks,
			measurements: fields,
			changes
		});
	});
};
