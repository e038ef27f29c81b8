/**
 * Make the page's bundle in dist/: pieces with a hash in their names, manifest.json, which names those
 * that others begin with and the SHA-256 of every piece, and LICENSES.txt for what others wrote. The same sources
 * give the same bytes on any machine.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import esbuild from 'esbuild';

/**
 * Bytes after gzip: of what every page loads at its start, of the worker, of all that comes on demand
 * to who chats, in all languages, and of what only administrators and auditors load besides.
 */
export const LIMITS = {
	loader: 14 * 1024,
	worker: 8 * 1024,
	onDemand: 120 * 1024,
	apart: 12 * 1024
};

/** What only administrators and auditors load besides. */
const APART = ['src/ui/admin-form.ts', 'src/auditors.ts'];

/** Templates without the tabs that only make them easy to read: a browser sees one blank in either. */
const withoutIndentation = {
	name: 'without-indentation',
	setup({ onLoad }) {
		onLoad({ filter: /\/src\/ui\/.*\.ts$/ }, async ({ path }) => {
			const text = await readFile(path, 'utf8');
			return { contents: text.replace(/^\t+/gm, ''), loader: 'ts' };
		});
	}
};

/** Run one build and return its pieces by name, the names of some of them, and the packages in it. */
const bundle = async (folder, entries, options) => {
	const { outputFiles, metafile } = await esbuild.build({
		absWorkingDir: folder,
		entryPoints: entries,
		outdir: 'dist',
		entryNames: '[name]-[hash]',
		chunkNames: '[name]-[hash]',
		bundle: true,
		minify: true,
		target: 'es2022',
		legalComments: 'none',
		logLevel: 'warning',
		metafile: true,
		plugins: [withoutIndentation],
		write: false,
		...options
	});
	const names = entries.map((entry) => {
		const [name] = Object.entries(metafile.outputs).find(
			([, { entryPoint }]) => entryPoint === entry
		);
		return basename(name);
	});
	const packages = Object.keys(metafile.inputs).flatMap(
		(path) => /^node_modules\/((@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []
	);
	const apart = Object.entries(metafile.outputs)
		.filter(([, { entryPoint }]) => APART.includes(entryPoint))
		.map(([path]) => basename(path));
	const pieces = outputFiles.map(({ path, contents }) => [basename(path), contents]);
	return { pieces, names, apart, packages };
};

/** The licenses of these packages, each with its name. */
const licenses = async (folder, packages) => {
	const names = [...new Set(packages)].sort();
	const texts = names.map(async (name) => {
		const text = await readFile(join(folder, 'node_modules', name, 'LICENSE'), 'utf8');
		return `${name}\n\n${text.trim()}\n`;
	});
	return (await Promise.all(texts)).join(`\n${'-'.repeat(78)}\n\n`);
};

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

const gzipped = (pieces) =>
	pieces.reduce((sum, [, bytes]) => sum + gzipSync(bytes, { level: 9 }).length, 0);

/**
 * Build the bundle from the sources in a folder: its files by name, and what they weigh after gzip.
 * Throws where they weigh more than they may.
 */
export const build = async (folder, limits = LIMITS) => {
	const page = await bundle(folder, ['src/page.ts', 'src/sealing.ts', 'src/auditors.ts'], {
		format: 'esm',
		splitting: true
	});
	const [pagePiece, sealingPiece, auditorsPiece] = page.names;
	const loader = await bundle(folder, ['src/loader.ts'], {
		format: 'iife',
		define: {
			PAGE_PIECE: JSON.stringify(pagePiece),
			SEALING_PIECE: JSON.stringify(sealingPiece)
		}
	});
	const reverted = await bundle(folder, ['src/reverted.ts'], { format: 'iife' });
	const worker = await bundle(folder, ['src/worker.ts'], {
		format: 'iife',
		define: { REVERTED_PIECE: JSON.stringify(reverted.names[0]) }
	});
	const onDemand = [...page.pieces, ...reverted.pieces];
	const weight = {
		loader: gzipped(loader.pieces),
		worker: gzipped(worker.pieces),
		onDemand: gzipped(onDemand.filter(([name]) => !page.apart.includes(name))),
		apart: gzipped(page.pieces.filter(([name]) => page.apart.includes(name)))
	};
	for (const [part, limit] of Object.entries(limits)) {
		if (weight[part] > limit) {
			throw new Error(`The bundle is too heavy (${part}): ${weight[part]} of ${limit} bytes.`);
		}
	}

	const all = [...loader.pieces, ...worker.pieces, ...onDemand];
	const pieces = all.sort(([a], [b]) => (a < b ? -1 : 1));
	const hashes = Object.fromEntries(pieces.map(([name, bytes]) => [name, sha256(bytes)]));
	const manifest = {
		v: 1,
		loader: loader.names[0],
		worker: worker.names[0],
		auditors: auditorsPiece,
		files: hashes
	};
	const packages = [...loader.packages, ...worker.packages, ...page.packages];
	const files = {
		...Object.fromEntries(pieces),
		'manifest.json': `${JSON.stringify(manifest, null, '\t')}\n`,
		'LICENSES.txt': await licenses(folder, packages)
	};
	return { files, weight };
};

/** Build, and write the files into dist/ in place of what was there. */
const main = async () => {
	const folder = dirname(fileURLToPath(import.meta.url));
	const { files, weight } = await build(folder);
	const dist = join(folder, 'dist');
	await rm(dist, { recursive: true, force: true });
	await mkdir(dist);
	for (const [name, contents] of Object.entries(files)) await writeFile(join(dist, name), contents);
	const { loader, worker, onDemand, apart } = weight;
	console.log(
		`loader ${loader} bytes, worker ${worker}, on demand ${onDemand}, apart ${apart} (gzip)`
	);
};

if (argv[1] === fileURLToPath(import.meta.url)) await main();
