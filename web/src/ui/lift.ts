/**
 * Show an element over everything else of the page, whatever the app has stacked how; for one with
 * `popover="manual"`. A browser that cannot do that shows it where its own style puts it.
 */
export const lift = (element: HTMLElement): void => {
	const able: Partial<HTMLElement> = element;
	if (able.showPopover && !element.matches(':popover-open')) element.showPopover();
};
