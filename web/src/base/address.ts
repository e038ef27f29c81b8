import { Problem } from './problem';

/** Names of this machine itself: what is sent there does not leave it. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * The address of a service in its one spelling, without a slash at the end; throws `bad-address`.
 * HTTPS, or plain HTTP to this machine itself.
 */
export const normaliseAddress = (text: string): string => {
	let url: URL;
	try {
		url = new URL(text.trim());
	} catch {
		throw new Problem('bad-address');
	}
	const { protocol, hostname } = url;
	const secure = protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
	if (!secure || url.username || url.password || url.search || url.hash) {
		throw new Problem('bad-address');
	}
	return (url.origin + url.pathname).replace(/\/+$/, '');
};
