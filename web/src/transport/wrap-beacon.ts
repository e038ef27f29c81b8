import type { Carrier } from './carrier';
import { exchange, isWithin, read, resolve } from './exchange';
import { newRequest } from './multipart';
import { around, type Page } from './stand-in';

/** Bytes that a beacon may have (Fetch standard, keepalive). */
const BEACON_MAX = 64 * 1024;

/** Bytes, or characters, as far as it can be told at once. */
const lengthOf = (data: unknown): number => {
	if (typeof data === 'string') return data.length;
	const { byteLength, size } = (data ?? {}) as { byteLength?: number; size?: number };
	return byteLength ?? size ?? 0;
};

/**
 * Beacons to this origin go sealed, as far as the page lives: who leaves it while one waits at the
 * gate loses it.
 */
export const wrapBeacon = (page: Page, carrier: Carrier): void => {
	const { Navigator } = page;
	around(Navigator.prototype, 'sendBeacon', (self, [address, data], original) => {
		const text = String(address);
		const url = resolve(page, text);
		if (!isWithin(page, 'POST', url)) {
			return Reflect.apply(original, self, [text, data]);
		}
		if (lengthOf(data) > BEACON_MAX) return false;
		const body = (data ?? null) as BodyInit | null;
		const request = newRequest(page, url, { method: 'POST', body, keepalive: true });
		const send = async () => {
			const asked = await read(page, request);
			const line = await carrier.open();
			if (line) await exchange(page, carrier, line, asked);
			else Reflect.apply(original, self, [url.href, data]);
		};
		send().catch(() => undefined); // nobody hears of a beacon
		return true;
	});
};
