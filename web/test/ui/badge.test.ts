// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CHECKS, type Check } from '../../src/base/checks';
import type { Catalogue } from '../../src/i18n/en';
import en from '../../src/i18n/en';
import { createTexts } from '../../src/i18n/texts';
import type { Remedy } from '../../src/session/keeping';
import type { Renewal, State } from '../../src/session/session';
import { LEAVE, REST, TrustBadge } from '../../src/ui/badge';
import type { TrustSettings } from '../../src/ui/settings-form';
import {
	all,
	failed,
	find,
	fire,
	makeParts,
	MARKUP,
	need,
	show,
	simulated,
	textOf,
	verdict
} from './fixture';
import { isolated } from '../../src/ui/words';

let page: ReturnType<typeof makeParts>;
let badge: TrustBadge;

beforeEach(async () => {
	page = makeParts();
	badge = await show(new TrustBadge(), page.parts);
});
afterEach(() => {
	document.body.replaceChildren();
	document.documentElement.className = '';
});

const become = async (state: State) => {
	page.state.set(state);
	await badge.updateComplete;
};
const open = async () => {
	need(badge, 'badge').click();
	await badge.updateComplete;
};
const press = async (key: string) => {
	dispatchEvent(new KeyboardEvent('keydown', { key }));
	await badge.updateComplete;
};
const focused = () => badge.shadowRoot?.activeElement;

