// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';
import { lift } from '../../src/ui/lift';

describe('an element that shall be over everything', () => {
	it('is shown once, where the browser can', () => {
		const element = document.createElement('p');
		const isOpen = vi.spyOn(element, 'matches').mockReturnValue(false);
		const shown = vi.fn(() => isOpen.mockReturnValue(true));
		element.showPopover = shown;
		lift(element);
		lift(element);
		expect(shown).toHaveBeenCalledOnce();
	});

	it('stays where it is, where the browser cannot', () => {
		expect(() => {
			lift(document.createElement('p'));
		}).not.toThrow();
	});
});
