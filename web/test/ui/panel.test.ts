// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Check } from '../../src/base/checks';
import en from '../../src/i18n/en';
import type { Choice } from '../../src/providers/choice';
import type { Verdict } from '../../src/session/attest';
import type { State } from '../../src/session/session';
import { TrustBadge } from '../../src/ui/badge';
import { commandOf } from '../../src/ui/panel/outside';
import {
	all,
	failed,
	find,
	makeParts,
	MARKUP,
	need,
	show,
	simulated,
	textOf,
	verdict
} from './fixture';

const SERVER = 'https://chat.example';
const DCAP: Choice = {
	provider: 'dcap',
	address: '',
	path: '',
	keys: '',
	logs: false,
	serverChosen: false
};
const TRUSTEE: Choice = {
	...DCAP,
	provider: 'trustee',
	address: 'https://as.example',
	path: '/attestation'
};
const changed: Check = {
	id: 'reference-values',
	outcome: 'warn',
	code: 'changed',
	detail: '2026-11-20'
};

let page: ReturnType<typeof makeParts>;
let badge: TrustBadge;

beforeEach(async () => {
	page = makeParts();
	badge = await show(new TrustBadge(), page.parts);
	need(badge, 'badge').click();
	await badge.updateComplete;
});
afterEach(() => {
	document.body.replaceChildren();
	vi.unstubAllGlobals();
	vi.restoreAllMocks();
});

const become = async (state: State) => {
	page.state.set(state);
	await badge.updateComplete;
};
const summary = () => textOf(need(badge, 'summary'));
const heading = () => textOf(need(badge, 'panel').querySelector('h2'));

describe('the summary', () => {
	it('says of each state what is proved, or is not', async () => {
		const silent: Check = { id: 'evidence-format', outcome: 'fail', code: 'quote-unreachable' };
		const states: [State, keyof typeof en, keyof typeof en][] = [
			[{ kind: 'off' }, 'state.off', 'summary.off'],
			[{ kind: 'pending' }, 'state.pending', 'summary.pending'],
			[verdict('green'), 'state.green', 'summary.green'],
			[verdict('amber'), 'state.amber', 'summary.amber'],
			[verdict('amber', [changed]), 'state.changed', 'summary.changed'],
			[verdict('amber', [simulated, changed]), 'state.simulated', 'summary.simulated'],
			[verdict('red', [failed]), 'state.red', 'summary.red'],
			[verdict('red', [silent], { wait: 0 }), 'state.unavailable', 'summary.unavailable']
		];
		for (const [state, title, meaning] of states) {
			await become(state);
			expect([heading(), summary()?.startsWith(en[meaning])]).toEqual([en[title], true]);
		}
	});

	it('says by whom, when, and until when it holds, but of a failure only when', async () => {
		const [at, expires] = [Date.parse('2026-11-28T10:00'), Date.parse('2026-11-29T11:00')];
		await become(verdict('green', [], { at, expires, choice: TRUSTEE }));
		expect(summary()).toContain('The attestation service CoCo Trustee (https://as.example)');
		expect(summary()).toMatch(/28.*2026.*29.*2026/);
		await become(verdict('green', [], { at, expires, choice: DCAP }));
		expect(summary()).toContain('This browser, by documents that Intel signed,');
		await become(verdict('red', [failed], { at, expires, choice: DCAP }));
		expect(summary()).toMatch(/Last tried on .*28.*2026/);
		expect(summary()).not.toMatch(/29.*2026|This browser/);
	});

	it('never calls words safe with a model that runs elsewhere', async () => {
		const workload = {
			sections: {},
			notes: [],
			facts: [],
			proven: true,
			differences: [],
			readers: []
		};
		await become(verdict('green', [], { workload }));
		page.model.set('cloud');
		await badge.updateComplete;
		expect(summary()).toContain(en['summary.elsewhere']);
	});
});

