import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build, LIMITS } from '../build.js';

const WEB = join(import.meta.dirname, '..');
const PACKAGES = ['lit', 'lit-html', 'lit-element', '@lit', '@noble', 'nanostores'];

/** A copy of all that the build reads, in a folder of another name; `sources` is its src/. */
const copyTo = (folder: string): string => {
	const web = join(folder, 'web');
	const name = 'patches/open-webui/anchors.json';
	cpSync(join(WEB, 'src'), join(web, 'src'), { recursive: true });
	cpSync(join(WEB, 'tsconfig.json'), join(web, 'tsconfig.json'));
	cpSync(join(WEB, '..', name), join(folder, name));
	for (const one of PACKAGES) {
		cpSync(join(WEB, 'node_modules', one), join(web, 'node_modules', one), { recursive: true });
	}
	return web;
};

const read = (contents: string | Uint8Array): string => Buffer.from(contents).toString();

let folder: string;
let bundle: Awaited<ReturnType<typeof build>>;
let again: typeof bundle;

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), 'another folder '));
	bundle = await build(WEB);
	again = await build(copyTo(folder));
}, 120_000);
afterAll(() => {
	rmSync(folder, { recursive: true });
});

describe('the bundle', () => {
	const scripts = () => Object.entries(bundle.files).filter(([name]) => name.endsWith('.js'));

	it('is the same bytes wherever it is built', () => {
		const text = ({ files }: typeof bundle) =>
			Object.entries(files).map(([name, contents]) => [name, read(contents)]);
		expect(text(again)).toEqual(text(bundle));
	});

	it('weighs no more than it may', () => {
		expect(bundle.weight.loader).toBeLessThanOrEqual(LIMITS.loader);
		expect(bundle.weight.worker).toBeLessThanOrEqual(LIMITS.worker);
		expect(bundle.weight.onDemand).toBeLessThanOrEqual(LIMITS.onDemand);
		expect(bundle.weight.apart).toBeLessThanOrEqual(LIMITS.apart);
		// None is empty, so that all were measured.
		const weights = Object.values<number>({ ...bundle.weight });
		expect(Math.min(...weights)).toBeGreaterThan(1_000);
	});

	it('has a manifest that names each piece with its hash, and those that others begin with', () => {
		const manifest = JSON.parse(read(bundle.files['manifest.json'] ?? '')) as unknown;
		const hash = (contents: string | Uint8Array) =>
			createHash('sha256').update(contents).digest('hex');
		expect(manifest).toEqual({
			v: 1,
			loader: expect.stringMatching(/^loader-[A-Z0-9]{8}\.js$/) as unknown,
			worker: expect.stringMatching(/^worker-[A-Z0-9]{8}\.js$/) as unknown,
			auditors: expect.stringMatching(/^auditors-[A-Z0-9]{8}\.js$/) as unknown,
			files: Object.fromEntries(scripts().map(([name, contents]) => [name, hash(contents)]))
		});
		for (const [name] of scripts()) expect(name).toMatch(/^[A-Za-z0-9-]+\.js$/);
	});

	it('has its pieces under the names by which they are asked for', () => {
		for (const [asker, piece] of [
			['loader', 'page'],
			['loader', 'sealing'],
			['worker', 'reverted']
		] as const) {
			const script = scripts().find(([name]) => name.startsWith(`${asker}-`))?.[1] ?? '';
			const [name = ''] = new RegExp(`${piece}-[A-Z0-9]{8}\\.js`).exec(read(script)) ?? [];
			expect(Object.keys(bundle.files)).toContain(name);
			expect(read(script)).not.toMatch(/[A-Z]_PIECE/);
		}
	});

	it('tells no path of the machine it was built on', () => {
		for (const [name, contents] of scripts()) {
			const text = read(contents);
			expect([name, text.includes(WEB), text.includes('node_modules')]).toEqual([
				name,
				false,
				false
			]);
		}
	});

	it('comes with the licenses of what others wrote', () => {
		const text = read(bundle.files['LICENSES.txt'] ?? '');
		for (const name of [
			'lit',
			'lit-html',
			'lit-element',
			'@lit/reactive-element',
			'@noble/hashes',
			'nanostores'
		]) {
			expect(text).toMatch(new RegExp(`^${name}$`, 'm'));
		}
		expect(text).toContain('BSD 3-Clause License');
		expect(text).toContain('Redistributions in binary form must reproduce');
	});

	it('is not built where it is too heavy', async () => {
		for (const part of ['loader', 'worker', 'onDemand', 'apart']) {
			const limits = { loader: 1e6, worker: 1e6, onDemand: 1e6, apart: 1e6, [part]: 100 };
			await expect(build(WEB, limits)).rejects.toThrow(`(${part})`);
		}
	});
});
