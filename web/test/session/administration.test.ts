import { describe, expect, it, vi } from 'vitest';
import { createAdministration, GROUPS, type Administered } from '../../src/session/administration';
import { Refused } from '../../src/transport/gate';
import { fakeClock, makeEnvironment } from '../support/environment';
import { settingRow, settingsDocument } from '../support/administration';

type Reply = [status: number, document: unknown] | Error;

/** A server that gives these answers one after the other, and the form's store. */
const begin = (...replies: Reply[]) => {
	const asked: { method: string; headers: Headers; body: unknown }[] = [];
	const fetch: typeof globalThis.fetch = (input, init = {}) => {
		expect(input).toBe('/api/v1/tee/admin/settings');
		const { method = '', headers, body } = init;
		asked.push({
			method,
			headers: new Headers(headers),
			body: typeof body === 'string' ? JSON.parse(body) : undefined
		});
		const reply = replies.shift();
		if (!reply) throw new Error('asked too often');
		if (reply instanceof Error) return Promise.reject(reply);
		const [status, document] = reply;
		const text = typeof document === 'string' ? document : JSON.stringify(document);
		return Promise.resolve(new Response(text, { status }));
	};
	const changed = vi.fn();
	const store = createAdministration(makeEnvironment(fetch), changed);
	const now = (): Administered => store.state.get();
	return { ...store, asked, changed, now, told: () => now().told };
};

const refusal = (code: string, more: object = {}) => ({
	status: false,
	code,
	detail: 'Why.',
	...more
});
const BLOCKED = settingsDocument({ enforcement: { value: 'block', stored: true } }, 'v2');

describe('the settings of all', () => {
	it('are asked for with the token, and known as the server tells them', async () => {
		const { load, asked, now } = begin([200, settingsDocument()]);
		await load();
		expect(asked).toMatchObject([{ method: 'GET', body: undefined }]);
		expect(asked[0]?.headers.get('authorization')).toBe('Bearer session-token');
		expect(Object.keys(now().rows).sort()).toEqual(Object.values(GROUPS).flat().sort());
		expect(now()).toMatchObject({ version: 'v1', problem: '', draft: {}, told: null, busy: false });
	});

	it('are not asked for by somebody who is not signed in', async () => {
		const fetch = vi.fn<typeof globalThis.fetch>();
		const env = makeEnvironment(fetch, { token: () => '' });
		await createAdministration(env, () => undefined).load();
		expect(fetch).not.toHaveBeenCalled();
	});

	it.each([
		[401, refusal('not-allowed')],
		[403, refusal('not-allowed')]
	])('are nothing to who is no administrator: %s', async (status, document) => {
		const { load, edit, now } = begin([200, settingsDocument()], [status, document]);
		await load();
		edit('policy', '{}');
		await load();
		expect(now()).toMatchObject({ rows: {}, draft: {}, told: null });
	});

	it('say why they could not be had', async () => {
		const { load, told } = begin(
			[403, refusal('sealed-required')],
			[200, '<html>'],
			[200, settingsDocument({ policy: { value: 7 } })],
			new TypeError('Failed to fetch')
		);
		await load();
		expect(told()).toEqual({ kind: 'not-loaded', detail: 'Why.' });
		for (let time = 0; time < 3; time += 1) {
			await load();
			expect(told()).toEqual({ kind: 'not-loaded', code: 'quote-unreachable' });
		}
	});

	it('are given up after half a minute', async () => {
		const clock = fakeClock();
		const fetch = () => new Promise<Response>(() => undefined);
		const env = makeEnvironment(fetch, { later: clock.later });
		const { load, state } = createAdministration(env, () => undefined);
		const loading = load();
		expect(state.get().busy).toBe(true);
		clock.advance(30_000);
		await loading;
		expect(state.get()).toMatchObject({ busy: false, told: { kind: 'not-loaded' } });
	});

	it('take a row that does not say whether it is fixed for one that is', async () => {
		const document = settingsDocument({ enforcement: { fixed: undefined } });
		const { load, edit, now } = begin([200, document]);
		await load();
		edit('enforcement', 'off');
		expect([now().rows.enforcement?.fixed, now().draft]).toEqual([true, {}]);
	});
});

