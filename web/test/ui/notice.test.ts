// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SHOWN, TrustNotice } from '../../src/ui/notice';
import type { State } from '../../src/session/session';
import { failed, find, makeParts, need, show, simulated, textOf, verdict } from './fixture';

customElements.define('cczoo-trust-notice', TrustNotice);

let page: ReturnType<typeof makeParts>;
let notice: TrustNotice;

beforeEach(async () => {
	vi.useFakeTimers();
	page = makeParts();
	notice = await show(new TrustNotice(), page.parts);
});
afterEach(() => {
	vi.useRealTimers();
	document.body.replaceChildren();
});

const unreachable = verdict(
	'red',
	[{ id: 'evidence-format', outcome: 'fail', code: 'quote-unreachable' }],
	{ wait: 0 }
);

/** What is said politely, and what is seen besides. */
const told = async () => {
	await notice.updateComplete;
	return [textOf(need(notice, 'said')), textOf(find(notice, 'notice')) ?? ''];
};
const become = async (...states: State[]) => {
	for (const state of states) page.state.set(state);
	return told();
};

describe('a verdict that changes', () => {
	it('is not told at first', async () => {
		expect(await told()).toEqual(['', '']);
		expect(await become(verdict('red', [failed]))).toEqual(['', '']);
	});

	it('is not told where it comes again, as with each chat', async () => {
		await become(verdict('green'));
		expect(await become({ kind: 'pending' }, verdict('green'))).toEqual(['', '']);
	});

	it('is said politely where it is better, or of the person’s own doing', async () => {
		const changed = 'This server’s check has changed: ';
		await become(verdict('red', [failed]));
		expect(await become(unreachable)).toEqual([`${changed}Could not be checked now`, '']);
		expect(await become(verdict('green'))).toEqual([
			`${changed}Verified: a genuine Intel TDX trust domain answered`,
			''
		]);
		expect(await become({ kind: 'off' })).toEqual([`${changed}Remote attestation is off`, '']);
		expect(await become(verdict('amber'))).toEqual([`${changed}Verified, with warnings`, '']);
		expect(await become(verdict('amber', [simulated]))).toEqual([
			`${changed}Simulated TD: no hardware protection`,
			''
		]);
	});

	it.each<[string, State, State]>([
		['warnings', verdict('green'), verdict('amber')],
		['nothing known', verdict('amber'), unreachable],
		['a failure', verdict('green'), verdict('red', [failed])],
		['a failure at last', unreachable, verdict('red', [failed])]
	])('is seen where it is worse, once: %s', async (_what, before, after) => {
		await become(before);
		const [said, seen] = await become({ kind: 'pending' }, after);
		expect([said, seen?.slice(0, 32)]).toEqual(['', 'This server’s check has changed:']);
		expect(find(notice, 'notice')?.getAttribute('role')).toBe('alert');
	});

	it('goes by itself after a while, or by its button', async () => {
		await become(verdict('green'), verdict('red', [failed]));
		vi.advanceTimersByTime(SHOWN - 1);
		expect((await told())[1]).not.toBe('');
		vi.advanceTimersByTime(1);
		expect(await told()).toEqual(['', '']);

		await become(verdict('green'), verdict('red', [failed]));
		need(notice, 'notice-close').click();
		expect(await told()).toEqual(['', '']);
	});

	it('goes for what is told next', async () => {
		await become(verdict('green'), verdict('amber'));
		const [said, seen] = await become(verdict('green'));
		expect([said === '', seen]).toEqual([false, '']);
	});
});
