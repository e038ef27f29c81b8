import { describe, expect, it } from 'vitest';
import { SealedError } from '../../src/transport/errors';
import { createSockets } from '../../src/transport/sockets';
import { meantFor } from '../../src/transport/statement';
import { fakeClock } from '../support/environment';

/** No socket is made here. */
const never = EventTarget as unknown as typeof WebSocket;

describe('a statement', () => {
	it('is said by a field of its own alone', () => {
		const fields = [
			['a', 'b'],
			['TEE-Statement', 'app’s']
		] as const;
		expect(meantFor('hash', fields)).toEqual([
			['a', 'b'],
			['tee-statement', 'hash']
		]);
	});

	it.each([
		['statement-changed', { 'tee-statement': 'changed' }],
		['sealed-refused', { 'tee-other': 'changed' }]
	])('that has changed opens no socket: %s', async (code, headers) => {
		const { later } = fakeClock();
		const sockets = createSockets(
			{
				later,
				api: '/api/v1',
				origin: 'https://chat.example',
				subtle: crypto.subtle,
				WebSocket: never
			},
			{
				request: () =>
					Promise.resolve(new Response('', { status: 409, headers: new Headers(headers) }))
			}
		);
		const error = await sockets.connect('/ws', []).catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(SealedError);
		expect(error).toMatchObject({ code });
	});
});
