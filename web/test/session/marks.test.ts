/** The marks' own rules; IndexedDB itself is there in the browser suite. */
import { describe, expect, it, vi } from 'vitest';
import { markedStorage, openMarks } from '../../src/session/marks';
import { fakeStorage, refusingStorage } from '../support/environment';
import { fakeMarks } from '../support/kept';
import { must } from '../support/must';

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
		const marks = openMarks(factory, fakeStorage, changed);
		marks.set('a', 'text');
		marks.follow('a', null, 'text');
		await expect(marks.get('a')).rejects.toThrow();
		expect(changed).not.toHaveBeenCalled();
	});
});

describe('what a tab began to mark', () => {
	const BEGUN = 'tee.marks';
	const never = () => ({ open: () => ({}) }) as unknown as IDBFactory;
	const noneHere = () => undefined as unknown as IDBFactory;

	it('stays with the tab until it is marked, in its order', () => {
		const tab = fakeStorage();
		const marks = openMarks(never, () => tab, vi.fn());
		marks.follow('a', null, '1');
		marks.follow('a', '1', '2');
		marks.set('b', null);
		const begun = [
			{ name: 'a', before: null, text: '1' },
			{ name: 'a', before: '1', text: '2' },
			{ name: 'b', text: null }
		];
		expect(JSON.parse(must(tab.items.get(BEGUN)))).toEqual(begun);
		openMarks(never, () => tab, vi.fn()); // the next page, which does not come to it either
		expect(JSON.parse(must(tab.items.get(BEGUN)))).toEqual(begun);
	});

	it('is gone where it cannot be marked, so that it does not grow', async () => {
		const tab = fakeStorage();
		const marks = openMarks(noneHere, () => tab, vi.fn());
		marks.set('a', '1');
		marks.set('b', '2');
		await expect(marks.get('a')).rejects.toThrow();
		expect(tab.items.get(BEGUN)).toBe('[]');
	});

	it.each(['', 'x', 'null', '{}', '[1]', '[{}]', '[{"name":1,"text":""}]', '[{"name":"a"}]'])(
		'%j is nothing that we wrote',
		(text) => {
			const tab = fakeStorage(new Map([[BEGUN, text]]));
			openMarks(never, () => tab, vi.fn());
			expect(tab.items.get(BEGUN)).toBe(text);
		}
	);

	it('is not kept where a tab keeps nothing, and marks are set all the same', async () => {
		const open = vi.fn(() => ({}) as IDBOpenDBRequest);
		const factory = () => ({ open }) as unknown as IDBFactory;
		openMarks(factory, () => refusingStorage, vi.fn()).set('a', '1');
		await vi.waitFor(() => {
			expect(open).toHaveBeenCalled();
		});
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