describe('the badge', () => {
	it('shows each state by word, shape and colour', async () => {
		const offline: Check = { id: 'evidence-format', outcome: 'fail', code: 'offline' };
		const silent: Check = { id: 'evidence-format', outcome: 'fail', code: 'quote-unreachable' };
		const states: [State, string, string, string][] = [
			[{ kind: 'off' }, 'off', 'off', 'is off'],
			[{ kind: 'pending' }, 'pending', 'checking', 'Checking'],
			[verdict('green'), 'green', 'verified', 'Verified: a genuine'],
			[verdict('amber'), 'amber', 'warning', 'with warnings'],
			[verdict('amber', [simulated]), 'amber', 'warning', 'Simulated TD'],
			[verdict('red', [failed]), 'red', 'failed', 'Not verified'],
			[verdict('red', [silent], { wait: 0 }), 'red', 'unavailable', 'Could not be checked'],
			[verdict('red', [offline]), 'red', 'unavailable', 'Could not be checked']
		];
		const shapes = new Map<string, string>();
		for (const [state, name, kind, words] of states) {
			await become(state);
			const button = need(badge, 'badge');
			expect([button.dataset.state, button.dataset.kind]).toEqual([name, kind]);
			expect(button.getAttribute('aria-label')).toContain('Remote attestation: ');
			expect(button.getAttribute('aria-label')).toContain(words);
			expect(button.classList).toContain(kind);
			shapes.set(kind, button.querySelector('path')?.getAttribute('d') ?? '');
		}
		expect([shapes.size, new Set(shapes.values()).size]).toEqual([6, 6]);
	});

	it('keeps the panel and its button while the state changes', async () => {
		await open();
		const recheck = need(badge, 'recheck');
		recheck.focus();
		recheck.click();
		expect(page.calls.map(([name]) => name)).toContain('recheck');
		await become(verdict('red', [failed]));
		expect(focused()).toBe(recheck);
	});

	it('lists every check with its outcome, and names the reason', async () => {
		await become(verdict('red', [failed]));
		await open();
		const rows = all(badge, 'check');
		expect(rows.map(({ dataset }) => dataset.check).sort()).toEqual([...CHECKS].sort());
		expect(rows.find(({ dataset }) => dataset.check === failed.id)?.dataset.outcome).toBe('fail');
		expect(need(badge, 'reason').dataset.check).toBe(failed.id);
		expect(textOf(need(badge, 'reason'))).toBe(
			`${en[`check.${failed.id}`]} ${failed.id}: The token is not signed by the attestation service.`
		);
		await become(verdict('green'));
		expect(find(badge, 'reason')).toBeNull();
	});

	it.each([
		['token-claim', 'Send nothing confidential, and tell'],
		['token-forged', 'See Settings'],
		['key-none', 'Send nothing confidential, and tell'],
		['key-mismatch', 'Send nothing confidential, and tell'],
		['keyset-expired', 'Send nothing confidential, and tell'],
		['key-silent', 'Send nothing confidential, and tell'],
		['key-changed', 'See Settings'],
		['quote-unreachable', 'Check again in a moment'],
		['offline', 'Connect to a network'],
		['insecure', 'begins with https://'],
		['insecure', 'python -m cczoo_backend --https'],
		['signed-out', 'Sign in'],
		['too-many', 'asks again by itself'],
		['service-silent', 'in a new tab'],
		['service-kind', 'Compare the address'],
		['keys-silent', 'pin them'],
		['clock-differs', 'a clock that you trust'],
		['tcb-status', 'needs the update'],
		['tcb-relaunch', 'restart the TD'],
		['bad-address', 'See Settings'],
		['http-unpinned', 'See Settings'],
		['keys-needed', 'See Settings'],
		['key-changed', 'See Settings'],
		['no-relay', 'See Settings'],
		['logs-unmerged', 'See Settings'],
		['service-broken', 'Check again'],
		['changed', 'accept them below'],
		['settings-foreign', 'If you did not do that'],
		['settings-unreadable', 'start anew'],
		['settings-storage', 'Let this site store'],
		['marks', 'Let this site store'],
		['tcb-grace', 'for a time only'],
		['collateral-grace', 'for a time only'],
		['platform-refused', 'Send nothing confidential']
	] as const)('says what to do about %s', async (code, advice) => {
		await become(verdict('red', [{ ...failed, code }]));
		await open();
		expect(textOf(need(badge, 'reason').nextElementSibling)).toContain(advice);
	});

	it('says in words what a service’s verdict rests on', async () => {
		await open();
		const rows = async (check: Check) => {
			await become(verdict('red', [check]));
			return all(badge, 'trust').map(textOf);
		};
		const appraisal = (detail: string): Check => ({
			id: 'appraisal',
			outcome: 'fail',
			code: 'appraisal',
			detail
		});
		const shown =
			'contraindicated: executables 33, hardware 97, configuration 40, storage-opaque -1';
		expect(await rows(appraisal(shown))).toEqual([
			'executables 33: with reservations, not all that runs is recognised',
			'hardware 97: not to be trusted, not recognised',
			'configuration 40: with reservations',
			'storage-opaque -1: no verdict, the verifier failed'
		]);
		// The service's own words are shown as they are, and so is what comes from elsewhere.
		expect(await rows(appraisal('HTTP 500: hardware 97'))).toEqual([]);
		expect(await rows(appraisal(`contraindicated: ${MARKUP} 97`))).toEqual([]);
		expect(await rows({ ...appraisal(shown), id: 'token-claims' })).toEqual([]);
	});

	it('says that a result could not be renewed, when that is tried again and how long it holds', async () => {
		const at = (clock: string) => Date.parse(`2026-11-28T${clock}`);
		const check: Check = {
			id: 'evidence-format',
			outcome: 'fail',
			code: 'quote-refused',
			detail: MARKUP
		};
		const shown = async (state: State, renewal: Renewal) => {
			await become({ ...state, renewal } as State);
			return textOf(need(badge, 'renewal'));
		};
		await become(verdict('green'));
		await open();
		expect(find(badge, 'renewal')).toBeNull();
		const until = at('12:05:00');
		const said = await shown(verdict('green'), { check, again: at('12:00:07'), until });
		expect(said).toBe(
			'The result could not be renewed. Evidence of this server evidence-format: This server gave no quote. ' +
				`${MARKUP} Trying again at ${isolated(new Date(at('12:00:07')).toLocaleTimeString())}. ` +
				`The result on show holds until ${isolated(new Date(until).toLocaleTimeString())}.`
		);
		expect(need(badge, 'badge').dataset.state).toBe('green');
		expect(need(badge, 'panel').querySelector('img')).toBeNull();
		expect(await shown(verdict('green'), { check, until })).toContain('Trying again now…');

		// Where nothing holds any more, what failed is the headline.
		const red = verdict('red', [check], { wait: 0 });
		expect(await shown(red, { check, again: at('12:00:07') })).toMatch(/^Trying again at \S+/);
		expect(textOf(need(badge, 'reason'))).toContain('This server gave no quote.');
		expect(textOf(need(badge, 'reason').nextElementSibling)).toContain('goes on trying');
	});

	it('opens the form to review what something else stored, wherever the app has its settings', async () => {
		const foreign: Check = { id: 'settings', outcome: 'warn', code: 'settings-foreign' };
		const remedies: Remedy[] = [{ name: 'confirm', apply: () => undefined }];
		const unmarked = [{ name: 'tee.settings', text: MARKUP, mark: null }];
		await become(verdict('amber', [foreign], { unmarked, remedies }));
		await open();
		expect(find(badge, 'confirm')).toBeNull();
		need(badge, 'review').click();
		await badge.updateComplete;
		const form = badge.renderRoot.querySelector<TrustSettings>('cczoo-trust-settings');
		await form?.updateComplete;
		expect(textOf(form && find(form, 'confirm'))).toBe('Confirm what is stored');
		expect(find(badge, 'review')).toBeNull();
	});

	it('offers to start anew where settings are lost', async () => {
		const lost: Check = { id: 'settings', outcome: 'fail', code: 'settings-unreadable' };
		let done = 0;
		const remedies: Remedy[] = [{ name: 'anew', apply: () => (done += 1) }];
		await become(verdict('red', [lost], { remedies }));
		await open();
		expect(textOf(need(badge, 'reason'))).toContain('switch, service, address, keys, policy');
		expect(find(badge, 'restore')).toBeNull();
		need(badge, 'anew').click();
		expect([done, page.calls.filter(([name]) => name === 'mend').length]).toEqual([1, 1]);
		await badge.updateComplete;
		expect(focused()).toBe(need(badge, 'recheck'));
	});

	it('offers to forget that requests were sealed only where a result offers it', async () => {
		const none: Check = { id: 'key-binding', outcome: 'fail', code: 'key-none' };
		await become(verdict('red', [none]));
		await open();
		expect([find(badge, 'unsealed'), find(badge, 'forget')]).toEqual([null, null]);
		await become(verdict('red', [none], { forget: () => undefined }));
		expect(textOf(need(badge, 'unsealed'))).toContain('were sealed before');
		need(badge, 'forget').click();
		expect(page.calls.filter(([name]) => name === 'forget')).toHaveLength(1);
		expect(focused()).toBe(need(badge, 'recheck'));
	});

	it('goes by less than before at the press of a button that says what that means', async () => {
		const relax = vi.fn();
		await become(verdict('green', [], { proposed: 'block' }));
		await open();
		expect(find(badge, 'relax')).toBeNull();
		await become(verdict('green', [], { proposed: 'warn', stricter: 'block', relax }));
		expect(textOf(need(badge, 'stricter'))).toContain('send nothing');
		expect(textOf(need(badge, 'relax'))).toContain('ask me');
		need(badge, 'relax').click();
		expect(relax).toHaveBeenCalledTimes(1);
		expect(page.calls.filter(([name]) => name === 'mend')).toHaveLength(1);
	});

	it('shows what has changed, old and new, with a button that accepts it', async () => {
		const changed: Check = {
			id: 'reference-values',
			outcome: 'warn',
			code: 'changed',
			detail: '2026-11-20'
		};
		const changes = [
			['mr_td', 'aa', 'bb'],
			['rtmr_3', '', MARKUP]
		] as const;
		await become(
			verdict('amber', [changed], {
				changes,
				accept: () => {
					// the session calls it
				}
			})
		);
		await open();
		expect(need(badge, 'reason').textContent).toContain('have changed');
		expect(all(badge, 'change').map((row) => [row.dataset.field, textOf(row)])).toEqual([
			['mr_td', `${en['field.mr_td']} mr_td: aa → bb`],
			['rtmr_3', `${en['field.rtmr_3']} rtmr_3: → ${MARKUP}`]
		]);
		need(badge, 'accept').click();
		need(badge, 'accept-confirm').click();
		expect(page.calls.filter(([name]) => name === 'accept')).toHaveLength(1);
		await badge.updateComplete;
		expect(find(badge, 'panel')).not.toBeNull();
		expect(focused()).toBe(need(badge, 'recheck'));
		await become(verdict('green'));
		expect([find(badge, 'accept'), find(badge, 'change')]).toEqual([null, null]);
	});

	it('says which right was taken from what a model wrote', async () => {
		await open();
		expect(find(badge, 'rights')).toBeNull();
		page.rightsTaken.set(true);
		await badge.updateComplete;
		expect(need(badge, 'rights').textContent).toContain('all rights of this page');
	});

	it('shows the events of the logs, folded', async () => {
		const events = [
			['rtmr_1', 'EFI_BOOT_SERVICES_APPLICATION', 'grub', ''],
			['rtmr_2', 'IPL', 'kernel_cmdline:', 'root=/dev/vda1'],
			['rtmr_3', '', '', MARKUP]
		] as const;
		await become(verdict('green', [], { events }));
		await open();
		const box = need(badge, 'events') as HTMLDetailsElement;
		expect([box.tagName, box.open]).toEqual(['DETAILS', false]);
		expect(all(badge, 'event').map(textOf)).toEqual([
			'rtmr_1 EFI_BOOT_SERVICES_APPLICATION grub',
			'rtmr_2 IPL kernel_cmdline: ✓ root=/dev/vda1',
			`rtmr_3 ✓ ${MARKUP}`
		]);
		// What is proven is marked by more than its looks, and the mark is explained beside it.
		expect(all(badge, 'fact').map(textOf)).toEqual(['root=/dev/vda1', MARKUP]);
		const marks = Array.from(box.querySelectorAll('[role=img]'));
		expect(marks.map((mark) => mark.getAttribute('aria-label'))).toEqual(['proven:', 'proven:']);
		expect(box.textContent).toContain('All else is this machine’s own word.');
		await become(verdict('red', [failed], { events }));
		expect(find(badge, 'events')).toBeNull();
	});

	it('calls simulated only what is', async () => {
		await become(verdict('amber', [{ ...simulated, code: 'root' }]));
		expect(need(badge, 'badge').getAttribute('aria-label')).toContain('Verified, with warnings');
	});

	it('shows times as the reader’s and as they are', async () => {
		await become(verdict('green', [], { fields: { exp: 1_795_000_000, iat: 9e15 } }));
		await open();
		const shown = (name: string) => textOf(badge.renderRoot.querySelector(`[data-field=${name}]`));
		expect(shown('exp')).toMatch(/2026.*\(1795000000\)/);
		expect(shown('iat')).toBe('9000000000000000');
	});

	it('shows no values where a check failed', async () => {
		await become(verdict('red', [failed], { fields: { mr_td: 'aa' } }));
		await open();
		expect(find(badge, 'field')).toBeNull();
	});

	it('follows the open chat', () => {
		page.chat.set('2');
		page.chat.set('2');
		page.chat.set('3');
		expect(page.calls).toEqual([['attach'], ['chat', '1'], ['chat', '2'], ['chat', '3']]);
	});

	it('leaves nothing behind, and begins anew where the app moves it', async () => {
		await open();
		badge.remove();
		expect(page.calls.at(-1)).toEqual(['detach']);
		page.calls.length = 0;
		page.chat.set('x');
		page.state.set(verdict('green'));
		fire(document.body, 'pointerdown');
		expect(page.calls).toEqual([]);
		document.body.append(badge);
		await badge.updateComplete;
		expect(page.calls).toEqual([['attach'], ['chat', 'x']]);
		expect(need(badge, 'badge').dataset.state).toBe('green');
		expect(find(badge, 'panel')).toBeNull();
	});

	it('offers the settings where the app has no place for them', async () => {
		await open();
		expect(find(badge, 'open-settings')).toBeNull();
		page.settingsInPanel.set(true);
		await badge.updateComplete;
		need(badge, 'open-settings').click();
		await badge.updateComplete;
		expect(find(badge, 'open-settings')).toBeNull();
		const form = badge.renderRoot.querySelector('cczoo-trust-settings');
		expect(form?.shadowRoot?.querySelector('[data-testid=tee-address]')).not.toBeNull();
		// The pointer may leave: somebody is writing.
		need(badge, 'panel').closest('.badge')?.dispatchEvent(new Event('mouseleave'));
		await badge.updateComplete;
		expect(find(badge, 'panel')).not.toBeNull();
	});

	it('follows open-webui’s theme', async () => {
		const theme = () => badge.renderRoot.querySelector('.frame')?.className;
		const changed = async () => {
			await new Promise((resolve) => setTimeout(resolve)); // the observer's turn
			await badge.updateComplete;
		};
		expect(theme()).toBe('frame light');
		document.documentElement.className = 'dark';
		await changed();
		expect(theme()).toBe('frame dark');
		document.documentElement.className = 'light';
		await changed();
		expect(theme()).toBe('frame light');
	});

	it('changes its language and direction while it is on show', async () => {
		const arabic: Catalogue = { ...en, 'state.pending': 'جارٍ التحقق' };
		const texts = createTexts({
			ar: { direction: 'rtl', load: () => Promise.resolve({ default: arabic }) }
		});
		const other = await show(new TrustBadge(), { ...page.parts, texts: texts.state });
		const frame = other.renderRoot.querySelector<HTMLElement>('.frame');
		expect([frame?.lang, frame?.dir]).toEqual(['en', 'ltr']);
		await texts.speak('ar-EG');
		await other.updateComplete;
		expect([frame?.lang, frame?.dir]).toEqual(['ar', 'rtl']);
		expect(need(other, 'badge').getAttribute('aria-label')).toContain('جارٍ التحقق');
	});
});

