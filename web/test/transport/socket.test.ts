import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createSockets, type SocketEnvironment } from '../../src/transport/sockets';
import { base64url, type Bytes, flipped } from '../support/bytes';
import { fakeClock, settle } from '../support/environment';
import { must } from '../support/must';
import { openChannel, ORIGIN } from '../support/sealed-channel';
import type { InnerAnswer } from '../support/sealed-server';
import {
	CloseEventDouble,
	closing,
	farEnd,
	OuterSocket,
	record,
	type SocketRecord,
	TYPES
} from '../support/sealed-socket';

const PATH = '/ws/socket.io/?EIO=4&transport=websocket';
/** The name of what is thrown. */
const thrownBy = (act: () => void): string => {
	try {
		act();
	} catch (error) {
		return (error as Error).name;
	}
	return 'nothing';
};

const OPENING = record(TYPES.open, '');

beforeEach(() => {
	OuterSocket.made = [];
	vi.stubGlobal('CloseEvent', CloseEventDouble);
});
afterEach(() => {
	vi.unstubAllGlobals();
});

/** A socket that connects, and the other end of it. */
const connecting = async (protocols: string[] = [], answer?: InnerAnswer) => {
	const secret = randomBytes(64);
	const ticket = { ticket: base64url(randomBytes(16)), secret: base64url(secret), expires_in: 30 };
	const { channel, server } = await openChannel({
		handle: () => answer ?? { body: [JSON.stringify(ticket)] }
	});
	const clock = fakeClock();
	const env: SocketEnvironment = {
		api: '/api/v1',
		origin: ORIGIN,
		subtle: crypto.subtle,
		later: clock.later,
		WebSocket: OuterSocket as unknown as typeof WebSocket
	};
	const sockets = createSockets(env, channel);
	const socket = sockets.open(PATH, protocols, [['cookie', 'token=1']]);
	const heard: string[] = [];
	const messages: unknown[] = [];
	socket.addEventListener('open', () => heard.push('open'));
	socket.addEventListener('error', () => heard.push('error'));
	socket.addEventListener('message', (event) => {
		const { data } = event as MessageEvent<unknown>;
		messages.push(data);
		heard.push(typeof data === 'string' ? `message ${data.slice(0, 9)}` : 'message of bytes');
	});
	socket.addEventListener('close', (event) => {
		const { code, reason, wasClean } = event as CloseEvent;
		heard.push(`close ${code} ${reason} ${wasClean ? 'clean' : 'broken'}`);
	});
	return { socket, sockets, heard, messages, far: farEnd(secret), server, clock, ticket };
};

/** One that is open. */
const opened = async (protocols: string[] = [], first = OPENING) => {
	const made = await connecting(protocols);
	await settle(() => OuterSocket.made.length > 0);
	const outer = must(OuterSocket.made[0]);
	outer.hear(await made.far.seal([first]));
	await settle(() => made.heard.length > 0);
	return { ...made, outer };
};

/** What the far end has heard until there are so many records. */
const records = async (
	{ outer, far }: { outer: OuterSocket; far: ReturnType<typeof farEnd> },
	count: number
) => {
	const found: (SocketRecord & { isFinal: boolean })[] = [];
	await settle(() => outer.sent.length > 0);
	while (found.length < count) {
		await settle(() => outer.sent.length > 0);
		const { isFinal, records: some } = await far.open(must(outer.sent.shift()));
		found.push(...some.map((one) => ({ ...one, isFinal })));
	}
	return found;
};

