import { beforeEach, describe, expect, it } from 'vitest';
import type { Page } from '../../src/transport/stand-in';
import { wrapSocket } from '../../src/transport/wrap-socket';
import { CANARY, FakeSocket, makeCarrier, makePage, settle } from '../support/carrier';

const ADDRESS = 'wss://chat.example/ws/socket.io/?EIO=4&transport=websocket';

/** An error of this name. */
const named = (name: string) => expect.objectContaining({ name }) as Error;

let page: Page;
let kit: ReturnType<typeof makeCarrier>;
/** The browser's own sockets that were made. */
let natives: FakeSocket[];
let Native: typeof WebSocket;

beforeEach(() => {
	({ page } = makePage());
	kit = makeCarrier(() => new Response());
	natives = [];
	Native = page.WebSocket;
	// Its constructor would connect.
	const connecting = function (address: string, protocols: string[]) {
		const socket = new FakeSocket(address, protocols);
		natives.push(socket);
		return socket;
	};
	Object.setPrototypeOf(connecting, Native);
	Object.defineProperty(connecting, 'prototype', { value: Native.prototype });
	Object.defineProperty(page, 'WebSocket', {
		value: connecting,
		writable: true,
		configurable: true
	});
	wrapSocket(page, kit.carrier);
});

/** Make one, and note what happens. */
const make = (address = ADDRESS, protocols?: string | string[]) => {
	const socket = new page.WebSocket(address, protocols);
	const events: unknown[] = [];
	for (const type of ['open', 'message', 'error', 'close']) {
		socket.addEventListener(type, (event) => {
			events.push(type);
			if (event instanceof page.MessageEvent) events.push(event.data);
			if (event instanceof page.CloseEvent) events.push([event.code, event.reason, event.wasClean]);
		});
	}
	return { socket, events };
};
const opened = async () => {
	kit.decide('sealed');
	const made = make();
	await settle();
	const [inner] = kit.sockets;
	if (!inner) throw new Error('no socket');
	inner.happen('open', {}, 1);
	return { ...made, inner };
};

describe('WebSocket', () => {
	it('waits at the gate, and nothing is connected before', async () => {
		const { socket } = make(`${ADDRESS}&q=${CANARY}`, ['a', 'b']);
		await settle();
		expect([natives, kit.sockets, socket.readyState]).toEqual([[], [], 0]);
		expect(() => {
			socket.send(CANARY);
		}).toThrow(named('InvalidStateError'));
		kit.decide('sealed');
		await settle();
		expect(natives).toEqual([]);
		expect(kit.sockets).toMatchObject([
			{ path: `/ws/socket.io/?EIO=4&transport=websocket&q=${CANARY}`, protocols: ['a', 'b'] }
		]);
	});

	it('is what it was: class, constants, and what is derived from it', () => {
		const { socket } = make();
		expect(socket).toBeInstanceOf(page.WebSocket);
		expect(socket).toBeInstanceOf(Native);
		expect(socket).toBeInstanceOf(page.EventTarget);
		expect(Object.prototype.toString.call(socket)).toBe('[object WebSocket]');
		expect([page.WebSocket.OPEN, page.WebSocket.CLOSED, socket.CLOSING]).toEqual([1, 3, 2]);
		class Mine extends page.WebSocket {
			mine = 1;
		}
		const mine = new Mine(ADDRESS);
		expect(mine).toBeInstanceOf(Mine);
		expect([mine.mine, mine.readyState, mine.url]).toEqual([1, 0, ADDRESS]);
		// Nobody gets at the browser's own by it.
		expect(socket.constructor).toBe(page.WebSocket);
	});

	it('speaks as the inner one', async () => {
		const { socket, events, inner } = await opened();
		inner.protocol = 'p';
		inner.bufferedAmount = 7;
		socket.send(CANARY);
		inner.happen('message', { data: 'answer' });
		socket.close(3001, 'enough');
		inner.happen('close', { code: 3001, reason: 'enough', wasClean: true }, 3);
		expect(events).toEqual(['open', 'message', 'answer', 'close', [3001, 'enough', true]]);
		expect([inner.sent, inner.closes]).toEqual([[CANARY], [[3001, 'enough']]]);
		expect([socket.protocol, socket.bufferedAmount, socket.readyState]).toEqual(['p', 7, 3]);
		expect(natives).toEqual([]);
	});

	it('tells by properties as well, each once', async () => {
		kit.decide('sealed');
		const { socket } = make();
		const heard: string[] = [];
		socket.onmessage = () => heard.push('first');
		socket.onmessage = ({ data }) => heard.push(data as string);
		expect(socket.onopen).toBeNull();
		await settle();
		kit.sockets[0]?.happen('open', {}, 1);
		kit.sockets[0]?.happen('message', { data: 'a' });
		socket.onmessage = null;
		kit.sockets[0]?.happen('message', { data: 'b' });
		expect(heard).toEqual(['a']);
	});

	it('hands on what kind of bytes is wanted, whenever it is said', async () => {
		const { socket, inner } = await opened();
		socket.binaryType = 'arraybuffer';
		socket.binaryType = 'other' as BinaryType;
		expect([socket.binaryType, inner.binaryType]).toEqual(['arraybuffer', 'arraybuffer']);
		const early = make();
		early.socket.binaryType = 'arraybuffer';
		await settle();
		expect(kit.sockets[1]?.binaryType).toBe('arraybuffer');
	});

	it('closes while it waits, and is not connected then', async () => {
		const { socket, events } = make();
		expect(() => {
			socket.close(1);
		}).toThrow(named('InvalidAccessError'));
		socket.close();
		expect([socket.readyState, events]).toEqual([2, []]);
		kit.decide('sealed');
		await settle();
		expect(events).toEqual(['error', 'close', [1006, '', false]]);
		expect([socket.readyState, kit.sockets, natives]).toEqual([3, [], []]);
	});

	it('breaks where it is refused', async () => {
		const { socket, events } = make();
		kit.decide(new TypeError('refused'));
		await settle();
		expect(events).toEqual(['error', 'close', [1006, '', false]]);
		expect([socket.readyState, natives]).toEqual([3, []]);
		socket.send('into nothing');
	});

	it('is the browser’s own where the gate says so', async () => {
		kit.decide('plain');
		const { socket, events } = make(ADDRESS, 'p');
		await settle();
		natives[0]?.happen('open', {}, 1);
		socket.send('mine');
		expect(natives).toMatchObject([{ path: ADDRESS, protocols: ['p'], sent: ['mine'] }]);
		expect([events, kit.sockets]).toEqual([['open'], []]);
	});

	it('of another origin is as before', () => {
		for (const address of [
			'wss://elsewhere.example/',
			'ws://chat.example/',
			'wss://chat.example:444/'
		]) {
			new page.WebSocket(address);
		}
		expect(natives.map(({ path }) => path)).toHaveLength(3);
	});

	it.each(['/ws/socket.io/', 'https://chat.example/ws/socket.io/'])(
		'of this origin has any form of address (%s)',
		async (address) => {
			kit.decide('sealed');
			const { socket } = make(address);
			await settle();
			expect(socket.url).toBe('wss://chat.example/ws/socket.io/');
			expect([natives, kit.sockets.map(({ path }) => path)]).toEqual([[], ['/ws/socket.io/']]);
		}
	);

	it.each([
		[`${ADDRESS}#x`, []],
		[ADDRESS, ['a', 'A']],
		[ADDRESS, ['a b']]
	])('refuses %s with %j', (address, protocols) => {
		expect(() => new page.WebSocket(address, protocols)).toThrow(named('SyntaxError'));
	});
});