describe('the panel', () => {
	const isOpen = async () => {
		await badge.updateComplete;
		const expanded = need(badge, 'badge').getAttribute('aria-expanded');
		expect(expanded).toBe(String(find(badge, 'panel') !== null));
		return expanded === 'true';
	};
	const point = (name: string, init: PointerEventInit = {}) => {
		const event = Object.assign(new MouseEvent(`pointer${name}`, init), {
			pointerType: init.pointerType ?? 'mouse'
		});
		need(badge, 'badge').parentElement?.dispatchEvent(event);
	};
	const tabTo = (element: HTMLElement) => {
		dispatchEvent(new KeyboardEvent('keydown', { key: 'Tab' }));
		element.focus();
	};
	const field = () => document.body.appendChild(document.createElement('input'));

	beforeEach(() => {
		vi.useFakeTimers();
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	it('opens and closes by its button', async () => {
		const button = need(badge, 'badge');
		expect(await isOpen()).toBe(false);
		button.click(); // as Enter and Space do
		expect(await isOpen()).toBe(true);
		button.click();
		expect(await isOpen()).toBe(false);
	});

	it('opens where a pointer rests, and not where one passes', async () => {
		point('enter');
		for (let count = 0; count < 20; count++) {
			point('move');
			vi.advanceTimersByTime(REST - 1);
		}
		expect(await isOpen()).toBe(false);
		point('leave');
		vi.advanceTimersByTime(10 * REST);
		expect(await isOpen()).toBe(false);
		point('enter');
		point('move');
		vi.advanceTimersByTime(REST);
		expect(await isOpen()).toBe(true);

		// On its way from the badge to the panel, it leaves both.
		point('leave');
		vi.advanceTimersByTime(LEAVE - 1);
		point('move');
		vi.advanceTimersByTime(LEAVE);
		expect(await isOpen()).toBe(true);
		point('leave');
		vi.advanceTimersByTime(LEAVE);
		expect(await isOpen()).toBe(false);
	});

	it.each<[string, PointerEventInit]>([
		['finger', { pointerType: 'touch' }],
		['pointer that draws something', { buttons: 1 }]
	])('does not open under a %s', async (_what, init) => {
		point('enter', init);
		point('move', init);
		vi.advanceTimersByTime(REST);
		expect(await isOpen()).toBe(false);
	});

	it('that was closed under a pointer stays closed until that comes again', async () => {
		point('enter');
		need(badge, 'badge').click();
		need(badge, 'badge').click();
		point('move');
		vi.advanceTimersByTime(REST);
		expect(await isOpen()).toBe(false);
		point('leave');
		point('enter');
		point('move');
		vi.advanceTimersByTime(REST);
		expect(await isOpen()).toBe(true);
	});

	it('that a click has pinned stays where the pointer leaves, and goes by a click elsewhere', async () => {
		need(badge, 'badge').click();
		point('leave');
		vi.advanceTimersByTime(LEAVE);
		expect(await isOpen()).toBe(true);
		fire(need(badge, 'panel'), 'pointerdown');
		expect(await isOpen()).toBe(true);
		fire(document.body, 'pointerdown');
		expect(await isOpen()).toBe(false);
	});

	it('closes by Escape, of which the app hears only the next one', async () => {
		const heard: string[] = [];
		const app = ({ key }: KeyboardEvent) => heard.push(key);
		document.addEventListener('keydown', app);
		const press = (init: KeyboardEventInit) => {
			const event = new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...init });
			document.body.dispatchEvent(event);
			return event.defaultPrevented;
		};
		const escape = { key: 'Escape' };
		need(badge, 'badge').click();
		await badge.updateComplete;
		expect(press({ key: 'x' })).toBe(false);
		expect(press({ ...escape, isComposing: true })).toBe(false); // it ends what is being composed
		expect(await isOpen()).toBe(true);
		heard.length = 0;
		expect(press(escape)).toBe(true);
		expect([await isOpen(), heard]).toEqual([false, []]);
		expect(press(escape)).toBe(false);
		expect(heard).toEqual(['Escape']);
		document.removeEventListener('keydown', app);
	});

	it('gives the focus back to its button only where it had it', async () => {
		const button = need(badge, 'badge');
		button.click();
		await badge.updateComplete;
		need(badge, 'recheck').focus();
		await press('Escape');
		expect([await isOpen(), focused()]).toEqual([false, button]);

		const other = field();
		other.focus();
		button.click();
		await press('Escape');
		expect([await isOpen(), document.activeElement]).toEqual([false, other]);
	});

	it('does not open for the focus, and closes where the Tab key moves that on', async () => {
		const button = need(badge, 'badge');
		const other = field();
		tabTo(button);
		expect(await isOpen()).toBe(false);
		button.click();
		await badge.updateComplete;
		tabTo(need(badge, 'recheck'));
		expect(await isOpen()).toBe(true);
		await press('x');
		other.focus(); // the app does that by itself
		expect(await isOpen()).toBe(true);
		button.focus();
		tabTo(other);
		expect(await isOpen()).toBe(false);
	});

	it('closes while something is typed elsewhere', async () => {
		const other = field();
		need(badge, 'badge').click();
		await badge.updateComplete;
		fire(need(badge, 'recheck'), 'input');
		expect(await isOpen()).toBe(true);
		fire(other, 'input');
		expect(await isOpen()).toBe(false);
	});

	it('stands above the message box and inside the window, and moves with that', async () => {
		const form = document.body.appendChild(document.createElement('form'));
		form.append(badge);
		const rect = (top: number, bottom: number, right: number) =>
			({ top, bottom, right }) as DOMRect;
		badge.getBoundingClientRect = () => rect(700, 732, 300);
		form.getBoundingClientRect = () => rect(600, 740, 500);
		need(badge, 'badge').click();
		await badge.updateComplete;
		const panel = need(badge, 'panel').parentElement as HTMLElement;
		Object.defineProperty(panel, 'offsetWidth', { value: 400 });
		dispatchEvent(new Event('resize'));
		await badge.updateComplete;
		const { bottom, top, left } = panel.style;
		expect({ bottom, top, left }).toEqual({
			bottom: `${innerHeight - 600}px`,
			top: 'auto',
			left: '8px'
		});
		expect(need(badge, 'panel').style.maxHeight).toBe('calc(528px - 1rem)');

		// The app's side bar has come out, and the message box has moved with that.
		form.getBoundingClientRect = () => rect(500, 640, 500);
		form.dispatchEvent(new Event('transitionend', { bubbles: true }));
		await badge.updateComplete;
		expect(panel.style.bottom).toBe(`${innerHeight - 500}px`);
	});
});

