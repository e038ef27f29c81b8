import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { LineRequest } from '../../src/transport/carrier';
import { SealedError } from '../../src/transport/errors';
import { Gate } from '../../src/transport/gate';
import { createCarrier, type Held } from '../../src/transport/line';
import * as more from '../../src/transport/more';
import { CANARY, ORIGIN, settle } from '../support/carrier';
import { fakeClock } from '../support/environment';

const kept = () => ({ read: () => [], write: () => undefined });
const unknown = () => Promise.reject(new SealedError('key-unknown'));

const hold = (policy = 'p') => ({
	channel: { request: vi.fn() },
	sockets: { connect: vi.fn(), end: vi.fn() },
	policy
});
let gate: Gate<Held>;
let doubt: ReturnType<typeof vi.fn<(held: Held) => void>>;
const mind = vi.fn<(request: LineRequest) => Promise<void>>(() => Promise.resolve());
let jar: { header: ReturnType<typeof vi.fn>; take: ReturnType<typeof vi.fn> };
let carrier: ReturnType<typeof createCarrier>;
let held: ReturnType<typeof hold>;
/** The browser's own. */
let plain: ReturnType<typeof vi.fn<typeof fetch>>;

beforeEach(() => {
	plain = vi.fn<typeof fetch>(() => Promise.resolve(new Response('plain')));
	const { later } = fakeClock();
	gate = new Gate<Held>({ later, failures: kept(), warnings: kept(), say: (reason) => reason });
	jar = { header: vi.fn(() => Promise.resolve('a=b')), take: vi.fn(() => Promise.resolve()) };
	doubt = vi.fn(() => {
		gate.update({ key: 'pending', channel: null });
	});
	carrier = createCarrier({
		gate,
		jar,
		origin: ORIGIN,
		doubt,
		mind,
		later,
		fetch: plain,
		more: () => Promise.resolve(more),
		failed: () => undefined
	});
	held = hold();
	held.channel.request.mockImplementation(() => Promise.resolve(new Response('answer')));
	gate.update({ key: 'proved', standing: 'passed', known: true, channel: held });
});

const ask = async (cookies = true) => {
	const line = await carrier.open();
	return line?.send({
		method: 'POST',
		url: `${ORIGIN}/x/y?q`,
		fields: [['a', 'b']],
		body: new TextEncoder().encode(CANARY),
		cookies
	});
};

