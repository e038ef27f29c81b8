import { describe, expect, it } from 'vitest';
import { base } from '../../src/ui/styles';

/** Relative luminance of #rgb or #rrggbb (WCAG 2.2). */
const luminance = (colour: string): number => {
	const digits = colour.slice(1).replace(/^(.)(.)(.)$/, '$1$1$2$2$3$3');
	const [r = 0, g = 0, b = 0] = [0, 2, 4].map((at) => {
		const part = parseInt(digits.slice(at, at + 2), 16) / 255;
		return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
	});
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

const contrast = (one: string, other: string): number => {
	const [less = 0, more = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
	return (more + 0.05) / (less + 0.05);
};

/** The custom properties of a rule of ours. */
const colours = (selector: string): Record<string, string> => {
	const [, rule = ''] = base.cssText.split(`${selector} {`);
	const lines = rule.split('}', 1)[0]?.matchAll(/--(\w+): (#\w+);/g) ?? [];
	return Object.fromEntries(Array.from(lines, ([, name = '', value = '']) => [name, value]));
};

const light = colours('.frame');
const THEMES = {
	light,
	dark: { ...light, ...colours('.frame.dark') }
};
/** What open-webui draws message boxes, bars and menus on, and our button under a pointer. */
const GROUNDS = {
	light: ['#fff', '#f9f9f9', '#f3f3f3', '#ececec'],
	dark: ['#000', '#0d0d0d', '#171717', '#262626', '#333']
};
const SIGNALS = ['off', 'pending', 'green', 'amber', 'red'];

describe.each(['light', 'dark'] as const)('the colours on %s grounds', (theme) => {
	const { [theme]: named } = THEMES;

	it.each(SIGNALS)('show the sign: %s', (name) => {
		for (const ground of GROUNDS[theme]) {
			expect(contrast(named[name] ?? '', ground)).toBeGreaterThanOrEqual(3);
		}
	});

	it.each([...SIGNALS, 'text', 'muted'])('can be read in the panel: %s', (name) => {
		expect(contrast(named[name] ?? '', named.ground ?? '')).toBeGreaterThanOrEqual(4.5);
	});
});

it('computes contrast as WCAG does', () => {
	expect(contrast('#000', '#fff')).toBeCloseTo(21);
	expect(contrast('#777', '#ffffff')).toBeCloseTo(4.48, 2);
});
