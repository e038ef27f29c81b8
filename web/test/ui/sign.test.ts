import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { STEPS } from '../../src/base/steps';
import en, { type Catalogue } from '../../src/i18n/en';
import zhHans from '../../src/i18n/zh-hans';
import { SHAPES } from '../../src/ui/sign';

const doc = (name: string): string =>
	readFileSync(join(import.meta.dirname, '../../../docs', name), 'utf8');

describe('the pages for those who chat', () => {
	it.each(Object.entries(SHAPES))('draw %s as the badge does', (kind, shape) => {
		expect(doc(`images/sign-${kind}.svg`)).toContain(` d="${shape}"`);
		expect(doc('users.md')).toContain(`images/sign-${kind}.svg`);
		expect(doc('zh-CN/users.md')).toContain(`images/sign-${kind}.svg`);
	});

	it.each<[string, Catalogue]>([
		['users.md', en],
		['zh-CN/users.md', zhHans]
	])('name the three steps as the panel does (%s)', (page, texts) => {
		for (const step of STEPS) expect(doc(page)).toContain(`**${texts[`step.${step}`]}`);
	});
});
