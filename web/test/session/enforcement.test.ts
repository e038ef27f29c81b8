/** What this browser remembers of how strict it was asked to be: nobody but the person takes it back. */
import { describe, expect, it } from 'vitest';
import type { Environment } from '../../src/base/environment';
import { enforcementOf, hearProposal, hearServer, remembered } from '../../src/session/enforcement';
import { markedStorage } from '../../src/session/marks';
import { ENFORCEMENT_KEY } from '../../src/session/settings';
import { fakeFetch, fakeStorage, makeEnvironment, refusingStorage } from '../support/environment';
import { fakeMarks, noMarks } from '../support/kept';
import { must } from '../support/must';

const browser = (more: Partial<Environment> = {}) => {
	const { items, ...storage } = fakeStorage();
	const marks = fakeMarks();
	const env = makeEnvironment(fetch, { memory: markedStorage(storage, marks), marks, ...more });
	return { env, items, marks: marks.items };
};
const NOTHING = { enforcement: null };

describe('a browser', () => {
	it('warns where nobody asks for anything', async () => {
		const { env, items } = browser();
		expect(await enforcementOf(env, NOTHING, {})).toBe('warn');
		expect(await hearProposal(env, undefined)).toEqual({});
		expect(await hearProposal(env, 'warn')).toEqual({ proposed: 'warn' });
		expect(items.size).toBe(0);
	});

	it('goes by the stricter of the server’s word and the person’s', async () => {
		for (const [own, proposed, expected] of [
			[null, 'block', 'block'],
			['block', 'warn', 'block'],
			['block', 'off', 'block'],
			['warn', 'block', 'block'],
			['warn', 'off', 'warn'],
			['off', 'off', 'warn'],
			[null, 'off', 'warn']
		] as const) {
			const { env } = browser();
			const told = await hearProposal(env, proposed);
			expect(await enforcementOf(env, { enforcement: own }, told)).toBe(expected);
		}
	});

	it('remembers more, and goes by it whatever is said later, or nothing', async () => {
		const { env, items, marks } = browser();
		expect(await hearProposal(env, 'block')).toEqual({ proposed: 'block' });
		expect(marks.get(ENFORCEMENT_KEY)).toBe(must(items.get(ENFORCEMENT_KEY)));
		for (const proposed of ['warn', 'off', undefined] as const) {
			const told = await hearProposal(env, proposed);
			expect(told.stricter).toBe(proposed && 'block');
			expect(await enforcementOf(env, NOTHING, told)).toBe('block');
		}
		// What is not there any more, or is another's, leaves the mark; and the other way round.
		for (const text of [undefined, '{"v":1,"enforcement":"off"}']) {
			if (text === undefined) items.delete(ENFORCEMENT_KEY);
			else items.set(ENFORCEMENT_KEY, text);
			expect(await remembered(env)).toBe('block');
		}
		const other = browser();
		await hearProposal(other.env, 'block');
		other.marks.delete(ENFORCEMENT_KEY);
		expect(await remembered(other.env)).toBe('block');
	});

	it('takes it back by the person’s word alone, and may hear it again', async () => {
		const { env } = browser();
		await hearProposal(env, 'block');
		for (const proposed of ['warn', 'off'] as const) {
			const { relax } = await hearProposal(env, proposed);
			must(relax)();
			const told = await hearProposal(env, proposed);
			expect(told).toEqual({ proposed });
			expect(await enforcementOf(env, NOTHING, told)).toBe(proposed);
		}
		expect(await enforcementOf(env, NOTHING, await hearProposal(env, 'warn'))).toBe('warn');
	});

	it('hears it by itself where nothing else asks the server', async () => {
		const config = (text: string) => fakeFetch({ '/tee/config': () => ({ text }) }).fetch;
		const { signal } = new AbortController();
		const { env } = browser({ fetch: config('{"enforcement":"block"}') });
		expect(await hearServer(env, signal)).toEqual({ proposed: 'block' });
		expect(await remembered(env)).toBe('block');
		const none = browser({ fetch: fakeFetch({}).fetch });
		expect(await hearServer(none.env, signal)).toEqual({});
	});

	it.each([
		['nothing', ''],
		['no JSON', '{'],
		['no word on it', '{"v":1}'],
		['a word that is none', '{"v":1,"enforcement":"none"}'],
		['two words', '{"v":1,"enforcement":"block","enforcement":"off"}'],
		['an inherited word', '{"v":1,"__proto__":{"enforcement":"off"}}'],
		['too much', JSON.stringify({ enforcement: 'off', more: 'x'.repeat(2000) })]
	])('takes %s for the strictest', async (_name, text) => {
		const { env, items } = browser();
		items.set(ENFORCEMENT_KEY, text);
		expect(await remembered(env)).toBe('block');
	});

	it('that keeps nothing goes by what is said now', async () => {
		const { env } = browser({ memory: refusingStorage, marks: noMarks });
		const told = await hearProposal(env, 'block');
		expect(await enforcementOf(env, NOTHING, told)).toBe('block');
		expect(await enforcementOf(env, NOTHING, await hearProposal(env, 'off'))).toBe('warn');
	});
});
