import { fileURLToPath } from 'node:url';
import { svelte, vitePreprocess } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const RUNTIME = here('./node_modules/svelte/src/runtime');

export default defineConfig({
	plugins: [svelte({ hot: false, configFile: false, preprocess: vitePreprocess() })],
	resolve: {
		// The overlay lies outside this folder: its imports of svelte must end up here.
		alias: [
			{ find: '$lib/tee', replacement: here('../../patches/open-webui/overlay/src/lib/tee') },
			{ find: '$lib', replacement: here('./stubs') },
			{ find: /^svelte\/(.+)$/, replacement: `${RUNTIME}/$1/index.js` },
			{ find: /^svelte$/, replacement: `${RUNTIME}/index.js` }
		]
	},
	server: { fs: { allow: ['../..'] } },
	test: { include: ['*.test.ts'], testTimeout: 20_000 }
});