describe('a socket', () => {
	it('asks for a ticket and opens', async () => {
		const { socket, heard, server, outer, ticket } = await opened(['a', 'b'], record(4, 'b'));
		expect(must(server.seen[0])).toMatchObject({ method: 'POST', path: '/api/v1/tee/ws' });
		expect(JSON.parse(must(server.seen[0]).body.toString())).toEqual({
			path: PATH,
			protocols: ['a', 'b']
		});
		expect(new Map(must(server.seen[0]).fields).get('cookie')).toBe('token=1');
		expect(String(outer.url)).toBe(`wss://chat.example/api/v1/tee/ws/${ticket.ticket}`);
		expect(socket).toMatchObject({
			url: `wss://chat.example${PATH}`,
			readyState: 1,
			protocol: 'b',
			extensions: ''
		});
		expect(heard).toEqual(['open']);
	});

	it('hears messages in their order', async () => {
		const { heard, messages, socket, outer, far } = await opened();
		socket.binaryType = 'arraybuffer';
		const frames = [
			await far.seal([record(TYPES.text, 'one'), record(TYPES.binary, Buffer.of(7))]),
			await far.seal([record(TYPES.textPart, Buffer.of(0xe4))]),
			await far.seal([record(TYPES.text, Buffer.of(0xb8, 0xad))]),
			await far.seal([], false, 200_000),
			await far.seal([record(TYPES.text, '')])
		];
		for (const frame of frames) outer.hear(frame);
		await settle(() => messages.length === 4);
		expect(heard).toEqual(['open', 'message one', 'message of bytes', 'message 中', 'message ']);
		expect(messages[1]).toEqual(Uint8Array.of(7).buffer);
	});

	it('gives bytes as a Blob by itself', async () => {
		const { messages, outer, far } = await opened();
		outer.hear(await far.seal([record(TYPES.binary, 'abc')]));
		await settle(() => messages.length === 1);
		expect(await (messages[0] as Blob).text()).toBe('abc');
	});

	it('sends in the order of the calls, what comes together in one frame', async () => {
		const made = await opened();
		const { socket, outer } = made;
		const bytes = Buffer.from('bytes');
		socket.send('one');
		socket.send(new Blob(['two']));
		socket.send(bytes);
		bytes.fill(0);
		socket.send(new Uint8Array([1, 2]).buffer);
		expect(socket.bufferedAmount).toBe(3 + 3 + 5 + 2);
		const found = await records(made, 4);
		expect(found.map(({ type, data }) => `${type} ${data.toString('latin1')}`)).toEqual([
			'1 one',
			'2 two',
			'2 bytes',
			'2 \x01\x02'
		]);
		expect(outer.sent.length).toBe(0);
		await settle(() => socket.bufferedAmount === 0);
	});

	it('lets nothing overtake what takes longer to read', async () => {
		const made = await opened();
		let give: (bytes: ArrayBuffer) => void = () => undefined;
		const slow = new Blob(['slow']);
		slow.arrayBuffer = () =>
			new Promise((resolve) => {
				give = resolve;
			});
		made.socket.send(slow);
		await Promise.resolve(); // what comes now is not of the same moment
		await Promise.resolve();
		made.socket.send('fast');
		for (let turn = 0; turn < 20; turn += 1) await new Promise((go) => setImmediate(go));
		expect(made.outer.sent).toEqual([]);
		give(Uint8Array.from(Buffer.from('slow')).buffer);
		const found = await records(made, 2);
		expect(found.map(({ data }) => data.toString())).toEqual(['slow', 'fast']);
	});

	it('shows lengths by buckets only', async () => {
		const { socket, outer } = await opened();
		for (const length of [0, 1, 50, 230]) {
			const before = outer.sent.length;
			socket.send('a'.repeat(length));
			await settle(() => outer.sent.length > before);
		}
		expect(outer.sent.map(({ length }) => length)).toEqual([256, 256, 256, 256]);
	});

	it('cuts long messages into parts', async () => {
		const made = await opened();
		const long = randomBytes(200_000);
		made.socket.send(long);
		const found = await records(made, 4);
		expect(found.map(({ type }) => type)).toEqual([6, 6, 6, 2]);
		expect(Buffer.concat(found.map(({ data }) => data)).equals(long)).toBe(true);
	});

	it('breaks over a message that is too long', async () => {
		const { socket, heard } = await opened();
		socket.send(new Uint8Array((64 << 20) + 1));
		await settle(() => heard.length === 3);
		expect(heard).toEqual(['open', 'error', 'close 1006  broken']);
	});
});

