import type { Verdict } from './attest';
import { headline, type Check } from './checks';
import { h, type Child } from './dom';
import { PROVIDERS } from './providers';
import type { State } from './session';
import type { TextKey, Translate } from './text';

/** The badge's `data-state`. */
export const stateOf = (state: State): 'off' | 'pending' | 'green' | 'amber' | 'red' =>
	state.kind === 'done' ? state.verdict.status : state.kind;

/** The state in words. */
export const label = (state: State): TextKey => {
	const name = stateOf(state);
	const simulated =
		state.kind === 'done' &&
		name === 'amber' &&
		state.verdict.checks.some(({ id, code }) => id === 'not-simulated' && code === 'simulated');
	return simulated ? 'state.simulated' : `state.${name}`;
};

/** What the reader can do about a check that did not pass. */
const advice = ({ code = 'internal' }: Check): TextKey => {
	if (/^(changed|memory)$/.test(code)) return 'advice.accept';
	if (/^keys|^policy|-(address|forged|chosen)$/.test(code)) return 'advice.settings';
	return /^offline|^internal|-unreachable$/.test(code) ? 'advice.retry' : 'advice.distrust';
};

const SHIELD = 'M10 1.6 3.2 4v5.4c0 4.2 2.8 7.4 6.8 9 4-1.6 6.8-4.8 6.8-9V4Z';
/** The badge's drawing: each state has a shape of its own, never only a colour. */
export const SHAPES = {
	off: `${SHIELD}M2.5 2.5l15 15`,
	pending: 'M10 2.5a7.5 7.5 0 1 1-7.5 7.5M10 6v4l3 2',
	green: `${SHIELD}M6.7 10 9 12.5l4.3-4.7`,
	amber: `${SHIELD}M10 6v5m0 2v1.5`,
	red: `${SHIELD}M7.4 7.4l5.2 5.2m0-5.2-5.2 5.2`
};

export const MUTED = 'text-gray-600 dark:text-gray-400';
/** Seen well on the light and on the dark theme. */
export const COLOURS = {
	off: 'text-gray-500',
	pending: 'text-rose-500 animate-pulse',
	green: 'text-green-600',
	amber: 'text-amber-600',
	red: 'text-red-500'
};
const SIGNS = {
	pass: ['✓', COLOURS.green],
	warn: ['!', COLOURS.amber],
	fail: ['✕', COLOURS.red],
	skipped: ['–', COLOURS.off]
};

const why = (t: Translate, { code }: Check): string => (code ? t(`reason.${code}`) : '');

const checkView = (t: Translate, check: Check): Node => {
	const { id, outcome } = check;
	const [sign, colour] = SIGNS[outcome];
	return h(
		'li',
		{ class: 'mt-1', 'data-testid': 'tee-check', 'data-check': id, 'data-outcome': outcome },
		h('b', { class: colour, 'aria-hidden': 'true' }, sign),
		` ${id}: ${t(`outcome.${outcome}`)} `,
		h('span', { class: MUTED }, `${why(t, check)} ${check.detail ?? ''}`)
	);
};

/** Times of a token are seconds since 1970: shown as the reader's time, and as they are. */
const shown = (name: string, value: string): string => {
	const time = new Date(Number(value) * 1000);
	const isTime = /^(exp|iat)$/.test(name) && !isNaN(time.getTime());
	return isTime ? `${time.toLocaleString()} (${value})` : value;
};

const fieldView = (name: string, value: string): Node =>
	h(
		'div',
		{ class: 'mt-1' },
		h('div', { class: MUTED }, name),
		// one click selects the whole value
		h(
			'div',
			{ class: 'font-mono select-all', 'data-testid': 'tee-field', 'data-field': name },
			shown(name, value)
		)
	);

const reasonView = (t: Translate, { checks }: Verdict): Child[] => {
	const reason = headline(checks);
	if (!reason) return [];
	const text = `${reason.id}: ${why(t, reason)}`;
	return [
		h('p', { 'data-testid': 'tee-reason', 'data-check': reason.id }, text),
		h('p', { class: 'font-medium' }, t(advice(reason)))
	];
};

const providerView = (_: Translate, { choice }: Verdict): Child[] => [
	h('p', { class: MUTED }, choice ? `${PROVIDERS[choice.provider].name} ${choice.address}` : '')
];

const checksView = (t: Translate, { checks }: Verdict): Child[] => [
	h('ul', { class: 'my-2' }, ...checks.map((check) => checkView(t, check)))
];

/** What has changed since this browser remembered it, and the button that accepts that. */
const changesView = (_: Translate, { changes, accept }: Verdict, button: Node): Child[] => [
	...(changes ?? []).map(([name, before, now]) =>
		h(
			'div',
			{ class: 'mt-1 font-mono', 'data-testid': 'tee-change', 'data-field': name },
			`${name}: ${before} → ${now}`
		)
	),
	accept ? button : ''
];

/** What failed its checks is not shown as if it were a measurement. */
const fieldsView = (_: Translate, { fields, status }: Verdict): Child[] =>
	Object.entries(status === 'red' ? {} : fields).map(([name, value]) =>
		value === undefined ? '' : fieldView(name, String(value))
	);

const eventsView = (t: Translate, { events = [], status }: Verdict): Child[] => {
	if (status === 'red' || events.length === 0) return [];
	const rows = events.map(([register, kind, text]) =>
		h(
			'div',
			{ class: 'mt-1', 'data-testid': 'tee-event' },
			`${register} ${kind} `,
			h('span', { class: 'font-mono' }, text)
		)
	);
	const summary = h('summary', { class: `cursor-pointer ${MUTED}` }, t('panel.events'));
	return [h('details', { class: 'mt-2', 'data-testid': 'tee-events' }, summary, ...rows)];
};

/** What the panel shows of a verdict, from top to bottom. A new section is one more entry. */
const SECTIONS = [reasonView, providerView, checksView, changesView, fieldsView, eventsView];

/** What the panel shows of a state; `accept` is the button that accepts changed measurements. */
export const panelView = (state: State, t: Translate, accept: Node): Child[] => [
	...(state.kind === 'done' ? SECTIONS.flatMap((view) => view(t, state.verdict, accept)) : []),
	h('p', { class: `mt-3 ${MUTED}` }, t('panel.note'))
];
