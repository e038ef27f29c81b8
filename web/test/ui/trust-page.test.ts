// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from 'vitest';
import { linkOf, type Measured } from '../../src/session/link';
import { isDarkTheme } from '../../src/ui/theme';
import { TrustPage } from '../../src/ui/trust-page';
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

customElements.define('cczoo-trust-page', TrustPage);

const value = (digit: string) => digit.repeat(96);
const MEASURED: Measured = {
	provider: 'dcap',
	values: { mr_td: value('a'), rtmr_0: value('0'), rtmr_1: value('1'), rtmr_2: value('2') }
};
const choice = {
	provider: 'trustee',
	address: '',
	path: '',
	keys: '',
	logs: false,
	serverChosen: false
} as const;
const good = (values: Partial<Measured['values']> = {}) =>
	verdict('green', [], { choice, fields: { ...MEASURED.values, ...values } });

/** The page at an address with this fragment. */
const open = async (fragment = '') => {
	history.replaceState(null, '', `/tee${fragment}`);
	const made = makeParts();
	const page = await show(new TrustPage(), made.parts);
	const now = async (state: ReturnType<typeof verdict>) => {
		made.state.set(state);
		await page.updateComplete;
	};
	return { ...made, page, now };
};

const link = (page: TrustPage) => find(page, 'link')?.dataset.outcome;
const rows = (page: TrustPage) => all(page, 'expected').map(({ dataset }) => dataset.outcome);

const stored = vi.spyOn(Storage.prototype, 'setItem');
const sent = vi.spyOn(globalThis, 'fetch');
afterEach(() => {
	document.body.replaceChildren();
	history.replaceState(null, '', '/');
	expect(stored).not.toHaveBeenCalled();
	expect(sent).not.toHaveBeenCalled();
	expect('pwned' in window).toBe(false);
});

describe('the page for auditors', () => {
	it('shows what the panel does, and attests for as long as it is there', async () => {
		const { page, now, calls } = await open();
		expect(calls).toContainEqual(['attach']);
		await now(verdict('red', [failed]));
		expect(textOf(need(page, 'panel'))).toContain('Not verified');
		expect(all(page, 'check').length).toBeGreaterThan(10);
		need(page, 'recheck').click();
		expect(calls.map(([name]) => name)).toContain('recheck');
		page.remove();
		expect(calls).toContainEqual(['detach']);
	});

	it('has a link to share where the checks have passed, and none where not', async () => {
		const { page, now } = await open();
		expect(find(page, 'share')).toBeNull();
		await now(good());
		const share = linkOf({ ...MEASURED, provider: 'trustee' });
		expect(need(page, 'share').getAttribute('href')).toBe(`${location.origin}/tee${share}`);
		await now(verdict('red', [failed], { choice, fields: MEASURED.values }));
		expect(find(page, 'share')).toBeNull();
	});

	it('has who is signed out sign in, and nobody else', async () => {
		const { page, now } = await open();
		await now(verdict('red', [{ id: 'evidence-format', outcome: 'fail', code: 'signed-out' }]));
		expect(need(page, 'sign-in').getAttribute('href')).toBe('/auth');
		await now(verdict('red', [failed]));
		expect(find(page, 'sign-in')).toBeNull();
	});

	it('shows the fingerprint of the server’s certificate where the server tells one, as text', async () => {
		const { page } = await open();
		expect(find(page, 'certificate')).toBeNull();
		page.certificate = `AB:CD${MARKUP}`;
		await page.updateComplete;
		expect(textOf(need(page, 'certificate'))).toBe(`AB:CD${MARKUP}`);
		expect(textOf(need(page, 'certificate').previousElementSibling)).toContain('own word');
	});

	it('has the settings of this browser, for who has no other place for them', async () => {
		const { page, parts } = await open();
		const form = need(page, 'page-settings').querySelector('cczoo-trust-settings');
		expect(form).toMatchObject({ parts });
	});
});

describe('a shared link', () => {
	it('is not there where the address has none', async () => {
		const { page, now } = await open();
		await now(good());
		expect([link(page), find(page, 'link-refused')]).toEqual([undefined, null]);
	});

	it('is compared with what this browser measured, once it has', async () => {
		const { page, now } = await open(linkOf(MEASURED));
		expect([link(page), rows(page)]).toEqual(['unknown', Array(4).fill('unknown')]);
		await now(good());
		expect([link(page), rows(page)]).toEqual(['same', Array(4).fill('same')]);
		await now(verdict('red', [failed], { choice, fields: MEASURED.values }));
		expect([link(page), rows(page)]).toEqual(['unknown', Array(4).fill('unknown')]);
	});

	it('says first that a value differs, with both', async () => {
		const { page, now } = await open(linkOf(MEASURED));
		await now(good({ rtmr_1: value('f') }));
		expect(link(page)).toBe('differs');
		expect(rows(page)).toEqual(['same', 'same', 'differs', 'same']);
		expect(textOf(all(page, 'expected')[2] ?? null)).toMatch(
			new RegExp(`${value('1')}.*${value('f')}`)
		);
		const alert = need(page, 'link').querySelector('[role=alert]');
		expect(textOf(alert)).toContain('differs');
		const order = alert?.compareDocumentPosition(need(page, 'panel')) ?? 0;
		expect(order & Node.DOCUMENT_POSITION_FOLLOWING).not.toBe(0);
	});

	it('turns nothing green, and changes nothing of the verdict or of the settings', async () => {
		const { page, now, settings, calls } = await open(linkOf(MEASURED));
		await now(verdict('amber', [simulated], { choice, fields: MEASURED.values }));
		expect(link(page)).toBe('same');
		expect(need(page, 'link').querySelector('.pass, .green, .verified')).toBeNull();
		expect(textOf(need(page, 'panel'))).toContain('Simulated TD');
		expect(settings.state.get().settings.provider).toBeNull();
		expect(calls).toEqual([['attach']]);
	});

	it('is read anew where another one is opened on this page', async () => {
		const { page, now } = await open(linkOf(MEASURED));
		await now(good());
		history.replaceState(null, '', `/tee#${MARKUP}`);
		dispatchEvent(new Event('hashchange'));
		await page.updateComplete;
		expect(link(page)).toBeUndefined();
		expect(need(page, 'link-refused')).not.toBeNull();
	});

	it.each([`#${MARKUP}`, `${linkOf(MEASURED)}&enabled=false`, `#${'a'.repeat(100_000)}`])(
		'of another form is refused in a sentence, without a word of it: %.40s',
		async (fragment) => {
			const { page, now } = await open(fragment);
			await now(good());
			expect(textOf(need(page, 'link-refused'))).toContain('Nothing of it was used.');
			expect(link(page)).toBeUndefined();
			expect(page.renderRoot.textContent).not.toMatch(/onerror|enabled=false|a{200}/);
		}
	);
});

describe('the theme', () => {
	it.each([
		[null, false, false],
		[null, true, true],
		['', true, true],
		['system', false, false],
		['system', true, true],
		['light', true, false],
		['her', true, false],
		['dark', false, true],
		['oled-dark', false, true]
	])('is the app’s: %s, with %s of the system', (name, system, isDark) => {
		expect(isDarkTheme(name, system)).toBe(isDark);
	});
});
