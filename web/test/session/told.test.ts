import { atom } from 'nanostores';
import { expect, it, vi } from 'vitest';
import type { Verdict } from '../../src/session/attest';
import type { State } from '../../src/session/session';
import { tellConsole } from '../../src/session/told';

const verdict: Verdict = {
	status: 'green',
	checks: [],
	fields: { mr_td: 'aa' },
	at: 0,
	expires: 1,
	saved: {
		format: 1,
		evidence: { secret: 1 },
		nonce: '',
		url: '',
		fetched: ''
	}
};

it('writes each verdict into the console once, as one object without the evidence', () => {
	const state = atom<State>({ kind: 'pending' });
	const info = vi.fn();
	tellConsole(state, { info });
	expect(info).not.toHaveBeenCalled();
	state.set({ kind: 'done', verdict });
	state.set({ kind: 'done', verdict, renewal: { check: undefined } });
	expect(info.mock.calls).toHaveLength(1);
	const [title, said] = info.mock.calls[0] as [string, object];
	expect(title).toBe('Trust verification');
	expect(said).toMatchObject({ status: 'green', measurements: { mr_td: 'aa' }, checks: [] });
	expect(JSON.stringify(said)).not.toContain('secret');
	state.set({ kind: 'done', verdict: { ...verdict } });
	expect(info.mock.calls).toHaveLength(2);
});