describe('what was typed', () => {
	it('is what differs, and can be taken back', async () => {
		const { load, edit, back, now } = begin([
			200,
			settingsDocument({ relay: { value: 'alibaba', stored: true } })
		]);
		await load();
		edit('enforcement', 'block');
		edit('relay', 'trustee');
		edit('nothing of ours', 'x');
		expect(now().draft).toEqual({ enforcement: 'block', relay: 'trustee' });
		edit('enforcement', 'warn');
		back('relay');
		back('policy');
		expect(now().draft).toEqual({ relay: null });
	});

	it('is stored for the version that was seen, and then is typed no more', async () => {
		const { load, edit, save, asked, now, changed } = begin(
			[200, settingsDocument()],
			[200, BLOCKED]
		);
		await load();
		edit('enforcement', 'block');
		await save();
		expect(asked[1]).toMatchObject({
			method: 'PUT',
			body: { v: 1, values: { enforcement: 'block' } }
		});
		expect(asked[1]?.headers.get('if-match')).toBe('"v1"');
		expect(now()).toMatchObject({ version: 'v2', draft: {}, told: { kind: 'saved' } });
		expect(now().rows.enforcement?.value).toBe('block');
		expect(changed).toHaveBeenCalledTimes(1);
	});

	it('stays where it was typed while the rest was stored', async () => {
		const { load, edit, save, now } = begin([200, settingsDocument()], [200, BLOCKED]);
		await load();
		edit('enforcement', 'block');
		const saving = save();
		edit('policy', '{"v":1}');
		await saving;
		expect(now()).toMatchObject({ draft: { policy: '{"v":1}' }, told: { kind: 'saved' } });
	});

	it('stays where the server refuses it, with what is wrong at its setting', async () => {
		const errors = { trustee_url: { code: 'bad-address', detail: 'It must be …' } };
		const { load, edit, save, now, changed } = begin(
			[200, settingsDocument()],
			[400, refusal('settings-wrong', { errors })]
		);
		await load();
		edit('trustee_url', 'ftp://x');
		await save();
		expect(now()).toMatchObject({
			draft: { trustee_url: 'ftp://x' },
			wrong: errors,
			told: { kind: 'wrong' }
		});
		expect(changed).not.toHaveBeenCalled();
		edit('trustee_url', 'https://x');
		expect(now()).toMatchObject({ wrong: {}, told: null });
	});

	it('stays where somebody else was first, beside what they stored', async () => {
		const { load, edit, save, now, asked } = begin(
			[200, settingsDocument()],
			[412, refusal('settings-changed')],
			[200, BLOCKED]
		);
		await load();
		edit('enforcement', 'off');
		edit('policy', '{"v":1}');
		await save();
		expect(asked.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET']);
		expect(now()).toMatchObject({
			version: 'v2',
			draft: { enforcement: 'off', policy: '{"v":1}' },
			told: { kind: 'changed' }
		});
	});

	it('stays where nothing was stored, or nobody knows', async () => {
		const sentence = 'Nothing was sent.';
		const { load, edit, save, now, told, changed } = begin(
			[200, settingsDocument()],
			[503, refusal('settings-not-stored')],
			[200, 'cut off'],
			new TypeError('Failed to fetch'),
			new Refused('blocked', sentence)
		);
		await load();
		edit('enforcement', 'block');
		const kinds: unknown[] = [];
		for (let time = 0; time < 4; time += 1) {
			await save();
			kinds.push(told());
			expect(now().draft).toEqual({ enforcement: 'block' });
		}
		expect(kinds).toEqual([
			{ kind: 'not-saved', detail: 'Why.' },
			{ kind: 'unsure', code: 'quote-unreachable' },
			{ kind: 'unsure', code: 'quote-unreachable' },
			{ kind: 'not-saved', detail: sentence }
		]);
		expect(changed).not.toHaveBeenCalled();
	});

	it('is not sent where a page would not take it', async () => {
		const { load, edit, save, asked, now } = begin([200, settingsDocument()]);
		await load();
		edit('policy', '{"v":1,"reference_valves":{}}');
		await save();
		expect(asked).toHaveLength(1);
		expect(now().wrong.policy?.code).toBe('policy-malformed');
	});

	it('is sent once, however often one clicks', async () => {
		const { load, edit, save, asked } = begin([200, settingsDocument()], [200, BLOCKED]);
		await load();
		await save(); // there is nothing yet
		edit('enforcement', 'block');
		await Promise.all([save(), save(), load()]);
		expect(asked).toHaveLength(2);
	});
});

describe('a file that the server cannot read', () => {
	const problem = { code: 'settings-unreadable', detail: 'It is not JSON.' };
	const broken = () =>
		settingsDocument(
			{
				enforcement: { value: 'block' },
				statement: { fixed: true, value: 'on' }
			},
			'v1',
			problem
		);

	it('has every free setting sent: as typed, or as its first value', async () => {
		const { load, edit, save, asked, now } = begin([200, broken()], [200, settingsDocument()]);
		await load();
		expect(now().problem).toBe('It is not JSON.');
		edit('relay', 'alibaba');
		edit('enforcement', 'block'); // as it holds meanwhile, and not as it was set
		await save();
		const { values } = asked[1]?.body as { values: Record<string, unknown> };
		const free = Object.values(GROUPS)
			.flat()
			.filter((name) => name !== 'statement');
		expect(Object.keys(values).sort()).toEqual([...free].sort());
		const sent = Object.entries(values).filter(([, text]) => text !== null);
		expect(Object.fromEntries(sent)).toEqual({ relay: 'alibaba', enforcement: 'block' });
	});
});

it('reads no more of a row than a form can show', async () => {
	const choices = Array.from({ length: 100 }, String);
	const { load, now } = begin([200, settingsDocument({ relay: { choices } })]);
	await load();
	expect(now().rows.relay?.choices).toHaveLength(32);
	expect(settingRow('relay').choices.length).toBeLessThan(32);
});
