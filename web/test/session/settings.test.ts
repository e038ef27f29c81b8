import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSettings, defaults, parseSettings, STORAGE_KEY } from '../../src/session/settings';
import { fakeStorage, refusingStorage } from '../support/environment';
import { must } from '../support/must';
import { makeSigner } from '../support/pretended-service';
import { problemOf } from '../support/problems';

const { jwk } = makeSigner('ES256');

const memory = (text: string | null = null) =>
	fakeStorage(new Map(text === null ? [] : [[STORAGE_KEY, text]]));

describe('stored settings', () => {
	it('are the defaults where there are none', () => {
		expect(createSettings(memory()).state.get()).toEqual({ settings: defaults(), broken: false });
		expect(defaults()).toMatchObject({ enabled: true, provider: null });
	});

	it.each([
		'',
		'x',
		'null',
		'[]',
		'{}',
		'{"v":2}',
		'{"v":1,"enabled":"yes"}',
		'{"v":1,"enabled":null}',
		'{"v":1,"provider":"evil"}',
		'{"v":1,"provider":"constructor"}',
		'{"v":1,"addresses":[]}',
		'{"v":1,"addresses":{"trustee":1}}',
		'{"v":1,"addresses":{"trustee":"http://a.example"}}',
		'{"v":1,"logs":true}',
		'{"v":1,"logs":{"trustee":"yes"}}',
		'{"v":1,"logs":{"itta":true}}',
		'{"v":1,"keys":{"trustee":"x"}}',
		`{"v":1,"keys":{"trustee":"${'x'.repeat(1 << 17)}"}}`,
		'{"v":1,"enforcement":"none"}',
		'{"v":1,"enforcement":["block"]}',
		'{"v":1,"policy":{}}',
		`{"v":1,"policy":"${'x'.repeat(1 << 17)}"}`,
		'{"v":1,"v":1}'
	])('%j are not read, and stay as they are', (text) => {
		const storage = memory(text);
		expect(createSettings(storage).state.get()).toEqual({ settings: defaults(), broken: true });
		expect(storage.items.get(STORAGE_KEY)).toBe(text);
	});

	it('of random content never crash', () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
				expect(createSettings(memory(text)).state.get().settings.v).toBe(1);
			})
		);
	});

	it('come back as they were written', () => {
		const storage = memory();
		const first = createSettings(storage);
		first.change((s) => {
			s.enabled = false;
			s.provider = 'trustee';
			s.addresses = { alibaba: 'https://a.example', trustee: 'https://t.example', dcap: '' };
			s.policy = '{"v":1}';
			s.keys.trustee = JSON.stringify({ keys: [jwk] });
			s.logs.trustee = true;
		});
		const written = first.state.get();
		expect(createSettings(storage).state.get()).toEqual(written);
		expect(parseSettings(must(storage.items.get(STORAGE_KEY)))).toEqual(written.settings);
	});

	it('keep both addresses when the provider changes to and fro', () => {
		const store = createSettings(memory());
		store.change((s) => (s.addresses.alibaba = 'https://a.example'));
		store.change((s) => (s.provider = 'trustee'));
		store.change((s) => (s.addresses.trustee = 'https://t.example'));
		store.change((s) => (s.provider = 'alibaba'));
		expect(store.state.get().settings.addresses).toMatchObject({
			alibaba: 'https://a.example',
			trustee: 'https://t.example'
		});
	});

	it('take plain HTTP where the keys are pinned, and keep the pin with it', () => {
		const store = createSettings(memory());
		store.change((s) => {
			s.addresses.trustee = 'http://192.0.2.1:8080';
			s.keys.trustee = JSON.stringify(jwk);
		});
		const stored = store.state.get().settings;
		expect(stored.addresses.trustee).toBe('http://192.0.2.1:8080');
		const unpin = problemOf(() => {
			store.change((s) => (s.keys.trustee = ''));
		});
		expect(unpin?.code).toBe('http-unpinned');
		expect(store.state.get().settings).toEqual(stored);
	});

	it('send no logs where nobody chose that, as before there was a choice', () => {
		const before = '{"v":1,"enabled":true,"provider":"trustee"}';
		expect(parseSettings(before).logs).toEqual({ alibaba: false, trustee: false, dcap: false });
	});

	it('are not changed by a bad value', () => {
		const storage = memory();
		const store = createSettings(storage);
		const bad: Parameters<typeof store.change>[0][] = [
			(s) => (s.addresses.trustee = 'ftp://a.example'),
			(s) => (s.addresses.trustee = 'http://a.example'),
			(s) => (s.keys.alibaba = JSON.stringify({ ...jwk, d: 'x' }))
		];
		const refusals = bad.map((edit) =>
			problemOf(() => {
				store.change(edit);
			})
		);
		const codes = refusals.map((refusal) => refusal?.code);
		expect(codes).toEqual(['bad-address', 'http-unpinned', 'keys-malformed']);
		expect(storage.items.size).toBe(0);
		expect(store.state.get()).toEqual({ settings: defaults(), broken: false });
	});

	it('hold for the page where storage is full', () => {
		const store = createSettings({ getItem: () => null, setItem: refusingStorage.setItem });
		store.change((s) => (s.enabled = false));
		expect(store.state.get().settings.enabled).toBe(false);
	});

	it('are not changed where storage is forbidden', () => {
		const store = createSettings(refusingStorage);
		const refusal = problemOf(() => {
			store.change((s) => (s.enabled = false));
		});
		expect(refusal?.code).toBe('settings-unreadable');
		expect(store.state.get()).toEqual({ settings: defaults(), broken: true });
	});

	it('follow another tab', () => {
		const storage = memory();
		const store = createSettings(storage);
		createSettings(storage).change((s) => (s.provider = 'trustee'));
		store.reload();
		expect(store.state.get().settings.provider).toBe('trustee');
	});
});
