/**
 * The directions of the page's code (docs/development.md): each room may import those below it,
 * types included, and nothing goes round in a circle.
 */
const ROOMS = [
	['ui'],
	['i18n', 'session'],
	['providers'],
	['dcap', 'token', 'evidence', 'policy'],
	['transport'],
	['base']
];

/** Everything above a room, as a pattern of its files. */
const above = (level) => `^src/(${ROOMS.slice(0, level).flat().join('|')})/`;

module.exports = {
	forbidden: [
		{ name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
		{
			name: 'no-unresolved',
			severity: 'error',
			from: {},
			to: { couldNotResolve: true, dependencyTypesNot: ['core'] }
		},
		...ROOMS.slice(1).map((rooms, at) => ({
			name: `not-upwards-from-${rooms[0]}`,
			severity: 'error',
			from: { path: `^src/(${rooms.join('|')})/` },
			to: { path: above(at + 1) }
		})),
		{
			// What a page loads at its start stays small: nothing of the rest gets into it.
			name: 'places-and-loader-stand-alone',
			severity: 'error',
			from: { path: '^src/(guard/|places/|loader\\.ts$)' },
			to: {
				path: '^src/',
				pathNot: '^src/(guard/|places/|transport/|base/content\\.ts$|i18n/(broken|tags)\\.ts$)',
				dependencyTypesNot: ['type-only']
			}
		},
		{
			name: 'nothing-beside-the-loader-asks',
			severity: 'error',
			from: { path: '^src/(guard|places)/' },
			to: { path: '^src/transport/' }
		},
		{
			name: "places-are-the-loader's-own",
			severity: 'error',
			from: { path: '^src/', pathNot: '^src/(guard/|places/|loader\\.ts$)' },
			to: { path: '^src/(guard|places)/' }
		},
		{
			name: 'nothing-imports-the-entry-points',
			severity: 'error',
			from: { path: '^src/[^/]+/' },
			to: { path: '^src/[^/]+\\.ts$' }
		}
	],
	options: {
		tsPreCompilationDeps: true,
		tsConfig: { fileName: 'tsconfig.json' },
		doNotFollow: { path: 'node_modules' }
	}
};
