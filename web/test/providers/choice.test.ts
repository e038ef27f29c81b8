import { describe, expect, it } from 'vitest';
import { choose, parseConfig, suggestedTo } from '../../src/providers/choice';
import { defaults } from '../../src/session/settings';

describe('the server’s suggestions', () => {
	it.each([
		'',
		'x',
		'[]',
		'{"default_provider":"evil","providers":null}',
		'{"default_provider":1,"providers":{"trustee":{"url":1,"relay":"yes"}}}',
		'{"providers":{"trustee":{"url":"ftp://evil.example","relay":1}}}',
		'{"providers":{"trustee":{"url":null,"relay":true}}}'
	])('%s count as not said', (text) => {
		const config = parseConfig(text);
		expect(config.defaultProvider).toBeNull();
		expect(config.enforcement).toBeUndefined();
		expect([config.url('trustee'), config.relay('trustee')]).toEqual(['', '']);
	});

	it('of keys and policy are texts that settings could hold', () => {
		const KEYS = '{"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]}';
		const read = (keys: unknown, policy: unknown) => {
			const config = parseConfig(JSON.stringify({ policy, providers: { trustee: { keys } } }));
			const choice = { ...choose(defaults(), config), provider: 'trustee' as const };
			return { config, ...suggestedTo(defaults(), config, choice), choice };
		};
		for (const wrong of [null, 1, {}, 'x', '{"v":2}', '[]', ' '.repeat(1 << 17)]) {
			expect(read(wrong, wrong)).toMatchObject({ keys: '', policy: '' });
		}
		const { config, choice, keys, policy } = read(KEYS, '{"v":1}');
		expect([keys, policy]).toEqual([KEYS, '{"v":1}']);
		// Not where the person's own word stands.
		const own = { ...defaults(), keys: { ...defaults().keys, trustee: 'K' }, policy: 'P' };
		expect(suggestedTo(own, config, choice)).toEqual({ keys: '', policy: '' });
		expect(suggestedTo(defaults(), config, { ...choice, provider: 'alibaba' }).keys).toBe('');
	});

	it('of the provider that asks nobody are no reason to trust less', () => {
		const suggested = {
			default_provider: 'dcap',
			providers: { dcap: { url: null, relay: null, root: 'BA' } }
		};
		const config = parseConfig(JSON.stringify(suggested));
		expect(choose(defaults(), config)).toEqual({
			provider: 'dcap',
			address: '',
			path: '',
			keys: '',
			logs: false,
			serverChosen: false
		});
		expect(config.root).toBe('BA');
		expect(parseConfig('').root).toBeUndefined();
	});

	it('of how strict to be are words that are known, or else the strictest', () => {
		for (const word of ['off', 'warn', 'block'] as const) {
			expect(parseConfig(JSON.stringify({ enforcement: word })).enforcement).toBe(word);
		}
		for (const word of ['none', '', null, 0, ['off']]) {
			expect(parseConfig(JSON.stringify({ enforcement: word })).enforcement).toBe('block');
		}
	});

	it('never stand above the user’s and the built-in choice', () => {
		const config = parseConfig(
			JSON.stringify({
				default_provider: 'alibaba',
				providers: {
					alibaba: { url: 'https://evil.example' },
					trustee: { url: 'https://evil.example' }
				}
			})
		);
		const user = { ...defaults(), provider: 'trustee' as const };
		user.addresses.trustee = 'https://mine.example/';
		expect(choose(user, config)).toMatchObject({
			address: 'https://mine.example',
			serverChosen: false
		});
		expect(choose(defaults(), config)).toMatchObject({ provider: 'alibaba', serverChosen: false });
		expect(choose(defaults(), config).address).not.toContain('evil');
		user.addresses.trustee = 'https://mine.example/as/attestation/';
		expect(choose(user, config).address).toBe('https://mine.example/as');
		user.addresses.trustee = '';
		expect(choose(user, config)).toMatchObject({
			address: 'https://evil.example',
			serverChosen: true
		});
	});
});
