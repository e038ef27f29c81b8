import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const WEB = join(import.meta.dirname, '..');
/** Statements that may not be, each with the file that gets it and the rule against it. */
const BREACHES = [
	['src/base/der.ts', "import '../dcap/verify';", 'not-upwards-from-base'],
	[
		'src/base/hex.ts',
		"export type { Provider } from '../providers/provider';",
		'not-upwards-from-base'
	],
	['src/transport/courier.ts', "import '../token/jwt';", 'not-upwards-from-transport'],
	['src/dcap/tcb.ts', "import '../providers/registry';", 'not-upwards-from-dcap'],
	[
		'src/providers/choice.ts',
		"import type {} from '../session/session';",
		'not-upwards-from-providers'
	],
	['src/session/backoff.ts', "import '../ui/state';", 'not-upwards-from-i18n'],
	['src/places/finder.ts', "import '../i18n/texts';", 'places-and-loader-stand-alone'],
	['src/loader.ts', "import './base/encoding';", 'places-and-loader-stand-alone'],
	['src/places/chat.ts', "import '../transport/gate';", 'nothing-beside-the-loader-asks'],
	['src/ui/state.ts', "import type {} from '../places/keeper';", "places-are-the-loader's-own"],
	['src/ui/theme.ts', "import '../page';", 'nothing-imports-the-entry-points'],
	['src/base/record.ts', "import type {} from './record';", 'no-circle'],
	['src/evidence/merkle.ts', "import './no-such-file';", 'no-unresolved']
] as const;

interface Found {
	summary: { violations: { from: string; rule: { name: string } }[] };
}

/** What dependency-cruiser finds in a folder that is laid out like this one. */
const violations = (folder: string): string[] => {
	const program = join(WEB, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
	const options = ['--config', 'dependency-rules.cjs', '--output-type', 'json', 'src'];
	const output = execFileSync(process.execPath, [program, ...options], {
		cwd: folder,
		encoding: 'utf8',
		maxBuffer: 64 << 20
	});
	const { summary } = JSON.parse(output) as Found;
	return summary.violations.map(({ from, rule }) => `${from}: ${rule.name}`);
};

describe('the directions of imports', () => {
	let copy: string;
	beforeAll(() => {
		const top = mkdtempSync(join(tmpdir(), 'directions-'));
		copy = join(top, 'web');
		cpSync(join(WEB, 'src'), join(copy, 'src'), { recursive: true });
		for (const name of ['dependency-rules.cjs', 'tsconfig.json', 'package.json']) {
			cpSync(join(WEB, name), join(copy, name));
		}
		const anchors = 'patches/open-webui/anchors.json';
		cpSync(join(WEB, '..', anchors), join(top, anchors));
		symlinkSync(join(WEB, 'node_modules'), join(copy, 'node_modules'));
	});
	afterAll(() => {
		rmSync(join(copy, '..'), { recursive: true });
	});

	it('hold, and every breach is seen, of types too', () => {
		expect(violations(copy)).toEqual([]);
		writeFileSync(join(copy, 'src/base/hex.ts'), '');
		for (const [file, statement] of BREACHES) appendFileSync(join(copy, file), `\n${statement}\n`);
		const found = violations(copy);
		for (const [file, , rule] of BREACHES) expect(found).toContain(`${file}: ${rule}`);
	}, 60_000);
});
