/** The marks' own rules; IndexedDB itself is there in the browser suite. */
import { describe, expect, it, vi } from 'vitest';
import { markedStorage, openMarks } from '../../src/session/marks';
import { fakeStorage, refusingStorage } from '../support/environment';
import { fakeMarks } from '../support/kept';

describe('marks in a browser without IndexedDB', () => {
	it.each<[string, () => IDBFactory]>([
		[
			'is forbidden',
			() => {
				throw new DOMException('', 'SecurityError');
			}
		],
		['is not there', () => undefined as unknown as IDBFactory]
	])('that %s are told by who asks, and break nothing', async (_name, factory) => {
		const changed = vi.fn();
		const marks = openMarks(factory, changed);
		marks.set('a', 'text');
		marks.follow('a', null, 'text');
		await expect(marks.get('a')).rejects.toThrow();
		expect(changed).not.toHaveBeenCalled();
	});
});

describe('a marked storage', () => {
	it('marks what is written where nothing, or a marked text, was', () => {
		const marks = fakeMarks();
		const storage = markedStorage(fakeStorage(), marks);
		storage.setItem('a', '1');
		storage.setItem('a', '2');
		expect([storage.getItem('a'), marks.items.get('a')]).toEqual(['2', '2']);
	});

	it('marks nothing over what others wrote', () => {
		const items = fakeStorage();
		const marks = fakeMarks();
		const storage = markedStorage(items, marks);
		storage.setItem('a', '1');
		items.setItem('a', 'x');
		storage.setItem('a', '2');
		expect([storage.getItem('a'), marks.items.get('a')]).toEqual(['2', '1']);
	});

	it('marks nothing over what others deleted', () => {
		const items = fakeStorage();
		const marks = fakeMarks();
		const storage = markedStorage(items, marks);
		storage.setItem('a', '1');
		items.items.delete('a');
		storage.setItem('a', '2');
		expect(marks.items.get('a')).toBe('1');
	});

	it('is not told of what is there already, or could not be written', () => {
		const follow = vi.fn();
		const marks = { ...fakeMarks(), follow };
		markedStorage(fakeStorage(new Map([['a', '1']])), marks).setItem('a', '1');
		const full = { ...refusingStorage, getItem: () => null };
		expect(() => {
			markedStorage(full, marks).setItem('a', '1');
		}).toThrow(DOMException);
		expect(follow).not.toHaveBeenCalled();
	});
});
