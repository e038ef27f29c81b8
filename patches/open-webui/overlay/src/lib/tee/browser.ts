import { WEBUI_API_BASE_URL } from '$lib/constants';
import type { Environment } from './environment';
import { Problem } from './problem';
import { createSession } from './session';
import { createSettings, MEMORY_KEY, STORAGE_KEY } from './settings';

/** The real outside world. The only place of this folder that reads globals. */
const environment: Environment = {
	fetch: (...args) => fetch(...args),
	now: () => Date.now(),
	random: (length) => crypto.getRandomValues(new Uint8Array(length)),
	subtle: globalThis.crypto?.subtle,
	memory: {
		// Asked for late: where storage is forbidden, even its name throws.
		getItem: (key) => localStorage.getItem(key),
		setItem: (key, value) => localStorage.setItem(key, value)
	},
	// Here and not where it is used: a script that imports another on demand carries a list of files.
	local: () => import('./local'),
	token: () => localStorage.token ?? '',
	api: WEBUI_API_BASE_URL,
	later: (ms, call) => {
		const timer = setTimeout(call, ms);
		return () => clearTimeout(timer);
	}
};

export const settings = createSettings(localStorage);

/** The verification comes as its own piece of code, and only when attestation is on. */
export const session = createSession(environment, settings, async (...args) => {
	const { attest } = await import('./later').catch(() => {
		throw new Problem('internal');
	});
	return attest(...args);
});

addEventListener('storage', ({ key }) => {
	if (key === STORAGE_KEY || key === null) settings.reload();
	if (key === MEMORY_KEY || key === null) session.restart();
});
addEventListener('offline', session.offline);
addEventListener('online', session.online);
document.addEventListener('visibilitychange', () => {
	if (document.visibilityState === 'visible') session.visible();
});
