/** What the wrappers need on demand: a page's start does not carry it. */
export { readEvents } from './events';
export { download, post } from './handing';
