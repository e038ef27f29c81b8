import { describe, expect, it } from 'vitest';
import { moment } from '../../src/ui/panel/section';
import { day, named } from '../../src/ui/words';

/** In a direction of its own: what an Arabic reader's dates need among English words. */
const ISOLATED = /^\u2068[^\u2068\u2069]+\u2069$/;

describe('dates and names among other words', () => {
	it('stand in their own direction', () => {
		for (const text of [moment(0), day('2026-05-03T00:00:00Z'), named('مرحبا')]) {
			expect(text).toMatch(ISOLATED);
		}
	});

	it('are shown as they are where they are no dates, and change nothing beside them', () => {
		expect(day('yesterday')).toBe('\u2068yesterday\u2069');
		expect(day('\u202e<b>')).toBe('\u2068\\u{202e}<b>\u2069');
	});
});
