/** The page's own code for programs outside of a browser. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const WEB = path('../../web/');
const BUILT = path('../../out/conformance/');

/** TypeScript and JSON below these folders of web/, by name and content. */
const hashOf = (entry, folders) => {
	const hash = createHash('sha256').update(entry);
	for (const folder of folders) {
		for (const name of readdirSync(WEB + folder, { recursive: true }).sort()) {
			if (!/\.(ts|json)$/.test(name)) continue;
			hash.update(`\0${folder}/${name}\0`).update(readFileSync(`${WEB}${folder}/${name}`));
		}
	}
	return hash.digest('hex').slice(0, 32);
};

/**
 * What `entry` exports, a TypeScript text whose imports count from web/; built once for each content
 * that the folders have from which it imports.
 */
export const load = async (prefix, entry, folders) => {
	const file = `${BUILT}${prefix}-${hashOf(entry, folders)}.mjs`;
	if (!existsSync(file)) {
		// There once the packages of web/ are installed.
		const { build } = createRequire(`${WEB}package.json`)('esbuild');
		const partial = `${file}.${process.pid}`;
		mkdirSync(BUILT, { recursive: true });
		await build({
			stdin: { contents: entry, resolveDir: WEB, loader: 'ts' },
			bundle: true,
			format: 'esm',
			platform: 'node',
			target: 'es2022',
			outfile: partial,
			logLevel: 'error'
		});
		renameSync(partial, file); // whole or not at all: runs may overlap
	}
	return import(file);
};
