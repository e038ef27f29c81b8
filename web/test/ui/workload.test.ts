// @vitest-environment jsdom
import { atom } from 'nanostores';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Sections } from '../../src/evidence/statement';
import en from '../../src/i18n/en';
import { createTexts } from '../../src/i18n/texts';
import { notesOf, type Note } from '../../src/policy/notes';
import type { AskedModel } from '../../src/session/chosen';
import type { State } from '../../src/session/session';
import type { Known } from '../../src/session/workload';
import { TrustBadge } from '../../src/ui/badge';
import { showModelQuestion } from '../../src/ui/question';
import { named } from '../../src/ui/words';
import { all, find, makeParts, MARKUP, need, show, textOf, verdict } from './fixture';

const CLOUD = 'api.example.com:443';
const OUTSIDE: Sections = {
	models: {
		listed: true,
		left_out: 0,
		offered: [
			{ id: 'in', where: 'inside', digest: 'sha256:0', address: '127.0.0.1:11434' },
			{ id: `out ${MARKUP}`, where: 'outside', address: CLOUD }
		]
	},
	connections: { left_out: 0, ways: [] }
};

let page: ReturnType<typeof makeParts>;
let badge: TrustBadge;
beforeEach(async () => {
	page = makeParts();
	badge = await show(new TrustBadge(), page.parts);
	need(badge, 'badge').click();
});
afterEach(() => {
	document.body.replaceChildren();
});

const known = (more: Partial<Known> = {}): Known => ({
	sections: OUTSIDE,
	notes: notesOf(OUTSIDE, null),
	facts: [],
	proven: true,
	differences: [],
	readers: [],
	...more
});
const become = async (state: State) => {
	page.state.set(state);
	await badge.updateComplete;
};
const tell = (more: Partial<Known>) => become(verdict('green', [], { workload: known(more) }));
/** Without the marks that keep a name's direction to itself. */
const plain = (element: Element | null) => textOf(element)?.replace(/[\u2066-\u2069]/g, '');
const notes = () => all(badge, 'note').map(plain);

describe('words from outside', () => {
	it('are as they are where they show', () => {
		expect(named('deepseek-r1:70b 模型')).toBe('\u2068deepseek-r1:70b 模型\u2069');
	});

	it.each([
		['\u202eabc', '\\u{202e}abc'],
		['a\u2069b', 'a\\u{2069}b'],
		['a\nb\u0000', 'a\\u{a}b\\u{0}'],
		['a\u00a0b\u3000', 'a\\u{a0}b\\u{3000}'],
		['\u200b\ufeff', '\\u{200b}\\u{feff}'],
		['\ud83d', '\\u{d83d}']
	])('are spelled out where they do not: %j', (text, spelled) => {
		expect(named(text)).toBe(`\u2068${spelled}\u2069`);
	});

	it('are cut where they are long, never within a character', () => {
		expect(named('😀'.repeat(500))).toBe(`\u2068${'😀'.repeat(120)}…\u2069`);
	});
});

describe('what runs there', () => {
	it('is told in words, as text', async () => {
		await tell({});
		expect(notes()).toContain(`! Models outside: out ${MARKUP} → ${CLOUD}`);
		expect(notes()).toContain('✓ Models inside, with measured weights: 1');
		expect(notes()).toContain('! It is not known whether administrators can read chats.');
		expect(notes()).toContain('! It is not known whether the host can read the key of sign-ins');
		expect(badge.renderRoot.querySelector('img, script')).toBeNull();
	});

	it('is bounded', async () => {
		const note: Note = { level: 'amber', code: 'function-active', what: 'tool', name: 'x' };
		const facts = Array.from({ length: 10_000 }, (_, at) => ({
			kind: 'model',
			content: { v: 1, name: `m${at}`, server: 's', digest: 'sha256:0' }
		}));
		await tell({ notes: Array<Note>(10_000).fill(note), facts });
		expect(all(badge, 'note')).toHaveLength(50);
		expect(all(badge, 'measured')).toHaveLength(50);
		expect(textOf(need(badge, 'workload'))).toContain('9950 more are not shown.');
	});

	it('has what was measured behind a fold, and says what proves it', async () => {
		const facts = [{ kind: 'kit', content: { v: 1, version: '0.2\u202e', digest: 'sha256:00' } }];
		await tell({ facts });
		expect(need(badge, 'facts').hasAttribute('open')).toBe(false);
		expect(plain(need(badge, 'measured'))).toBe('kit 0.2\\u{202e} sha256:00');
		expect(textOf(need(badge, 'facts'))).toContain(en['panel.measured.proof']);
		await tell({ facts, proven: false });
		expect(textOf(need(badge, 'facts'))).toContain(en['panel.measured.word']);
	});

	it('tells what has changed, each with its day', async () => {
		await tell({
			differences: [
				{ code: 'other-weights', what: 'model', name: 'r1', since: '2026-05-03' },
				{ code: 'new', what: 'function', name: 'chats', since: '' },
				{ code: 'less-secret', what: 'storage', name: 'chats', since: '2026-05-03' },
				{ code: 'not-remembered', what: 'memory', name: '', since: '' }
			]
		});
		const [weights, code, store, lost] = all(badge, 'difference').map(plain);
		expect(weights).toMatch(/^model r1: other weights than on .*2026/);
		expect(code).toBe('function chats: new');
		expect(store).toMatch(/^storage chats: kept from the host on .*2026/);
		expect(lost).toBe(en['difference.not-remembered']);
	});

	it('is not told where the log refutes it', async () => {
		const check = { id: 'workload', outcome: 'fail', code: 'measured-mismatch' } as const;
		await become(verdict('red', [check], { workload: known() }));
		expect(find(badge, 'workload')).toBeNull();
	});
});

describe('the model in use', () => {
	const state = () => need(badge, 'badge').dataset.state;

	it('makes the badge amber where it is not inside, for as long as it is in use', async () => {
		await tell({});
		expect(state()).toBe('green');
		page.model.set(`out ${MARKUP}`);
		await badge.updateComplete;
		expect(state()).toBe('amber');
		expect(notes()[0]).toBe(
			`! The model in use runs outside of this server: out ${MARKUP} → ${CLOUD}`
		);
		page.model.set('in');
		await badge.updateComplete;
		expect(state()).toBe('green');
		await become(verdict('red', [], { workload: known() }));
		page.model.set('nobody');
		await badge.updateComplete;
		expect(state()).toBe('red');
	});

	it('is asked about over the page, with its address, as text', () => {
		const asked = atom<AskedModel | null>(null);
		const answer = vi.fn();
		showModelQuestion(document, { asked, answer }, createTexts().state);
		const chosen = {
			level: 'amber',
			code: 'model-outside',
			address: CLOUD,
			what: 'model'
		} as const;
		asked.set({ model: MARKUP, chosen });
		const root = [...document.documentElement.children]
			.map(({ shadowRoot }) => shadowRoot)
			.find((shadow) => shadow?.querySelector('[data-testid=tee-model-question]'));
		expect(root?.textContent).toContain(MARKUP);
		expect(root?.textContent).toContain(CLOUD);
		expect(root?.querySelector('img, script')).toBeNull();
		for (const name of ['confirm', 'decline']) {
			root?.querySelector<HTMLElement>(`[data-testid=tee-model-${name}]`)?.click();
		}
		expect(answer.mock.calls).toEqual([[true], [false]]);
		asked.set(null);
		expect(root?.host.isConnected).toBe(false);
	});
});
