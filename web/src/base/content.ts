/**
 * What holds text of a model or of other people, which open-webui shows as HTML: a place or an
 * anchor in there is not the app's. The classes are those of open-webui 0.5 to 0.12, as whole words
 * (later versions write some of them into the classes of other elements as well).
 */
const CONTENT = [
	'#messages-container',
	'#full-messages-container',
	'.markdown-prose',
	'.markdown-prose-sm',
	'.markdown-prose-xs',
	'.prose',
	'.marked',
	'[contenteditable]'
].join();

/** Did it come with such text? */
export const isContent = (element: Element): boolean => element.closest(CONTENT) !== null;