describe('its end', () => {
	it('by the page', async () => {
		const made = await opened();
		const { socket, heard, outer, far } = made;
		socket.send('last words');
		socket.close(3001, 'enough');
		socket.send('too late');
		expect(socket.readyState).toBe(2);
		const found = await records(made, 2);
		expect(found.at(-1)).toMatchObject({ ...closing(3001, 'enough'), isFinal: true });
		outer.hear(await far.seal([record(TYPES.text, 'unheard'), closing(3001, 'enough')], true));
		await settle(() => socket.readyState === 3);
		expect(heard).toEqual(['open', 'close 3001 enough clean']);
		await settle(() => outer.closed === null);
		expect(outer.sent).toEqual([]);
	});

	it('by the page, without a code', async () => {
		const made = await opened();
		made.socket.close();
		expect((await records(made, 1))[0]).toMatchObject({ ...closing(1005), isFinal: true });
	});

	it('by the server', async () => {
		const made = await opened();
		const { socket, heard, outer, far } = made;
		outer.hear(await far.seal([record(TYPES.text, 'bye'), closing(1012, 'restart')], true));
		await settle(() => socket.readyState === 3);
		expect(heard).toEqual(['open', 'message bye', 'close 1012 restart clean']);
		expect((await records(made, 1))[0]).toMatchObject({ type: 3, isFinal: true });
		outer.drop();
		socket.send('unheard');
		expect(heard.length).toBe(3);
	});

	it('that the server does not answer', async () => {
		const { socket, heard, clock } = await opened();
		socket.close();
		clock.advance(60_000);
		expect(heard).toEqual(['open', 'error', 'close 1006  broken']);
	});

	it('before it is open', async () => {
		const { socket, heard } = await connecting();
		expect(
			thrownBy(() => {
				socket.send('too early');
			})
		).toBe('InvalidStateError');
		socket.close();
		expect(heard).toEqual([]);
		await settle(() => heard.length === 2);
		expect(heard).toEqual(['error', 'close 1006  broken']);
		await settle(() => OuterSocket.made[0]?.closed !== undefined);
	});

	it('with the verdict, at once', async () => {
		const { sockets, heard, outer } = await opened();
		sockets.end();
		expect(heard).toEqual(['open', 'error', 'close 1006  broken']);
		expect(outer.closed).toBe(4008);
		const next = sockets.open(PATH, []);
		await settle(() => next.readyState === 3);
		expect(OuterSocket.made.length).toBe(1);
	});

	it('with a code or a reason that none may have', async () => {
		const { socket } = await opened();
		for (const code of [0, 1001, 1005, 2999, 5000, NaN]) {
			expect(
				thrownBy(() => {
					socket.close(code);
				})
			).toBe('InvalidAccessError');
		}
		expect(
			thrownBy(() => {
				socket.close(1000, 'ä'.repeat(62));
			})
		).toBe('SyntaxError');
		expect(socket.readyState).toBe(1);
	});
});

describe('a socket that nobody opens', () => {
	it.each<[string, InnerAnswer]>([
		['refused', { status: 503 }],
		['without a ticket', { body: ['{}'] }],
		['with a ticket that is none', { body: [JSON.stringify({ ticket: '../x', secret: 'AA' })] }],
		['with a short secret', { body: [JSON.stringify({ ticket: 'AAAA', secret: 'AAAA' })] }],
		['without JSON', { body: ['<p>'] }]
	])('%s', async (_, answer) => {
		const { socket, heard } = await connecting([], answer);
		await settle(() => socket.readyState === 3);
		expect(heard).toEqual(['error', 'close 1006  broken']);
		expect(OuterSocket.made).toEqual([]);
	});

	it('for too long', async () => {
		const { heard, clock } = await connecting();
		await settle(() => OuterSocket.made.length > 0 && clock.waiting() > 0);
		clock.advance(120_000);
		expect(heard).toEqual(['error', 'close 1006  broken']);
	});

	it('whose outer one goes', async () => {
		const { heard } = await connecting();
		await settle(() => OuterSocket.made.length > 0);
		await settle(() => must(OuterSocket.made[0]).binaryType === 'arraybuffer');
		must(OuterSocket.made[0]).drop();
		await settle(() => heard.length === 2);
		expect(heard).toEqual(['error', 'close 1006  broken']);
	});
});

