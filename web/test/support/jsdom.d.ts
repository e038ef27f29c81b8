/** What tests use of jsdom, whose own types are not installed. */
declare module 'jsdom' {
	export class JSDOM {
		constructor(html?: string, options?: { url?: string });
		readonly window: Window & typeof globalThis;
	}
}
