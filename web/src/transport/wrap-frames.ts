import type { Page } from './stand-in';

/** An address, of which there is none yet, or a script's document without one. */
const BLANK = /^about:(blank|srcdoc)/;

/** Whether a window has no address; of another origin's that cannot be read, and it has one. */
const isBlank = (inner: Window): boolean => {
	try {
		return BLANK.test(inner.location.href);
	} catch (error) {
		if (error instanceof Error && error.name === 'SecurityError') return false;
		throw error;
	}
};

/**
 * Frames without an address are of this origin and have functions of their own, as their maker may
 * know: whoever gets at one gets it wrapped, or an error. Those that show what comes from outside have no origin of
 * this page (guard/frames.ts), and those with an address are the worker's.
 */
export const wrapFrames = (page: Page, wrap: (inner: Page) => void): void => {
	const wrapped = new WeakSet<Window>([page]);
	const reach = (inner: Window | null | undefined): void => {
		if (!inner || wrapped.has(inner) || !isBlank(inner)) return;
		wrap(inner as Page);
		wrapped.add(inner);
	};
	const { prototype } = page.HTMLIFrameElement;
	for (const name of ['contentWindow', 'contentDocument'] as const) {
		const native = Object.getOwnPropertyDescriptor(prototype, name);
		const get = (native && Reflect.get(native, 'get')) as ((this: unknown) => unknown) | undefined;
		if (!get) continue;
		Object.defineProperty(prototype, name, {
			...native,
			get(this: HTMLIFrameElement): unknown {
				const found = get.call(this);
				// Nothing is read of a window here: another origin's lets nobody.
				const view =
					name === 'contentWindow'
						? (found as Window | null)
						: (found as Document | null)?.defaultView;
				reach(view);
				return found;
			}
		});
	}
};