describe('a hostile proxy', () => {
	type Far = ReturnType<typeof farEnd>;
	const text = (said: string) => record(TYPES.text, said);

	it.each<[string, (far: Far) => Promise<(Uint8Array | string)[]>]>([
		['repeats a frame', async (far) => [await far.seal([text('a')])].flatMap((one) => [one, one])],
		[
			'drops a frame',
			async (far) => [await far.seal([text('a')]), await far.seal([text('b')])].slice(1)
		],
		[
			'changes the order',
			async (far) => [await far.seal([text('a')]), await far.seal([text('b')])].reverse()
		],
		['sends frames of its own', () => Promise.resolve([new Uint8Array(256)])],
		['sends text', () => Promise.resolve(['a'])],
		['sends nothing', () => Promise.resolve([new Uint8Array()])],
		['sends a flag alone', () => Promise.resolve([Uint8Array.of(0)])],
		['sends too much', () => Promise.resolve([new Uint8Array((1 << 20) + 1)])],
		['says that data is final', async (far) => [flipped(await far.seal([text('a')]), 0)]],
		[
			'says that the end is data',
			async (far) => [flipped(await far.seal([closing(1000)], true), 0)]
		]
	])('%s', async (_, frames) => {
		const { heard, outer, far, messages } = await opened();
		for (const frame of await frames(far)) outer.hear(frame);
		await settle(() => heard.at(-1)?.startsWith('close') === true);
		expect(heard.slice(-2)).toEqual(['error', 'close 1006  broken']);
		expect(messages.length).toBeLessThanOrEqual(1);
		expect(outer.closed).toBe(4008);
		// Dead is dead: what comes after it is not heard.
		outer.hear(await far.seal([text('later')]));
		await settle(() => true);
		expect(heard.at(-1)).toBe('close 1006  broken');
	});

	/** A frame with a bit of each of its bytes flipped, and cut before each. */
	const changesOf = (frame: Bytes): Bytes[] =>
		Array.from(frame).flatMap((_, at) => [
			flipped(frame, at, 1 << (at % 8)),
			frame.subarray(0, at)
		]);

	it.each<[string, SocketRecord[], boolean]>([
		['a text', [text('secret')], false],
		['bytes', [record(TYPES.binary, 'secret')], false],
		['a part', [record(TYPES.textPart, 'secret')], false],
		['nothing', [], false],
		['its last words', [text('secret'), closing(1000)], true]
	])('flips or cuts each byte of a frame that says %s', async (_, said, isFinal) => {
		const sample = await opened();
		const count = (await sample.far.seal(said, isFinal, 10)).length;
		for (let change = 0; change < 2 * count; change += 1) {
			OuterSocket.made = [];
			const { heard, messages, outer, far } = await opened();
			outer.hear(must(changesOf(await far.seal(said, isFinal, 10))[change]));
			await settle(() => heard.length === 3);
			expect(heard).toEqual(['open', 'error', 'close 1006  broken']);
			expect(messages).toEqual([]);
		}
	});

	it('flips or cuts each byte of the frame that opens', async () => {
		const sample = await opened();
		const count = (await sample.far.seal([OPENING], false, 10)).length;
		for (let change = 0; change < 2 * count; change += 1) {
			OuterSocket.made = [];
			const { heard, far } = await connecting();
			await settle(() => OuterSocket.made[0]?.binaryType === 'arraybuffer');
			const frame = await far.seal([OPENING], false, 10);
			must(OuterSocket.made[0]).hear(must(changesOf(frame)[change]));
			await settle(() => heard.length === 2);
			expect(heard).toEqual(['error', 'close 1006  broken']);
		}
	});

	it('flips or cuts each byte of what the page says, which its server then refuses', async () => {
		const { socket, outer, far } = await opened();
		socket.send('secret');
		socket.send(Uint8Array.of(7));
		await settle(() => outer.sent.length > 0);
		socket.close();
		await settle(() => outer.sent.length > 1);
		for (const frame of outer.sent) {
			for (const changed of changesOf(frame)) await expect(far.peek(changed)).rejects.toThrow();
			await far.open(frame);
		}
	});

	it('cuts the connection', async () => {
		const { heard, outer, far } = await opened();
		outer.hear(await far.seal([text('a')]));
		outer.drop();
		await settle(() => heard.length === 4);
		expect(heard).toEqual(['open', 'message a', 'error', 'close 1006  broken']);
	});

	it.each([
		['no opening', [text('a')]],
		['a protocol that nobody offered', [record(TYPES.open, 'other')]],
		['two openings', [OPENING, OPENING]]
	])('and a server that says %s', async (_, said) => {
		const { heard, far } = await connecting(['mine']);
		await settle(() => OuterSocket.made.length > 0);
		must(OuterSocket.made[0]).hear(await far.seal(said));
		await settle(() => heard.length === 2);
		expect(heard).toEqual(['error', 'close 1006  broken']);
	});
});
