import type { Carrier } from './carrier';
import { isWithin, resolve } from './exchange';
import { around, type Page } from './stand-in';
import { takeOver } from './take-over';

/**
 * Links that are downloads pass by service workers in some browsers: they are fetched, sealed, and
 * handed over from here.
 */
export const wrapDownloads = (page: Page, carrier: Carrier): void => {
	const { HTMLAnchorElement, HTMLElement, EventTarget } = page;
	const taken = new WeakSet<Event>();

	const keep = (event: Event): void => {
		if (event.type !== 'click' || taken.has(event)) return;
		const link = event
			.composedPath()
			.find((node) => node instanceof HTMLAnchorElement && node.hasAttribute('download'));
		if (!(link instanceof HTMLAnchorElement)) return;
		const url = resolve(page, link.href);
		if (!isWithin(page, 'GET', url)) return;
		taken.add(event);
		const name = link.download;
		takeOver(event, carrier.later, () => {
			carrier
				.more()
				.then(({ download }) => download(page, carrier, url, name))
				.catch(carrier.failed);
		});
	};
	/** First of all listeners, and last of them: the page's own may make it a download. */
	const watch = (root: EventTarget): void => {
		root.addEventListener('click', keep, { capture: true });
		root.addEventListener('click', keep);
	};
	watch(page);
	for (const [holder, name] of [
		[HTMLElement, 'click'],
		[EventTarget, 'dispatchEvent']
	] as const) {
		around(holder.prototype, name, (self, args, original) => {
			// Of what is outside the document the window does not hear.
			if (self instanceof HTMLElement && !self.isConnected) watch(self.getRootNode());
			return Reflect.apply(original, self, args);
		});
	}
};
