// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { complete, type Check } from '../../src/base/checks';
import type { Sections } from '../../src/evidence/statement';
import { notesOf } from '../../src/policy/notes';
import type { Verdict } from '../../src/session/attest';
import type { State } from '../../src/session/session';
import { TrustBadge } from '../../src/ui/badge';
import { TrustSettings } from '../../src/ui/settings-form';
import { HOSTILE, poisoned } from '../support/hostile';
import { edited } from '../support/workload';
import { find, makeParts, need, show } from './fixture';

const MODEL = 'a-model';
/** A word that stands where anything from outside can. */
const HARMLESS = 'word';
/** What does not show, or turns what is beside it: nobody sees it, but what it does. */
const UNSEEN = /[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2067\ufeff]/;
/** More than a panel full of the longest texts has, and less than a hundredth of what came. */
const LENGTH_MAX = 1_500_000;

const sections: Sections = {
	...edited([]),
	models: {
		listed: true,
		left_out: 0,
		offered: [
			{ id: MODEL, where: 'outside', address: HARMLESS },
			{ id: 'other', where: HARMLESS, address: HARMLESS }
		]
	},
	connections: { left_out: 0, ways: [{ kind: HARMLESS, where: HARMLESS, address: HARMLESS }] },
	functions: { present: [{ id: HARMLESS, type: HARMLESS, digest: HARMLESS, active: true }] }
};
const found: Check[] = [
	{ id: 'evidence-format', outcome: 'pass', detail: HARMLESS },
	{ id: 'token-claims', outcome: 'warn', code: 'token-claim', detail: HARMLESS },
	{ id: 'appraisal', outcome: 'warn', code: 'appraisal', detail: HARMLESS }
];
const nothing = vi.fn();

/** A verdict that has something to show in every member, those that are optional as well. */
const verdict: Required<Verdict> = {
	status: 'amber',
	checks: complete(Object.fromEntries(found.map((check) => [check.id, check])), []),
	choice: {
		provider: 'trustee',
		address: 'https://as.example',
		path: '/attestation',
		keys: HARMLESS,
		logs: false,
		serverChosen: true
	},
	suggested: { keys: HARMLESS, policy: HARMLESS },
	fields: { mr_td: HARMLESS, tcb_status: HARMLESS, advisory_ids: HARMLESS, jti: HARMLESS },
	at: 0,
	expires: 0,
	server: 'https://chat.example',
	saved: { format: 1, evidence: {}, nonce: HARMLESS, url: HARMLESS, fetched: HARMLESS },
	wait: 0,
	changes: [['mr_td', HARMLESS, HARMLESS]],
	compared: { names: [HARMLESS], since: HARMLESS },
	events: [[HARMLESS, HARMLESS, HARMLESS, HARMLESS]],
	unmarked: [{ name: 'tee.settings', text: HARMLESS, mark: HARMLESS }],
	remedies: [{ name: 'confirm', apply: nothing }],
	keyset: HARMLESS,
	forget: nothing,
	statement: HARMLESS,
	asked: true,
	workload: {
		sections,
		notes: notesOf(sections, null),
		facts: [{ kind: 'model', content: { name: HARMLESS, digest: HARMLESS } }],
		proven: true,
		differences: [{ code: 'other-files', what: HARMLESS, name: HARMLESS, since: HARMLESS }],
		readers: [HARMLESS]
	},
	accept: nothing,
	proposed: 'warn',
	stricter: 'block',
	relax: nothing
};
const renewal = { check: { ...found[1], id: 'token-claims', outcome: 'fail' } as Check, until: 1 };

/** The state with this text in every place, and as a field's name. */
const stateWith = (text: string): State => {
	const told = poisoned(verdict, text);
	return {
		kind: 'done',
		verdict: { ...told, fields: { ...told.fields, [text]: text } },
		renewal: { ...renewal, check: { ...renewal.check, detail: text } }
	};
};

/** What markup there is, and which attributes it has. */
const skeleton = (root: ParentNode): string[] =>
	[...root.querySelectorAll('*')].map(
		(element) => `${element.localName} ${element.getAttributeNames().join(' ')}`
	);

/** Where an attribute may hold words from outside: a name that tests find, or one that is read out. */
const WORDED = /^(data-field|data-code|data-kind|data-name|aria-label|title)$/;

const attributesWith = (root: ParentNode, text: string): string[] =>
	[...root.querySelectorAll('*')].flatMap((element) =>
		element
			.getAttributeNames()
			.filter((name) => !WORDED.test(name) && element.getAttribute(name)?.includes(text))
	);

/** What a person sees or hears of it. */
const said = (root: Element): string =>
	[
		root.textContent,
		...[...root.querySelectorAll('[aria-label], [title]')].flatMap((element) => [
			element.getAttribute('aria-label'),
			element.getAttribute('title')
		])
	].join('\n');

let page: ReturnType<typeof makeParts>;
beforeEach(() => {
	page = makeParts();
	page.settingsInPanel.set(true);
});
afterEach(() => {
	document.body.replaceChildren();
});

describe.each(HOSTILE)('text from outside that is %s', (_name, text) => {
	/** The panel about a verdict that has this text everywhere. */
	const panelWith = async (words: string): Promise<HTMLElement> => {
		document.body.replaceChildren();
		page.state.set(stateWith(words));
		page.model.set(words);
		const badge = await show(new TrustBadge(), page.parts);
		need(badge, 'badge').click();
		await badge.updateComplete;
		return need(badge, 'panel');
	};

	it('changes words of the panel, and nothing else', async () => {
		const usual = skeleton(await panelWith(HARMLESS));
		const panel = await panelWith(text);
		expect(skeleton(panel)).toEqual(usual);
		expect(attributesWith(panel, text)).toEqual([]);
		expect('pwned' in window).toBe(false);
	});

	it('shows as what it is, and not without end', async () => {
		const panel = await panelWith(text);
		expect(said(panel)).not.toMatch(UNSEEN);
		expect(said(panel).split('\u2068')).toHaveLength(said(panel).split('\u2069').length);
		expect(said(panel).length).toBeLessThan(LENGTH_MAX);
	});

	it('changes words of the settings, and nothing else', async () => {
		const formWith = async (words: string) => {
			document.body.replaceChildren();
			page.state.set(stateWith(words));
			return show(new TrustSettings(), page.parts);
		};
		const usual = skeleton((await formWith(HARMLESS)).renderRoot);
		const form = await formWith(text);
		expect(skeleton(form.renderRoot)).toEqual(usual);
		expect(find(form, 'stored')).not.toBeNull();
		expect(said(need(form, 'settings'))).not.toMatch(UNSEEN);
		expect('pwned' in window).toBe(false);
	});
});

it('is put into every member that a verdict may have', () => {
	const text = JSON.stringify(poisoned(verdict, 'anything'));
	expect(text).not.toContain(`"${HARMLESS}"`);
	expect(text.split('"anything"').length).toBeGreaterThan(40);
});
