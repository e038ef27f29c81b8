import { guardFrames } from './frames';
import { guardLinks } from './links';
import { guardMarkup } from './markup';

/**
 * Keep what a model says, and any other text from outside, from running in this page's origin; to be
 * called before the app runs. Scripts of artifacts go on running, in frames with an origin of their
 * own. docs/threat-model.md says which ways there are, and which are left.
 *
 * Resolves when the app first asked for this page's origin in such a frame.
 */
export const guard = (window: Window & typeof globalThis): Promise<void> =>
	new Promise((resolve) => {
		const settle = guardFrames(window, (address) => window.fetch(address), resolve);
		guardMarkup(window, settle);
		guardLinks(window);
	});
