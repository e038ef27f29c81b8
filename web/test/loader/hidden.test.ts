// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SITES, type PlaceName } from '../../src/places/anchors';
import { Keeper, PATIENCE } from '../../src/places/keeper';
import { collectObservers, element, makeChat, makeSettings, placesIn } from './app';

let missing: PlaceName[];
let endObservers: () => void;

const keep = () => {
	const keeper = new Keeper(document, SITES, {
		fill: (place) => {
			place.replaceChildren(element('b'));
		},
		missing: (name) => missing.push(name),
		inChat: () => true,
		elsewhere: () => false
	});
	keeper.start();
};
const inCorner = () => placesIn(document).filter(({ style }) => style.position === 'fixed');
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
	vi.useFakeTimers();
	endObservers = collectObservers();
	missing = [];
	// jsdom draws nothing: what is not hidden is seen, and what is `small` has no size.
	Element.prototype.getClientRects = function () {
		const size = this.closest('.small') ? 0 : 1;
		const hidden = this.closest('[hidden]') !== null;
		return (hidden ? [] : [{ width: size, height: size }]) as unknown as DOMRectList;
	};
});
afterEach(() => {
	endObservers();
	vi.useRealTimers();
	Reflect.deleteProperty(Element.prototype, 'checkVisibility');
	document.body.replaceChildren();
});

/** A chat with its badge's place. */
const open = () => {
	const made = makeChat();
	document.body.append(made.chat);
	keep();
	const [place] = placesIn(made.row);
	if (!place) throw new Error('no place');
	return { ...made, place };
};

describe('a place that nobody sees', () => {
	it('is missing, until it is seen again', async () => {
		const { place } = open();
		await wait(PATIENCE);
		place.hidden = true;
		await wait(3 * PATIENCE);
		expect([missing, inCorner().length]).toEqual([['badge'], 1]);
		place.hidden = false;
		await wait(2 * PATIENCE);
		expect([missing, placesIn(document)]).toEqual([['badge'], [place]]);
		expect(place.hasChildNodes()).toBe(true);
	});

	it('is missing where it has no size', async () => {
		open().place.className = 'small';
		await wait(3 * PATIENCE);
		expect([missing, inCorner().length]).toEqual([['badge'], 1]);
	});

	it('is missing where a style makes what is around it invisible', async () => {
		const asked = vi.fn<(options: unknown) => boolean>(() => false);
		Object.assign(Element.prototype, { checkVisibility: asked });
		open();
		await wait(3 * PATIENCE);
		expect([missing, inCorner().length]).toEqual([['badge'], 1]);
		expect(asked).toHaveBeenCalledWith({ opacityProperty: true, visibilityProperty: true });
	});

	it('is missing for the settings, too', async () => {
		const { tab } = makeSettings();
		document.body.append(tab);
		keep();
		(placesIn(tab, 'settings')[0] as HTMLElement).hidden = true;
		await wait(3 * PATIENCE);
		expect(missing).toEqual(['settings']);
	});

	it.each(['chat', 'form'] as const)(
		'is not missing where nobody sees the %s either',
		async (name) => {
			open()[name].hidden = true;
			await wait(5 * PATIENCE);
			expect([missing, inCorner()]).toEqual([[], []]);
		}
	);

	it('is not missing for a moment', async () => {
		const { place } = open();
		await wait(PATIENCE - 100);
		place.hidden = true;
		await wait(1_000);
		place.hidden = false;
		await wait(5 * PATIENCE);
		expect(missing).toEqual([]);
	});
});

describe('a place', () => {
	it('is not for the styles of the page to hide', () => {
		const { style } = open().place;
		for (const name of ['display', 'visibility', 'opacity', 'transform', 'filter', 'clip-path']) {
			expect([name, style.getPropertyPriority(name)]).toEqual([name, 'important']);
		}
	});

	it('in the corner of the window stays there', async () => {
		open().place.hidden = true;
		await wait(3 * PATIENCE);
		const [corner] = inCorner();
		for (const name of ['position', 'right', 'bottom', 'z-index', 'display', 'opacity']) {
			expect([name, corner?.style.getPropertyPriority(name)]).toEqual([name, 'important']);
		}
	});
});
