import { asProblem, Problem } from '../../src/base/problem';

/** The problem that something ends in, undefined where there is none; all else is a crash. */
export const problemOf = (run: () => unknown): Problem | undefined => {
	try {
		run();
		return undefined;
	} catch (error) {
		if (error instanceof Problem) return error;
		throw error;
	}
};

/** The same of something that takes its time. What is no problem yet becomes one, as in a run. */
export const problemIn = async (run: () => Promise<unknown>): Promise<Problem | undefined> => {
	try {
		await run();
		return undefined;
	} catch (error) {
		return asProblem(error);
	}
};
