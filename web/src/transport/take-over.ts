/** What a browser does after an event, done in another way. */

/**
 * Keep the browser from its own way, now and whatever follows, and go another unless the page's code
 * keeps it from any, as it may later in the same event.
 */
export const takeOver = (
	event: Event,
	later: (ms: number, call: () => void) => () => void,
	act: () => void
): void => {
	let prevented = event.defaultPrevented;
	event.preventDefault();
	Object.defineProperties(event, {
		preventDefault: {
			value: () => {
				prevented = true;
			}
		},
		defaultPrevented: { get: () => prevented }
	});
	later(0, () => {
		if (!prevented) act();
	});
};
