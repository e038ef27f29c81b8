import type { Readable } from 'svelte/store';
import { h, set } from './dom';
import type { Session, State } from './session';
import type { Translate } from './text';
import { COLOURS, label, panelView, SHAPES, stateOf } from './view';

interface Parts {
	session: Session;
	t: Readable<Translate>;
	/** open-webui's id of the open chat; empty for a new one. */
	chatId: Readable<string>;
}

/** Pixels at the top of the window where the app's own bar covers whatever reaches up there. */
const NAVBAR = 72;

/**
 * Svelte action: the trust badge and its panel inside `root`.
 *
 * The panel is there while the pointer is over the badge or the panel, while the focus is in them,
 * or until the next click once a click has pinned it. Escape closes it in each case.
 */
export const badge = (root: HTMLElement, { session, t, chatId }: Parts) => {
	let state: State;
	let translate: Translate;
	let reasons: Record<string, boolean> = {};

	const path = h('path', {});
	const icon = { viewBox: '0 0 20 20', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.8' };
	const button = h(
		'button',
		{ type: 'button', 'data-testid': 'tee-badge' },
		h('svg', { ...icon, class: 'size-5', 'aria-hidden': 'true' }, path)
	);
	const status = h('span', { class: 'sr-only', role: 'status' });
	const recheck = h('button', {
		type: 'button',
		class: 'float-right ml-2 rounded-full bg-gray-100 px-2.5 py-1 dark:bg-gray-800',
		'data-testid': 'tee-recheck'
	});
	const accept = h('button', {
		type: 'button',
		class: 'mt-1 underline',
		'data-testid': 'tee-accept'
	});
	const title = h('div', { class: 'text-sm font-medium' });
	const body = h('div', {});
	const box = h(
		'div',
		{
			class:
				'overflow-y-auto rounded-xl border border-gray-200 bg-white p-3 text-left text-xs text-gray-800 shadow-xl dark:border-gray-800 dark:bg-gray-900 dark:text-gray-100 [overflow-wrap:anywhere]',
			role: 'region',
			'data-testid': 'tee-panel'
		},
		recheck,
		title,
		body
	);
	const panel = h(
		'div',
		{ class: 'absolute bottom-full z-50 w-[min(25rem,calc(100vw-1rem))] pb-2' },
		box
	);
	root.append(button, status);

	const show = () => {
		const name = stateOf(state);
		const text = translate(label(state));
		set(button, {
			class: `flex rounded-full p-1.5 hover:bg-gray-100 dark:hover:bg-gray-800 ${COLOURS[name]}`,
			'data-state': name,
			'aria-label': `${translate('settings.title')}: ${text}`
		});
		set(path, { d: SHAPES[name] });
		set(box, { 'aria-label': translate('settings.title') });
		status.textContent = title.textContent = text;
		recheck.textContent = translate('panel.recheck');
		accept.textContent = translate('panel.accept');
		body.replaceChildren(...panelView(state, translate, accept));
	};

	/** Note why the panel is open or not, and open it above the badge and inside the window. */
	const open = (change: Record<string, boolean>) => {
		reasons = { ...reasons, ...change };
		const isOpen = Object.values(reasons).includes(true);
		set(button, { 'aria-expanded': String(isOpen) });
		if (!isOpen) return panel.remove();
		if (!panel.isConnected) root.append(panel);
		const { right, top } = root.getBoundingClientRect();
		panel.style.right = `${Math.min(0, right - panel.offsetWidth - 8)}px`;
		box.style.maxHeight = `${Math.max(180, Math.min(560, top - NAVBAR))}px`;
	};
	const close = () => open({ hover: false, focus: false, pin: false });
	const contains = (target: EventTarget | null) => target instanceof Node && root.contains(target);

	button.onclick = () => (reasons.pin ? close() : open({ pin: true }));
	recheck.onclick = session.recheck;
	accept.onclick = () => {
		recheck.focus(); // this button is about to go
		session.accept();
	};
	root.onmouseenter = () => open({ hover: true });
	root.onmouseleave = () => open({ hover: false });
	root.addEventListener('focusin', () => open({ focus: true }));
	root.addEventListener('focusout', (event) => open({ focus: contains(event.relatedTarget) }));
	const escape = ({ key }: KeyboardEvent) => {
		if (key !== 'Escape') return;
		if (contains(document.activeElement)) button.focus();
		close();
	};
	const outside = ({ target }: Event) => contains(target) || close();
	addEventListener('keydown', escape);
	addEventListener('pointerdown', outside);

	const ends = [
		t.subscribe((value) => {
			translate = value;
			if (state) show();
		}),
		session.subscribe((value) => {
			state = value;
			show();
		}),
		session.attach(),
		// A new chat gets its id with its first message, before the page's address has it: that is
		// the same chat. An opened chat's address comes first.
		chatId.subscribe((id) => session.chat(id, id !== '' && !location.pathname.endsWith(`/${id}`)))
	];
	return {
		destroy() {
			ends.forEach((end) => end());
			removeEventListener('keydown', escape);
			removeEventListener('pointerdown', outside);
		}
	};
};
