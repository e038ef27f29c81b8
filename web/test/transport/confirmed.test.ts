/** What somebody confirmed counts for their account. */
import { describe, expect, it } from 'vitest';
import type { Whose } from '../../src/base/account';
import { confirmations } from '../../src/transport/confirmed';
import { fakeStorage, refusingStorage } from '../support/environment';

const NAME = 'tee.confirmed';

const open = (storage = fakeStorage() as unknown as Storage) => {
	let whose: Whose = '';
	const kept = () =>
		confirmations(
			() => storage,
			NAME,
			() => whose
		);
	return {
		kept,
		be: (next: Whose) => {
			whose = next;
		}
	};
};

describe('what is confirmed', () => {
	it('is kept for the account that did, and for no other', () => {
		const { kept, be } = open();
		const page = kept();
		page.write(['first']);
		be('@b0b');
		expect([page.read(), kept().read()]).toEqual([[], []]);
		page.write(['second']);
		expect(kept().read()).toEqual(['second']);
		be('');
		expect(kept().read()).toEqual(['first']);
	});

	it('counts for nobody but in the page in which nobody confirmed it', () => {
		const { kept, be } = open();
		kept().write(['first']);
		be(null);
		const page = kept();
		expect(page.read()).toEqual([]);
		page.write(['nobody']);
		expect([page.read(), kept().read()]).toEqual([['nobody'], []]);
		be('');
		expect(page.read()).toEqual(['first']);
	});

	it('counts in the page where nothing can be stored', () => {
		const page = open(refusingStorage as unknown as Storage).kept();
		page.write(['here']);
		expect(page.read()).toEqual(['here']);
	});

	it('is what we wrote, and nothing else', () => {
		const items = new Map([[NAME, '{"length":1}']]);
		expect(
			open(fakeStorage(items) as unknown as Storage)
				.kept()
				.read()
		).toEqual([]);
	});
});
