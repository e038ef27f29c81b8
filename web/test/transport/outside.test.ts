import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isOutside } from '../../src/transport/outside';
import outside from '../../src/transport/outside.json';

const at = (address: string) => new URL(address, 'https://chat.example');

describe('outside', () => {
	it.each([
		['GET', '/_app/immutable/entry/start.js'],
		['HEAD', '/static/loader.js'],
		['GET', '/health'],
		['GET', '/health/db'],
		['GET', '/manifest.json'],
		['GET', '/user.png'],
		['GET', '/tee'],
		['HEAD', '/tee'],
		['POST', '/api/v1/tee/ohttp'],
		['GET', '/api/v1/tee/quote?nonce=x']
	])('is %s %s', (method, address) => {
		expect(isOutside(method, at(address))).toBe(true);
	});

	it.each([
		['GET', '/'],
		['GET', '/c/1'],
		['GET', '/tee/'],
		['GET', '/tee/x'],
		['GET', '/tee?q=words'],
		['GET', '/teeth'],
		['GET', '/cache/image/generations/1.png'],
		['GET', '/api/config'],
		['GET', '/api/v1/teeth'],
		['GET', '/api/v1/tee/admin/settings'],
		['PUT', '/api/v1/tee/admin/settings'],
		['GET', '/static'],
		['GET', '/assets/emojis/1f622.svg'],
		['GET', '/staticx/a'],
		['GET', '/healthy'],
		['GET', '/user.png/x'],
		['GET', '/static/x?q=words'],
		['POST', '/static/x'],
		['OPTIONS', '/_app/x'],
		['get', '/_app/x'],
		['GET', '/_app/../cache/x'],
		['GET', '/_app/%2e%2e/cache/x'],
		['GET', '/_app/..%2fcache/x'],
		['GET', '/_app/..%5ccache/x'],
		['GET', '/api/v1/tee/..%2f..%2f..%2fcache/x'],
		['GET', '/static//cache/x'],
		['GET', '//static/x']
	])('is not %s %s', (method, address) => {
		expect(isOutside(method, at(address))).toBe(false);
	});

	it('is the same list as the server’s', () => {
		const source = readFileSync(
			join(import.meta.dirname, '../../../backend/cczoo_backend/stock.py'),
			'utf8'
		);
		const listed = (name: string) => {
			const [, list = ''] = source.split(`\n${name} = `);
			return [...(list.split(/\n[)}]/)[0] ?? '').matchAll(/"(\/[^"]*)"/g)]
				.map(([, path]) => path)
				.sort();
		};
		expect(listed('OUTSIDE_FOLDERS')).toEqual([...outside.folders].sort());
		expect(listed('OUTSIDE_FILES')).toEqual([...outside.files].sort());
	});
});
