/** Every way by which the page's code asks something of this origin. */
import type { Carrier } from './carrier';
import type { Page } from './stand-in';
import { wrapBeacon } from './wrap-beacon';
import { wrapDownloads } from './wrap-downloads';
import { wrapEventSource } from './wrap-event-source';
import { wrapFetch } from './wrap-fetch';
import { wrapForms } from './wrap-forms';
import { wrapFrames } from './wrap-frames';
import { wrapSocket } from './wrap-socket';
import { wrapXhr } from './wrap-xhr';

const WAYS = [
	wrapFetch,
	wrapXhr,
	wrapSocket,
	wrapEventSource,
	wrapBeacon,
	wrapForms,
	wrapDownloads
];

/** From now on everything that this page's code asks of its origin goes by the carrier. */
export const wrap = (page: Page, carrier: Carrier): void => {
	for (const way of WAYS) way(page, carrier);
	wrapFrames(page, (inner) => {
		wrap(inner, carrier);
	});
};
