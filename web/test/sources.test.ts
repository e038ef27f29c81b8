import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const FOLDER = join(import.meta.dirname, '../src');
const sources = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
	.filter((name) => name.endsWith('.ts'))
	.map((name): [string, string] => [name, readFileSync(join(FOLDER, name), 'utf8')]);

/** What names the ways in which markup gets into a page, in order to stand in them. */
const WATCHES_MARKUP = 'guard/markup.ts';
/** Those that stand in the page itself, and not in its logic. */
const OF_THE_PAGE = /^(page|auditors|loader|sealing|worker|reverted)\.ts$|^(ui|places|guard)\//;

describe('the sources', () => {
	const others = sources.filter(([name]) => name !== WATCHES_MARKUP);
	it.each(others)('%s writes no markup and runs no text', (_name, text) => {
		expect(text).not.toMatch(
			/innerHTML|outerHTML|insertAdjacentHTML|unsafeHTML|unsafeStatic|unsafeSVG|document\.write|eval\(|new Function/
		);
	});

	/** What speaks to developers: there is nobody else at the console. */
	const AT_THE_CONSOLE = ['loader.ts', 'session/told.ts'];

	it('speak to the console in the loader, and of each verdict', () => {
		const speaking = sources.filter(([, text]) => text.includes('console.'));
		expect(speaking.map(([name]) => name)).toEqual(AT_THE_CONSOLE);
	});

	it('say nothing in words of their own: texts for people are in the catalogues', () => {
		/** A text such as 'In this browser' (but no name, such as 'Processor CA'), and words between two tags of a template. */
		const words =
			/(?<quote>['"`])[A-Z][a-z]+ [a-z][^'"`\n]*\k<quote>|(?<!=)>\s*[A-Za-z]{2,}[^<>(){};=]*<\//;
		expect("name: 'In this browser', address").toMatch(words);
		expect('html`<p class="note">No words</p>`').toMatch(words);
		expect("html`<p class=${kind}>${t('panel.more')}</p>`").not.toMatch(words);
		const speaking = sources
			.filter(([name]) => !name.startsWith('i18n/') && !AT_THE_CONSOLE.includes(name))
			.filter(([, text]) => words.test(text.replace(/\/\*[^]*?\*\/|\/\/ .*/g, '')));
		expect(speaking.map(([name]) => name)).toEqual([]);
	});

	it('read globals in the page itself only', () => {
		const logic = sources.filter(([name]) => !OF_THE_PAGE.test(name));
		expect(logic.length).toBeGreaterThan(20);
		const reading = logic.filter(([, text]) =>
			/\b(localStorage|Date\.now|Math\.random|setTimeout|window\.|navigator\.|document\.)/.test(
				text
			)
		);
		expect(reading.map(([name]) => name)).toEqual([]);
	});
});
