// @vitest-environment jsdom
import { afterEach, describe, expect, it } from 'vitest';
import { messageBox, roomBeside, startOf } from '../../src/ui/room';

const edges = (top: number, bottom: number, right = 600) => ({ top, right, bottom });
/** A window that is so high. */
const window = (height: number) => ({ width: 600, height });

describe('the room beside a message box', () => {
	it('is above it, not over it', () => {
		const room = roomBeside(edges(700, 732), edges(640, 740), window(800));
		expect(room).toEqual({ side: 'above', at: 640, height: 560, width: 584 });
		expect(roomBeside(edges(400, 432), edges(340, 440), window(800)).height).toBe(340 - 72);
	});

	it('is below it where there is not enough above', () => {
		const room = roomBeside(edges(150, 182), edges(90, 190), window(800));
		expect(room).toMatchObject({ side: 'below', at: 190, height: 560 });
	});

	it('becomes small rather than reaching over it', () => {
		const phone = roomBeside(edges(300, 332), edges(230, 340), window(360));
		expect(phone).toMatchObject({ side: 'above', at: 230, height: 158 });
	});

	it('is the whole window where nothing could be read anywhere else', () => {
		const zoomed = roomBeside(edges(160, 192), edges(90, 195), window(200));
		expect(zoomed).toMatchObject({ side: 'over', at: 8, height: 184 });
	});

	it('leaves the app’s bar free where that leaves enough', () => {
		const lying = roomBeside(edges(235, 267), edges(185, 272), window(320));
		expect(lying).toMatchObject({ side: 'over', at: 72, height: 240 });
	});

	it('is beside the badge itself where that is out of the box', () => {
		const badge = edges(756, 788);
		expect(roomBeside(badge, edges(600, 700), window(800)).at).toBe(600);
		expect(roomBeside(badge, badge, window(800)).at).toBe(756);
	});

	it('ends with the badge, unless it would start out of the window', () => {
		expect(startOf(edges(0, 0, 480), 400)).toBe(80);
		expect(startOf(edges(0, 0, 300), 400)).toBe(8);
	});
});

describe('the message box', () => {
	afterEach(() => {
		document.body.replaceChildren();
	});

	it('is the form around the badge, or that of the chat for one in the corner', () => {
		const holding = (tag: string, id: string): HTMLElement => {
			const outer = document.body.appendChild(document.createElement(tag));
			outer.append(Object.assign(document.createElement('p'), { id }));
			return outer;
		};
		const boxOf = (outer: HTMLElement) => messageBox(outer.firstElementChild as Element);
		const [own, chat] = [holding('form', 'inside'), holding('form', 'chat-input')];
		const [corner, elsewhere] = [holding('div', 'corner'), holding('div', 'elsewhere')];
		corner.setAttribute('data-tee-chip', '');
		expect([boxOf(own), boxOf(corner)]).toEqual([own, chat]);
		expect(boxOf(elsewhere)).toBe(elsewhere.firstElementChild);
		chat.remove();
		expect(boxOf(corner)).toBe(corner.firstElementChild);
	});
});
