import fc from 'fast-check';
import { get } from 'svelte/store';
import { describe, expect, it } from 'vitest';
import { Problem } from '$lib/tee/problem';
import {
	choose,
	createSettings,
	defaults,
	normaliseAddress,
	parseConfig,
	parseSettings,
	STORAGE_KEY
} from '$lib/tee/settings';
import { makeSigner } from './world';

const { jwk } = makeSigner('ES256');

const memory = (text: string | null = null) => {
	const items = new Map(text === null ? [] : [[STORAGE_KEY, text]]);
	return {
		items,
		getItem: (name: string) => items.get(name) ?? null,
		setItem: (name: string, value: string) => void items.set(name, value)
	};
};

describe('addresses', () => {
	it.each([
		['https://a.example', 'https://a.example'],
		[' https://A.example/ ', 'https://a.example'],
		['https://a.example:443//', 'https://a.example'],
		['https://a.example:8443/as/', 'https://a.example:8443/as'],
		['http://localhost:8080', 'http://localhost:8080'],
		['http://127.0.0.1:8080/', 'http://127.0.0.1:8080'],
		['http://127.8.9.1', 'http://127.8.9.1'],
		['http://[::1]:8080', 'http://[::1]:8080']
	])('%s is %s', (text, expected) => {
		expect(normaliseAddress(text)).toBe(expected);
	});

	it.each([
		'',
		'a.example',
		'/as',
		'http://a.example',
		'http://127.0.0.1.evil.example',
		'http://localhost.evil.example',
		'http://evil.example/?http://localhost',
		'https://user@a.example',
		'https://:pw@a.example',
		'https://a.example?x=1',
		'https://a.example#x',
		'ftp://a.example',
		'javascript:alert(1)',
		'data:text/html,x',
		'https://',
		null as unknown as string
	])('%j is refused', (text) => {
		expect(() => normaliseAddress(text)).toThrow(Problem);
	});
});

describe('stored settings', () => {
	it('are the defaults where there are none', () => {
		expect(get(createSettings(memory()))).toEqual({ settings: defaults(), broken: false });
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
		'{"v":1,"keys":{"trustee":"x"}}',
		`{"v":1,"keys":{"trustee":"${'x'.repeat(1 << 17)}"}}`,
		'{"v":1,"policy":{}}',
		`{"v":1,"policy":"${'x'.repeat(1 << 17)}"}`,
		'{"v":1,"v":1}'
	])('%j give the defaults and a notice, and stay as they are', (text) => {
		const storage = memory(text);
		expect(get(createSettings(storage))).toEqual({ settings: defaults(), broken: true });
		expect(storage.items.get(STORAGE_KEY)).toBe(text);
	});

	it('of random content never crash', () => {
		fc.assert(
			fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
				expect(get(createSettings(memory(text))).settings.v).toBe(1);
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
		});
		expect(get(createSettings(storage))).toEqual(get(first));
		expect(parseSettings(storage.items.get(STORAGE_KEY) as string)).toEqual(get(first).settings);
	});

	it('keep both addresses when the provider changes to and fro', () => {
		const store = createSettings(memory());
		store.change((s) => (s.addresses.alibaba = 'https://a.example'));
		store.change((s) => (s.provider = 'trustee'));
		store.change((s) => (s.addresses.trustee = 'https://t.example'));
		store.change((s) => (s.provider = 'alibaba'));
		expect(get(store).settings.addresses).toMatchObject({ alibaba: 'https://a.example', trustee: 'https://t.example' });
	});

	it('are not changed by a bad value', () => {
		const storage = memory();
		const store = createSettings(storage);
		const codes: unknown[] = [];
		const bad: Array<Parameters<typeof store.change>[0]> = [
			(s) => (s.addresses.trustee = 'http://a.example'),
			(s) => (s.keys.alibaba = JSON.stringify({ ...jwk, d: 'x' }))
		];
		for (const edit of bad) {
			try {
				store.change(edit);
			} catch (error) {
				codes.push((error as Problem).code);
			}
		}
		expect(codes).toEqual(['bad-address', 'keys-malformed']);
		expect(storage.items.size).toBe(0);
		expect(get(store)).toEqual({ settings: defaults(), broken: false });
	});

	it('hold for the page where storage is full or forbidden', () => {
		const store = createSettings({
			getItem: () => {
				throw new DOMException('', 'SecurityError');
			},
			setItem: () => {
				throw new DOMException('', 'QuotaExceededError');
			}
		});
		store.change((s) => (s.enabled = false));
		expect(get(store).settings.enabled).toBe(false);
	});

	it('follow another tab', () => {
		const storage = memory();
		const store = createSettings(storage);
		createSettings(storage).change((s) => (s.provider = 'trustee'));
		store.reload();
		expect(get(store).settings.provider).toBe('trustee');
	});
});

describe('the server’s suggestions', () => {
	it.each([
		'',
		'x',
		'[]',
		'{"default_provider":"evil","providers":null}',
		'{"default_provider":1,"providers":{"trustee":{"url":1,"relay":"yes"}}}',
		'{"providers":{"trustee":{"url":"http://evil.example","relay":1}}}'
	])('%s count as not said', (text) => {
		const config = parseConfig(text);
		expect(config.defaultProvider).toBeNull();
		expect([config.url('trustee'), config.relay('trustee')]).toEqual(['', false]);
	});

	it('of the provider that asks nobody are no reason to trust less', () => {
		const suggested = { default_provider: 'dcap', providers: { dcap: { url: null, relay: false, root: 'BA' } } };
		const config = parseConfig(JSON.stringify(suggested));
		expect(choose(defaults(), config)).toEqual({ provider: 'dcap', address: '', keys: '', serverChosen: false });
		expect(config.root).toBe('BA');
		expect(parseConfig('').root).toBeUndefined();
	});

	it('never stand above the user’s and the built-in choice', () => {
		const config = parseConfig(
			JSON.stringify({
				default_provider: 'alibaba',
				providers: { alibaba: { url: 'https://evil.example' }, trustee: { url: 'https://evil.example' } }
			})
		);
		const user = { ...defaults(), provider: 'trustee' as const };
		user.addresses.trustee = 'https://mine.example/';
		expect(choose(user, config)).toMatchObject({ address: 'https://mine.example', serverChosen: false });
		expect(choose(defaults(), config)).toMatchObject({ provider: 'alibaba', serverChosen: false });
		expect(choose(defaults(), config).address).not.toContain('evil');
		user.addresses.trustee = '';
		expect(choose(user, config)).toMatchObject({ address: 'https://evil.example', serverChosen: true });
	});
});
