// @vitest-environment jsdom
import { atom, type WritableAtom } from 'nanostores';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import en from '../../src/i18n/en';
import zh from '../../src/i18n/zh-hans';
import { REFUSALS } from '../../src/i18n/refusals';
import type { Texts } from '../../src/i18n/texts';
import { NO_KEY, type Decision, type View } from '../../src/transport/gate';
import { BADGE, showQuestion } from '../../src/ui/question';

const SILENT = 'key-binding:quote-unreachable';
const OPEN: Decision = { kind: 'open', way: 'sealed' };
const asking = (...causes: string[]): Decision => ({ kind: 'ask', causes, failed: false });

let view: View;
let texts: WritableAtom<Texts>;
let tell: () => void;
const confirm = vi.fn();
const forget = vi.fn(() => Promise.resolve());
const badge = vi.fn();

const decide = (decision: Decision, waiting = 1) => {
	view = { decision, waiting };
	tell();
};
const shown = () =>
	[...document.documentElement.children]
		.map(({ shadowRoot }) => shadowRoot?.querySelector('[data-testid]')?.textContent)
		.join('');
const button = (name: string) =>
	[...document.documentElement.children]
		.map(({ shadowRoot }) => shadowRoot?.querySelector<HTMLElement>(`[data-testid=${name}]`))
		.find(Boolean);

beforeEach(() => {
	vi.clearAllMocks();
	view = { decision: OPEN, waiting: 0 };
	texts = atom<Texts>({ language: 'en', direction: 'ltr', t: (key) => en[key] });
	const gate = {
		get view() {
			return view;
		},
		hear: (listener: (told: View) => void) => {
			tell = () => {
				listener(view);
			};
			return () => undefined;
		},
		confirm
	};
	showQuestion(document, gate, texts, { forget, badge });
});
afterEach(() => {
	decide(OPEN);
});

describe('the question', () => {
	it('is asked while something waits, and confirmed as it was asked', () => {
		const asked = asking('tcb-status:tcb-status');
		decide(asked, 0);
		expect(shown()).toBe('');
		decide(asked);
		expect(shown()).toContain(en['gate.warned']);
		expect(shown()).toContain(`${en['check.tcb-status']}: ${en['reason.tcb-status']}`);
		button('tee-confirm')?.click();
		expect(confirm.mock.calls).toEqual([[asked]]);
		decide(OPEN);
		expect(shown()).toBe('');
	});

	it('says that it goes sealed only where it does', () => {
		decide(asking(SILENT));
		expect(shown()).toContain(en['gate.sealed']);
		decide(asking(NO_KEY, SILENT));
		expect(shown()).not.toContain(en['gate.sealed']);
		expect(shown()).toContain(en['gate.plain']);
	});
});

describe('its box', () => {
	const box = () => button('tee-question')?.firstElementChild as HTMLElement;

	it('speaks its own language, in that one’s direction', () => {
		document.documentElement.dir = 'rtl';
		decide(asking(SILENT));
		expect([box().lang, box().dir]).toEqual(['en', 'ltr']);
		texts.set({ language: 'zh-hans', direction: 'ltr', t: (key) => zh[key] });
		expect(box().lang).toBe('zh-hans');
		expect(shown()).toContain(zh['gate.warned']);
		document.documentElement.dir = '';
	});

	it('has the keyboard while it asks, and answers nobody who is just typing', () => {
		const field = document.body.appendChild(document.createElement('input'));
		field.focus();
		decide(asking(SILENT));
		expect(document.body.hasAttribute('inert')).toBe(true);
		expect((box().getRootNode() as ShadowRoot).activeElement).toBe(box());
		expect(box().getAttribute('aria-modal')).toBe('true');
		decide(OPEN);
		expect(document.body.hasAttribute('inert')).toBe(false);
		expect(document.activeElement).toBe(field);
		field.remove();
	});

	it('leaves the page to the keyboard where it only tells', () => {
		const field = document.body.appendChild(document.createElement('input'));
		field.focus();
		decide({ kind: 'refuse', reason: 'blocked' });
		expect(document.body.hasAttribute('inert')).toBe(false);
		expect(document.activeElement).toBe(field);
		expect([box().getAttribute('role'), box().hasAttribute('aria-modal')]).toEqual([
			'alert',
			false
		]);
		field.remove();
	});

	it('is named by what it asks', () => {
		decide(asking(SILENT));
		for (const [attribute, text] of [
			['aria-labelledby', en['gate.warned']],
			['aria-describedby', en['reason.quote-unreachable']]
		] as const) {
			const named = box().querySelector(`#${box().getAttribute(attribute) ?? ''}`);
			expect(named?.textContent).toContain(text);
		}
	});
});

describe('a refusal', () => {
	it('says why, and leaves nothing to confirm', () => {
		decide({ kind: 'refuse', reason: 'key-refuted' }, 0);
		expect(shown()).toContain(REFUSALS.en['key-refuted']);
		expect(button('tee-confirm') ?? button('tee-forget-sealed')).toBeUndefined();
	});

	it('goes away once it is read, and comes back for another reason', () => {
		decide({ kind: 'refuse', reason: 'blocked' });
		button('tee-refusal-read')?.click();
		expect(shown()).toBe('');
		decide({ kind: 'refuse', reason: 'blocked' });
		texts.set({ language: 'zh-hans', direction: 'ltr', t: (key) => zh[key] });
		expect(shown()).toBe('');
		decide({ kind: 'refuse', reason: 'clock' });
		expect(shown()).toContain(REFUSALS['zh-hans'].clock);
		button('tee-refusal-read')?.click();
		decide(OPEN);
		decide({ kind: 'refuse', reason: 'clock' });
		expect(shown()).not.toBe('');
	});

	it('of an origin that was sealed is undone by the person alone', () => {
		decide({ kind: 'refuse', reason: 'no-way-back' }, 0);
		expect(forget).not.toHaveBeenCalled();
		button('tee-forget-sealed')?.click();
		expect(forget).toHaveBeenCalledTimes(1);
	});

	it('has a badge in a refusal, unless the app has one to show', () => {
		decide({ kind: 'refuse', reason: 'key-refuted' });
		expect(badge.mock.calls.map(([place]) => (place as Node).isConnected)).toEqual([true]);
		decide(OPEN);
		const own = document.body.appendChild(document.createElement(BADGE));
		decide({ kind: 'refuse', reason: 'key-refuted' });
		expect(badge).toHaveBeenCalledTimes(1);
		own.remove();
	});

	it('leaves the page to the person where it only says that nothing goes', () => {
		decide({ kind: 'refuse', reason: 'key-refuted' });
		expect(button('tee-question')?.classList).toContain('telling');
		decide(asking(SILENT));
		expect(button('tee-question')?.classList).not.toContain('telling');
	});
});
