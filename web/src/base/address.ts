import { Problem } from './problem';

/** Names of this machine itself: what is sent there does not leave it. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Characters of an address. */
const LENGTH_LIMIT = 2048;

/**
 * RFC 3986, less what readers differ on: user, query and fragment, other letters than ASCII's. The
 * rule and its vectors (tests/vectors/addresses.json) are quote_generator/service_address.py's too.
 */
const FORM =
	/^[ \t\r\n]*https?:\/\/([\w-]+(?:\.[\w-]+)*|\[[\da-f:]+\])(?::\d{1,5})?((?:\/(?:[\w.~!$&'()*+,;=:@-]|%[\da-f]{2})*)*)[ \t\r\n]*$/i;

/** An address that has only one reading, or null. */
const parse = (text: string): URL | null => {
	const [, host, path] = FORM.exec(text) ?? [];
	if (host === undefined || text.length > LENGTH_LIMIT) return null;
	try {
		const url = new URL(text);
		// Another spelling of an IP address, or a path that leads upwards, would name something else.
		const usual = url.hostname === host.toLowerCase() && url.pathname === (path || '/');
		return usual && url.port !== '0' ? url : null;
	} catch {
		return null;
	}
};

/**
 * The address of a service in its one spelling, without a slash at the end and without its
 * well-known path, which the text may have; throws `bad-address`.
 */
export const normaliseAddress = (text: string, wellKnown = ''): string => {
	const url = parse(text);
	if (!url) throw new Problem('bad-address');
	const whole = url.pathname.replace(/\/+$/, '');
	const path = wellKnown && whole.endsWith(wellKnown) ? whole.slice(0, -wellKnown.length) : whole;
	return url.origin + path.replace(/\/+$/, '');
};

/**
 * May a page ask there itself, and keys come from there: HTTPS, or plain HTTP to this machine?
 * Anybody on the way can change what another address answers.
 */
export const isPrivate = (address: string): boolean => {
	const { protocol, hostname } = new URL(address);
	return protocol === 'https:' || LOOPBACK.test(hostname);
};
