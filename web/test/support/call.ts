/** One call of a pretended `fetch`. */
export interface Call {
	url: string;
	init: RequestInit;
}
