// @vitest-environment jsdom
import { describe, expect, it, vi } from 'vitest';
import { REVERTED, revertedIn } from '../../src/i18n/reverted';
import { showReverted } from '../../src/transport/reverted';

describe('the page of an app that has lost the kit', () => {
	it('says so as text, and forgets by the person’s hand only', () => {
		const forget = vi.fn(() => Promise.resolve());
		showReverted(document, { title: '<i>', text: '<b>text</b>', forget: 'Forget' }, forget);
		expect(document.title).toBe('<i>');
		expect(document.body.textContent).toBe('<i><b>text</b>Forget');
		expect(document.querySelector('b')).toBeNull();
		expect(forget).not.toHaveBeenCalled();
		document.querySelector('button')?.click();
		expect(forget).toHaveBeenCalledTimes(1);
	});

	it('speaks the first language of the browser that it can', () => {
		expect(revertedIn(['xx', 'en-GB'])).toBe(REVERTED.en);
		expect(revertedIn(['constructor'])).toBe(REVERTED.en);
		expect(revertedIn([])).toBe(REVERTED.en);
	});
});
