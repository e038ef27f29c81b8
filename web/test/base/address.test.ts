import { describe, expect, it } from 'vitest';
import { normaliseAddress } from '../../src/base/address';
import { Problem } from '../../src/base/problem';

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
