// @vitest-environment jsdom
import { atom } from 'nanostores';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import en from '../../src/i18n/en';
import type { Texts } from '../../src/i18n/texts';
import type { Decision, View } from '../../src/transport/gate';
import { showBanner, SLOW } from '../../src/ui/banner';
import { BADGE } from '../../src/ui/question';

const SILENT = 'token-signature:service-silent';
const OPEN: Decision = { kind: 'open', way: 'sealed' };
const WAIT: Decision = { kind: 'wait' };
const despite = (failed: boolean): Decision => ({
	...OPEN,
	despite: { causes: ['tcb-status:tcb-status'], failed }
});

let view: View;
let tell: () => void;
let place: () => void;
const badge = vi.fn();

const decide = (decision: Decision, waiting = 1) => {
	view = { decision, waiting };
	tell();
};
const hosts = () =>
	[...document.querySelectorAll('*')].filter(({ shadowRoot }) =>
		shadowRoot?.querySelector('[data-testid=tee-banner]')
	);
const line = () => hosts()[0]?.shadowRoot?.querySelector<HTMLElement>('[data-testid=tee-banner]');
const addBadge = (parent: HTMLElement) => parent.appendChild(document.createElement(BADGE));
/** A message box of the app's, with a badge. */
const addBox = () => {
	const box = document.createElement('form');
	document.body.appendChild(document.createElement('main')).append(box);
	addBadge(box);
	return box;
};

beforeEach(() => {
	vi.useFakeTimers();
	vi.clearAllMocks();
	document.body.replaceChildren();
	view = { decision: OPEN, waiting: 0 };
	const texts = atom<Texts>({ language: 'en', direction: 'ltr', t: (key) => en[key] });
	const gate = {
		get view() {
			return view;
		},
		hear: (listener: (told: View) => void) => {
			tell = () => {
				listener(view);
			};
			return () => undefined;
		}
	};
	place = showBanner(document, gate, texts, badge);
});
afterEach(() => {
	decide(OPEN, 0);
	vi.useRealTimers();
});

describe('what stands at the message box', () => {
	it('is nothing where all is well', () => {
		addBox();
		decide(OPEN);
		expect(hosts()).toEqual([]);
	});

	it('says from the start what is waited for, and what a person can do', () => {
		const box = addBox();
		decide({ ...WAIT, causes: [SILENT] }, 0);
		expect(box.previousElementSibling).toBe(hosts()[0]);
		for (const text of ['gate.waits', 'reason.service-silent', 'advice.silent'] as const) {
			expect(line()?.textContent).toContain(en[text]);
		}
		expect([line()?.lang, line()?.dir, line()?.getAttribute('role')]).toEqual([
			'en',
			'ltr',
			'status'
		]);
		expect(badge).not.toHaveBeenCalled();
		decide(OPEN, 0);
		expect(hosts()).toEqual([]);
	});

	it('says that something waits only where that takes long', () => {
		addBox();
		decide(WAIT);
		vi.advanceTimersByTime(SLOW - 1);
		decide(OPEN, 0);
		decide(WAIT);
		vi.advanceTimersByTime(SLOW - 1);
		decide(WAIT, 2);
		expect(hosts()).toEqual([]);
		vi.advanceTimersByTime(1);
		expect(line()?.textContent).toBe(en['gate.waits']);
		decide(WAIT, 0);
		expect(hosts()).toEqual([]);
	});

	it('stands over a page that shows no message box yet, with a badge', () => {
		decide({ ...WAIT, causes: [SILENT] });
		expect(hosts()[0]?.parentElement).toBe(document.documentElement);
		const [[own]] = badge.mock.calls as [[HTMLElement]];
		own.append('a badge');
		const box = addBox();
		place();
		expect(own.childNodes).toHaveLength(0); // the app's own is enough
		expect(box.previousElementSibling).toBe(hosts()[0]);
		expect(hosts()).toHaveLength(1);
	});

	it.each([true, false])('goes on telling what was confirmed (as a failure: %s)', (failed) => {
		const box = addBox();
		decide(despite(failed), 0);
		const told = failed ? en['gate.despite.failed'] : en['gate.despite.warned'];
		expect(line()?.textContent).toContain(told);
		expect(line()?.textContent).toContain(en['reason.tcb-status']);
		// The app shows another one.
		box.parentElement?.remove();
		const other = addBox();
		place();
		expect(other.previousElementSibling).toBe(hosts()[0]);
	});

	it('leaves pages alone that have no message box, but for what waits', () => {
		addBadge(document.body);
		decide(despite(true), 0);
		expect(hosts()).toEqual([]);
		decide({ ...WAIT, causes: [SILENT] });
		expect(hosts()).toHaveLength(1);
		expect(badge).not.toHaveBeenCalled();
	});

	it('is text, whatever a cause is called', () => {
		addBox();
		decide({ ...WAIT, causes: ['<img src=x>:<script>'] });
		expect(line()?.children).toHaveLength(0);
		expect(line()?.textContent).toContain('<img src=x>');
	});
});