describe('a line', () => {
	it('takes cookies along, and keeps those that come', async () => {
		expect(await (await ask())?.text()).toBe('answer');
		const [[request]] = held.channel.request.mock.calls as [
			[{ fields: unknown; onCookies: (lines: string[]) => unknown }]
		];
		expect(request.fields).toEqual([
			['a', 'b'],
			['cookie', 'a=b']
		]);
		expect(request).not.toHaveProperty('cookies');
		await request.onCookies(['c=d']);
		expect(jar.header.mock.calls).toEqual([['/x/y', 'p']]);
		expect(jar.take.mock.calls).toEqual([['/x/y', ['c=d'], 'p']]);
	});

	it('leaves them where none are wanted', async () => {
		await ask(false);
		expect(jar.header).not.toHaveBeenCalled();
		expect(held.channel.request).toHaveBeenCalledWith(
			expect.not.objectContaining({ onCookies: expect.anything() as unknown })
		);
	});

	it('is there for plain requests where there is none', async () => {
		gate.update({ key: 'none', known: false, enforcement: 'off', channel: null });
		expect([await carrier.open(), carrier.isPlain()]).toEqual([null, true]);
		gate.update({ key: 'proved', channel: held });
		expect(carrier.isPlain()).toBe(false);
	});

	it('tries once more under the next key', async () => {
		held.channel.request.mockImplementation(unknown);
		const answer = ask();
		await settle();
		expect(doubt.mock.calls).toEqual([[held]]);
		const next = hold('q');
		next.channel.request.mockResolvedValueOnce(new Response('next'));
		gate.update({ key: 'proved', channel: next });
		expect(await (await answer)?.text()).toBe('next');
		expect(jar.header.mock.calls.at(-1)).toEqual(['/x/y', 'q']);
	});

	it('tries no third time, and never plain', async () => {
		held.channel.request.mockImplementation(unknown);
		const answer = ask();
		await settle();
		const next = hold();
		next.channel.request.mockImplementation(unknown);
		gate.update({ key: 'proved', channel: next });
		await expect(answer).rejects.toMatchObject({ code: 'key-unknown' });
		expect(next.channel.request).toHaveBeenCalledTimes(1);

		const other = hold();
		other.channel.request.mockImplementation(unknown);
		gate.update({ channel: other });
		const again = ask();
		await settle();
		gate.update({ key: 'none', known: false, enforcement: 'off', channel: null });
		await expect(again).rejects.toMatchObject({ code: 'key-unknown' });
	});

	describe('under a statement', () => {
		const stated = (statement: string) => ({ ...hold(), statement });
		const CHANGED = { status: 409, headers: { 'tee-statement': 'changed' } };
		const fieldsOf = ({ channel: { request } }: ReturnType<typeof hold>, at = 0) =>
			(request.mock.calls[at] as [{ fields: [string, string][] }])[0].fields;
		const refuse = () => Promise.resolve(new Response('', CHANGED));
		let first: ReturnType<typeof stated>;
		beforeEach(() => {
			first = stated('one');
			gate.update({ channel: first });
		});

		it('says which one a request is meant for, whatever the app says', async () => {
			first.channel.request.mockResolvedValue(new Response('answer'));
			const line = await carrier.open();
			const fields: [string, string][] = [['Tee-Statement', 'other']];
			await line?.send({ method: 'GET', url: `${ORIGIN}/x`, fields, cookies: false });
			expect(fieldsOf(first)).toEqual([['tee-statement', 'one']]);
		});

		it('repeats once under the next verdict what was meant for another, weighed anew', async () => {
			mind.mockClear();
			first.channel.request.mockImplementation(refuse);
			const answer = ask();
			await settle();
			expect(doubt.mock.calls).toEqual([[first]]);
			const next = stated('two');
			next.channel.request.mockImplementation(refuse);
			gate.update({ key: 'proved', channel: next });
			await expect(answer).rejects.toMatchObject({ code: 'statement-changed' });
			expect(fieldsOf(next)).toContainEqual(['tee-statement', 'two']);
			expect(next.channel.request).toHaveBeenCalledTimes(1);
			expect(mind).toHaveBeenCalledTimes(2);
		});

		it('opens sockets for it', async () => {
			first.sockets.connect.mockRejectedValue(new SealedError('statement-changed'));
			const line = await carrier.open();
			line?.socket('/ws/socket.io/', []);
			await settle();
			expect(doubt.mock.calls).toEqual([[first]]);
			const next = stated('two');
			next.sockets.connect.mockReturnValue(new Promise(() => undefined));
			gate.update({ key: 'proved', channel: next });
			await settle();
			const [[, , fields]] = next.sockets.connect.mock.calls as [[string, string[], unknown]];
			expect(fields).toContainEqual(['tee-statement', 'two']);
		});

		it.each([
			['another status', new Response('app', { ...CHANGED, status: 400 })],
			['no such field', Response.json({ code: 'statement-changed' }, { status: 409 })]
		])('passes on the app’s own answer with %s', async (_what, answer) => {
			const text = await answer.clone().text();
			first.channel.request.mockResolvedValue(answer);
			expect(await (await ask())?.text()).toBe(text);
			expect(doubt).not.toHaveBeenCalled();
		});
	});

	it('sends nothing that may not go by what it says', async () => {
		mind.mockRejectedValueOnce(new TypeError('no'));
		await expect(ask()).rejects.toThrow('no');
		expect(held.channel.request).not.toHaveBeenCalled();
	});

	it.each([
		['with', true],
		['without', false]
	])('does not repeat what failed in another way, %s cookies', async (_, cookies) => {
		held.channel.request.mockRejectedValue(new SealedError('sealed-broken'));
		await expect(ask(cookies)).rejects.toMatchObject({ code: 'sealed-broken' });
		expect([doubt.mock.calls, held.channel.request.mock.calls.length]).toEqual([[], 1]);
		expect(plain).not.toHaveBeenCalled();
	});

	it('connects sockets with cookies and origin, once more under the next key', async () => {
		held.sockets.connect.mockImplementation(unknown);
		const line = await carrier.open();
		const socket = line?.socket('/ws/socket.io/?a', ['p']);
		await settle();
		const next = hold();
		next.sockets.connect.mockReturnValue(new Promise(() => undefined));
		gate.update({ key: 'proved', channel: next });
		await settle();
		const fields = [
			['origin', ORIGIN],
			['cookie', 'a=b']
		];
		expect(next.sockets.connect.mock.calls).toEqual([['/ws/socket.io/?a', ['p'], fields]]);
		expect([jar.header.mock.calls[0], socket?.readyState]).toEqual([['/ws/socket.io/', 'p'], 0]);
	});

	it('ends the sockets of every key that a verdict was about, and no others', async () => {
		await carrier.open();
		const next = hold();
		gate.update({ channel: next });
		await carrier.open();
		expect([held.sockets.end, next.sockets.end].map((end) => end.mock.calls.length)).toEqual([
			0, 0
		]);
		gate.update({ standing: 'pending' });
		expect([held.sockets.end, next.sockets.end].map((end) => end.mock.calls.length)).toEqual([
			1, 1
		]);
	});
});
