// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OutsideImage, PATIENCE } from '../../src/ui/outside-image';
import { find, fire, makeParts, MARKUP, need, show, textOf } from './fixture';

customElements.define('cczoo-outside-image', OutsideImage);

const FRAME = '/api/v1/tee/image';
const ADDRESS = `https://evil.example/?q=${encodeURIComponent(MARKUP)}`;

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
	document.body.replaceChildren();
});

const make = (alt = '') => {
	const element = Object.assign(new OutsideImage(), { address: ADDRESS, alt, frame: FRAME });
	return show(element, makeParts().parts);
};

const frameOf = (element: OutsideImage): HTMLIFrameElement => {
	const frame = need(element, 'image-frame');
	if (!(frame instanceof HTMLIFrameElement)) throw new Error('no frame');
	return frame;
};

/** What the frame, or somebody else, says. */
const say = async (element: OutsideImage, data: unknown, source: unknown) => {
	const event = new MessageEvent('message', { data });
	Object.defineProperty(event, 'source', { value: source });
	dispatchEvent(event);
	await element.updateComplete;
};

const load = async (element: OutsideImage) => {
	fire(need(element, 'load-image'), 'click');
	await element.updateComplete;
	return frameOf(element);
};

describe('the image’s placeholder', () => {
	it('names server and address as text, and frames nothing', async () => {
		const element = await make(MARKUP);
		expect(textOf(need(element, 'outside-image'))).toContain('An image from evil.example');
		expect(textOf(need(element, 'outside-image'))).toContain(MARKUP);
		expect(textOf(need(element, 'outside-image'))).toContain(ADDRESS);
		expect(element.renderRoot.querySelector('img, script, iframe')).toBeNull();
	});

	it('has a frame show the image after a click, which nobody else hears of', async () => {
		const element = await make('words');
		const heard = vi.fn();
		document.body.addEventListener('click', heard, { once: true });
		const frame = await load(element);
		expect(heard).not.toHaveBeenCalled();
		expect(frame.getAttribute('src')).toBe(FRAME);
		expect(frame.getAttribute('sandbox')).toBe('allow-scripts');
		const post = vi.fn();
		const window = { postMessage: post };
		Object.defineProperty(frame, 'contentWindow', { value: window });
		fire(frame, 'load');
		expect(post).toHaveBeenCalledWith({ address: ADDRESS, alt: 'words' }, '*');
		await say(element, [60, 40], window);
		expect(frame.style.width).toBe('60px');
		await vi.advanceTimersByTimeAsync(PATIENCE);
		expect(frameOf(element)).toBe(frame);
	});

	it.each([
		[[0, 0]],
		[[60]],
		[[60, 1e9]],
		[['60px; position: fixed', 40]],
		[[Number.NaN, 1]],
		['failed'],
		[null]
	])('says that there is no image: %j', async (data) => {
		const element = await make();
		const frame = await load(element);
		const window = {};
		Object.defineProperty(frame, 'contentWindow', { value: window });
		await say(element, data, window);
		expect(textOf(element.renderRoot.querySelector('[role=alert]'))).toContain(
			'could not be loaded'
		);
		expect(find(element, 'load-image')).not.toBeNull();
	});

	it('believes its own frame alone', async () => {
		const element = await make();
		const frame = await load(element);
		Object.defineProperty(frame, 'contentWindow', { value: {} });
		for (const source of [window, null, {}]) await say(element, [60, 40], source);
		expect(frame.style.width).toBe('');
	});

	it('waits only so long', async () => {
		const element = await make();
		await load(element);
		await vi.advanceTimersByTimeAsync(PATIENCE);
		await element.updateComplete;
		expect(element.renderRoot.querySelector('[role=alert]')).not.toBeNull();
	});

	it('shows nothing where an answer brings its tag', async () => {
		document.body.append(document.createElement('cczoo-outside-image'));
		await vi.advanceTimersByTimeAsync(10);
		expect(document.body.firstElementChild?.shadowRoot?.querySelector('.frame')).toBeNull();
	});
});