describe('the three steps', () => {
	const steps = () =>
		all(badge, 'step').map(({ dataset, firstElementChild }) => [
			dataset.step,
			dataset.reached,
			(firstElementChild as HTMLDetailsElement).open
		]);

	it('are a list, each with its checks, and open where something warns or failed', async () => {
		const passed: Check = { id: 'quote-signature', outcome: 'pass' };
		await become(verdict('amber', [passed, { id: 'key-binding', outcome: 'pass' }, changed]));
		expect(steps()).toEqual([
			['machine', 'pass', false],
			['software', 'warn', true],
			['words', 'pass', false]
		]);
		const list = need(badge, 'panel').querySelector('ol[role=list]');
		expect(list?.getAttribute('aria-label')).toBe(en['panel.steps']);
		expect(textOf(need(badge, 'step').querySelector('summary'))).toBe(
			'This machine is genuine: proved'
		);
	});

	it('tell one failure for one cause', async () => {
		const lost: Check = { id: 'token-claims', outcome: 'fail', code: 'not-run' };
		await become(verdict('red', [failed, lost]));
		expect(steps().map(([, reached]) => reached)).toEqual(['fail', 'not-reached', 'not-reached']);
		const row = all(badge, 'check').find(({ dataset }) => dataset.check === lost.id);
		expect(textOf(row ?? null)).toBe(`– ${en['check.token-claims']} token-claims: not reached`);
		expect(row?.querySelector('.fail')).toBeNull();
	});

	it('have not failed where nothing could be checked', async () => {
		const silent: Check = { id: 'evidence-format', outcome: 'fail', code: 'quote-unreachable' };
		await become(verdict('red', [silent], { wait: 0 }));
		expect(steps()[0]).toEqual(['machine', 'not-reached', true]);
	});
});

describe('what can be done', () => {
	it('is to switch the check on where it is off, and not to check again', async () => {
		page.settings.change((draft) => {
			draft.enabled = false;
		});
		await become({ kind: 'off' });
		expect(find(badge, 'recheck')).toBeNull();
		need(badge, 'enable').click();
		expect(page.settings.state.get().settings.enabled).toBe(true);
	});

	it('is told by the form where that can not be stored', async () => {
		vi.spyOn(page.settings, 'change').mockImplementation(() => {
			throw new Error('full');
		});
		await become({ kind: 'off' });
		need(badge, 'enable').click();
		await badge.updateComplete;
		expect(badge.renderRoot.querySelector('cczoo-trust-settings')).not.toBeNull();
	});

	it('is not to check again where no check can come to anything', async () => {
		await become(verdict('red', [{ id: 'secure-context', outcome: 'fail', code: 'insecure' }]));
		expect(find(badge, 'recheck')).toBeNull();
		await become(verdict('red', [failed]));
		expect(find(badge, 'recheck')).not.toBeNull();
	});

	it('is to close the panel, and be where one was', async () => {
		need(badge, 'close').focus();
		need(badge, 'close').click();
		await badge.updateComplete;
		expect(find(badge, 'panel')).toBeNull();
		expect(badge.shadowRoot?.activeElement).toBe(need(badge, 'badge'));
	});
});

describe('what has changed', () => {
	it('comes before the steps, and is accepted by one confirmation that names it', async () => {
		const changes = [
			['mr_td', 'aa', 'bb'],
			[MARKUP, '', 'c']
		] as const;
		await become(verdict('amber', [changed], { changes, accept: vi.fn() }));
		const [first] = all(badge, 'change');
		const order = first?.compareDocumentPosition(need(badge, 'step'));
		expect(order).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
		expect(textOf(need(badge, 'accepted'))).toContain(
			`You accept: ${en['field.mr_td']}; ${MARKUP}.`
		);
		need(badge, 'accept').click();
		expect(page.calls.filter(([name]) => name === 'accept')).toEqual([]);
		need(badge, 'accept-confirm').click();
		expect(page.calls.filter(([name]) => name === 'accept')).toHaveLength(1);
	});

	it('is bounded where it is named', async () => {
		const changes = Array.from({ length: 500 }, (_, at) => [`f${at}`, 'a', 'b'] as const);
		await become(verdict('amber', [changed], { changes, accept: vi.fn() }));
		expect(textOf(need(badge, 'accepted'))).toContain('f19; 480 more are not shown.');
	});
});

