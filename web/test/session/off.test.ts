/** Off: where the kit's form said so, and where something else did. */
import { describe, expect, it } from 'vitest';
import { headline } from '../../src/base/checks';
import { markedStorage } from '../../src/session/marks';
import { createSession } from '../../src/session/session';
import { createSettings, STORAGE_KEY } from '../../src/session/settings';
import { fakeStorage, makeEnvironment, settle } from '../support/environment';
import { fakeMarks } from '../support/kept';

const stage = () => {
	const items = fakeStorage();
	const marks = fakeMarks();
	const memory = markedStorage(items, marks);
	const settings = createSettings(memory);
	const asked: string[] = [];
	const env = makeEnvironment(
		() => {
			asked.push('a request');
			return Promise.reject(new TypeError());
		},
		{ memory, marks }
	);
	const session = createSession(env, settings, () => {
		asked.push('attestation');
		return new Promise(() => undefined);
	});
	session.attach();
	const flush = () => settle(() => true);
	const off = () => {
		items.items.set(STORAGE_KEY, '{"v":1,"enabled":false}');
		settings.reload();
	};
	return { marks, settings, session, asked, flush, off, state: () => session.state.get() };
};

describe('a check that is off', () => {
	it('by the form rests, and asks nothing', async () => {
		const { settings, session, asked, flush, state } = stage();
		settings.change((draft) => (draft.enabled = false));
		for (const again of [session.recheck, session.restart, session.visible]) {
			again();
			await flush();
			expect(state().kind).toBe('off');
		}
		expect(asked).toEqual([]);
	});

	it('by something else is red, asks nothing, and rests once the person confirms', async () => {
		const { settings, session, asked, off, state } = stage();
		off();
		await settle(() => state().kind === 'done');
		const shown = state();
		if (shown.kind !== 'done') throw new Error(shown.kind);
		const { verdict } = shown;
		expect(verdict.status).toBe('red');
		expect(headline(verdict.checks)).toMatchObject({ id: 'settings', code: 'settings-off' });
		session.mend(() => {
			verdict.remedies?.find(({ name }) => name === 'confirm')?.apply();
			settings.reload();
		});
		await settle(() => state().kind === 'off');
		await settle(() => true);
		expect([state().kind, asked]).toEqual(['off', []]);
	});

	it('by something else is no longer told once it is on again', async () => {
		const { marks, settings, off, flush, state } = stage();
		off();
		settings.change((draft) => (draft.enabled = true));
		await flush();
		expect(state().kind).toBe('pending');
		expect(marks.items.has(STORAGE_KEY)).toBe(false); // it warns until it is confirmed
	});
});