describe('what comes from outside', () => {
	it('is text in every field, and nothing else', async () => {
		await become(
			verdict('amber', [{ ...failed, outcome: 'warn' }], {
				fields: { jti: MARKUP, tee: MARKUP, exp: MARKUP, [MARKUP]: MARKUP, mr_td: undefined },
				choice: {
					provider: 'trustee',
					address: MARKUP,
					path: '',
					keys: '',
					logs: false,
					serverChosen: true
				},
				changes: [[MARKUP, MARKUP, MARKUP]],
				events: [[MARKUP, MARKUP, MARKUP, MARKUP]]
			})
		);
		await open();
		const panel = need(badge, 'panel');
		expect(panel.querySelector('img, script, a:not([data-testid=tee-page]), iframe')).toBeNull();
		expect(textOf(panel.querySelector('[data-field=jti]'))).toBe(MARKUP);
		expect(panel.querySelector('[data-field=mr_td]')).toBeNull();
		expect(panel.textContent.split(MARKUP)).toHaveLength(16);
		expect('pwned' in window).toBe(false);
	});

	it('is bounded in number and length', async () => {
		const many = Array.from({ length: 5_000 }, (_, index) => index);
		await become(
			verdict('amber', [], {
				fields: { long: 'x'.repeat(1 << 20), ...Object.fromEntries(many.map((n) => [`f${n}`, n])) },
				changes: many.map((n) => [String(n), 'a', 'b'] as const),
				events: many.map((n) => ['rtmr_3', '', String(n), ''] as const)
			})
		);
		await open();
		const counts = ['field', 'change', 'event'].map((id) => all(badge, id).length);
		expect(counts).toEqual([300, 300, 300]);
		expect(need(badge, 'panel').textContent.split('4700 more are not shown.')).toHaveLength(3);
		expect(need(badge, 'panel').textContent.length).toBeLessThan(60_000);
	});

	it('never leaves an old result on show where it can not be shown itself', async () => {
		await become(verdict('green'));
		await open();
		const hostile = {
			toString: () => {
				throw new Error('no');
			}
		};
		await become(verdict('green', [], { fields: { jti: hostile } }));
		expect(find(badge, 'badge')).toBeNull();
		expect(textOf(badge.renderRoot.querySelector('[role=alert]'))).toBe(
			'✕ The check itself broke; reload the page.'
		);
		await become(verdict('green'));
		expect(find(badge, 'badge')).toBeNull();
	});
});

describe('an element without its parts', () => {
	it.each(['cczoo-trust-badge', 'cczoo-trust-settings'])('shows nothing: %s', async (tag) => {
		document.body.replaceChildren();
		const holder = document.createElement('div');
		// As a model's answer would have it: attributes give no parts.
		const parsed = new DOMParser().parseFromString(
			`<${tag} parts="{}" data-tee-place="badge"></${tag}>`,
			'text/html'
		);
		holder.append(document.importNode(parsed.body, true));
		document.body.append(holder);
		const element = holder.querySelector(tag) as TrustBadge;
		await element.updateComplete;
		expect(element.parts).toBeUndefined();
		expect(element.renderRoot.querySelector('*:not(style)')).toBeNull();
		dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
		element.remove();
	});
});
