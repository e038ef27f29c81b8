/** So many addresses of images are kept in mind: an answer could bring thousands. */
const KEPT_MAX = 200;

/**
 * Hear of what the page's policy blocks (backend/cczoo_backend/content_policy.py).
 *
 * The app does not hear that such an image failed, and leaves it in its place: from 0.12 on it
 * would put words of its own there, without the address. It does hear of an image of its own origin
 * that led elsewhere: it has a picture of its own in place of that.
 */
export const watchViolations = (
	window: Window,
	hear: (violation: SecurityPolicyViolationEvent) => void
): void => {
	const blocked = new Set<string>();
	const isOutside = (address: string): boolean => !address.startsWith(`${window.location.origin}/`);
	window.addEventListener('securitypolicyviolation', (violation) => {
		const { effectiveDirective, blockedURI } = violation;
		const isImage = effectiveDirective === 'img-src' && isOutside(blockedURI);
		if (isImage && blocked.size < KEPT_MAX) blocked.add(blockedURI);
		hear(violation);
	});
	const failed = (event: Event): void => {
		const { target } = event;
		if (!(target instanceof HTMLImageElement)) return;
		const [address = ''] = (target.currentSrc || target.src).split('#', 1);
		if (blocked.has(address)) event.stopImmediatePropagation();
	};
	// Before the app's own listeners, which are at the image.
	window.addEventListener('error', failed, { capture: true });
};
