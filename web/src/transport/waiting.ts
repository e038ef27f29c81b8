/** A carrier that stands in for the page's until that has come: requests wait for it. */
import type { Carrier } from './carrier';

/**
 * @param load Brings the page's; called for each request until it has come.
 * @param own The browser's `fetch`, for what is outside.
 */
export const waitingCarrier = (
	load: () => Promise<Carrier>,
	own: typeof fetch,
	later: Carrier['later']
): Carrier => {
	let arrived: Carrier | undefined;
	const carrier = async () => (arrived ??= await load());
	return {
		open: async (signal) => (await carrier()).open(signal),
		isPlain: () => arrived?.isPlain() ?? false,
		fetch: own,
		more: async () => (await carrier()).more(),
		failed(error) {
			console.warn('A sealed request came to nothing.', error);
		},
		later
	};
};
