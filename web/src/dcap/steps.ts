import { Problem } from '../base/problem';

/** A step of the verification that failed; `detail` begins with the stable word of its reason. */
export const refuse = (detail: string): never => {
	throw new Problem('internal', detail);
};

/** A detail that begins with a reason's stable word. */
const WORDED = /^([a-z]+(-[a-z]+)+|revoked)(:|$)/;

/** Run a step; a failure that brings no reason of its own gets this one. */
export const reasoned = async <T>(reason: string, run: () => T | Promise<T>): Promise<T> => {
	try {
		return await run();
	} catch (error) {
		if (!(error instanceof Problem) || WORDED.test(error.detail)) throw error;
		return refuse(`${reason}: ${error.detail}`);
	}
};

/**
 * The results of steps that run side by side. Of several failures the first in the order of the
 * steps is told, whichever came first.
 */
export const inOrder = async <T extends readonly unknown[] | []>(
	steps: T
): Promise<{ -readonly [At in keyof T]: Awaited<T[At]> }> => {
	for (const step of await Promise.allSettled(steps)) {
		if (step.status === 'rejected') throw step.reason;
	}
	return Promise.all(steps);
};
