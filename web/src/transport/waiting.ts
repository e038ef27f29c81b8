/** A carrier that stands in for the page's until that has come: requests wait for it. */
import type { Carrier } from './carrier';

/**
 * @param load Brings the page's; called for each request until it has come.
 * @param own What is there without it.
 */
export const waitingCarrier = (
	load: () => Promise<Carrier>,
	own: Pick<Carrier, 'fetch' | 'failed' | 'later'>
): Carrier => {
	let arrived: Carrier | undefined;
	const carrier = async () => (arrived ??= await load());
	return {
		open: async (signal) => (await carrier()).open(signal),
		isPlain: () => arrived?.isPlain() ?? false,
		more: async () => (await carrier()).more(),
		...own
	};
};