describe('measurements', () => {
	const HEX = 'ab'.repeat(48);
	const row = (name: string) =>
		textOf(
			badge.renderRoot
				.querySelector(`[data-testid=tee-field][data-field=${name}]`)
				?.closest('.row') ?? null
		);

	it('are held against what is remembered, or expected', async () => {
		const fields = { mr_td: HEX, rtmr_0: HEX, rtmr_3: HEX };
		const since = '2026-11-20';
		await become(
			verdict('amber', [changed], {
				fields,
				changes: [['mr_td', 'cd', HEX]],
				compared: { names: ['rtmr_0'], since }
			})
		);
		expect(row('mr_td')).toContain('! changed');
		expect(row('rtmr_0')).toMatch(/✓ as on .*2026/);
		expect(row('rtmr_3')).not.toMatch(/✓|!/);
		await become(verdict('green', [], { fields, compared: { names: ['mr_td'] } }));
		expect(row('mr_td')).toContain('✓ as expected');
	});

	it('are copied by a button that says so', async () => {
		const writeText = vi.fn(() => Promise.resolve());
		vi.stubGlobal('navigator', { clipboard: { writeText } });
		await become(verdict('green', [], { fields: { mr_td: HEX } }));
		expect(need(badge, 'copy').getAttribute('aria-label')).toBe(`Copy: ${en['field.mr_td']}`);
		need(badge, 'copy').click();
		await vi.waitFor(() => {
			expect(textOf(need(badge, 'copied'))).toBe(`Copied: ${en['field.mr_td']}`);
		});
		expect(writeText.mock.calls).toEqual([[HEX]]);
		expect(need(badge, 'copied').getAttribute('role')).toBe('status');
	});

	it('are selected where the page may not copy', async () => {
		vi.stubGlobal('navigator', {});
		const select = vi.spyOn(getSelection() as Selection, 'selectAllChildren');
		await become(verdict('green', [], { fields: { mr_td: HEX } }));
		need(badge, 'copy').click();
		await vi.waitFor(() => {
			expect(textOf(need(badge, 'copied'))).toBe(en['copy.selected']);
		});
		expect(select.mock.calls).toEqual([[need(badge, 'field')]]);
	});

	it('have advisories that lead to Intel, and nothing else does', async () => {
		const advisory_ids = `INTEL-SA-00837 INTEL-SA-1 javascript:alert(1) ${MARKUP}`;
		await become(verdict('green', [], { fields: { advisory_ids, jti: 'INTEL-SA-00837' } }));
		const links = [
			...need(badge, 'panel').querySelectorAll<HTMLAnchorElement>('a:not([data-testid=tee-page])')
		];
		expect(links.map(({ href, rel, target }) => [href, rel, target])).toEqual([
			[
				'https://www.intel.com/content/www/us/en/security-center/advisory/INTEL-SA-00837.html',
				'noopener noreferrer',
				'_blank'
			]
		]);
		expect(textOf(need(badge, 'field'))).toBe(advisory_ids);
	});
});

describe('a check from outside', () => {
	const commandFor = (choice: Partial<Choice>, server = SERVER) =>
		commandOf({ choice: { ...TRUSTEE, ...choice } } as Verdict, server);

	it('asks whom this page asked', () => {
		expect(commandOf({} as Verdict, SERVER)).toBe(`cczoo-verify ${SERVER}`);
		expect(commandFor(DCAP)).toBe(`cczoo-verify ${SERVER}`);
		expect(commandFor({})).toBe(
			`cczoo-verify ${SERVER} --provider trustee --service https://as.example`
		);
		const address = 'https://attest.cn-beijing.aliyuncs.com';
		expect(commandFor({ provider: 'alibaba', address, path: '/v1/attestation' })).toBe(
			`cczoo-verify ${SERVER} --provider alibaba`
		);
		expect(commandFor({ keys: '{}', logs: true })).toMatch(/ --service-keys keys.txt --send-logs$/);
		expect(commandFor({ address: 'https://as.example/attestation' })).toMatch(
			/ https:\/\/as.example\/attestation\/attestation$/
		);
	});

	it('does not ask whom only the checked server named', () => {
		expect(commandFor({ serverChosen: true })).toBe(`cczoo-verify ${SERVER}`);
	});

	it.each([
		["https://as.example/a'b", `'https://as.example/a'\\''b'`],
		['https://as.example/$(reboot)', "'https://as.example/$(reboot)'"],
		['https://as.example/a;b&c', "'https://as.example/a;b&c'"]
	])('is safe to paste: %s', (address, quoted) => {
		expect(commandFor({ address }).endsWith(` --service ${quoted}`)).toBe(true);
	});

	it('has the evidence that this page got, as a file', async () => {
		const saved = {
			format: 1,
			evidence: { quote: '00' },
			nonce: 'AAAA',
			url: SERVER,
			fetched: '2026-11-28T10:00:00.000Z'
		} as const;
		const parts: unknown[] = [];
		vi.stubGlobal('Blob', function (...given: unknown[]) {
			parts.push(...given);
		});
		vi.stubGlobal(
			'URL',
			Object.assign(URL, {
				createObjectURL: () => 'blob:x',
				revokeObjectURL: vi.fn()
			})
		);
		const names: string[] = [];
		vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (
			this: HTMLAnchorElement
		) {
			names.push(this.download);
		});
		await become(verdict('green', [], { server: SERVER }));
		expect([textOf(need(badge, 'command')), find(badge, 'download')]).toEqual([
			`cczoo-verify ${SERVER}`,
			null
		]);
		await become(verdict('green', [], { server: SERVER, saved }));
		need(badge, 'download').click();
		expect(names).toEqual(['evidence.json']);
		expect(parts).toEqual([[JSON.stringify(saved)], { type: 'application/json' }]);
	});
});
