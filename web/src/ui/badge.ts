import {
	css,
	html,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import type { Translate } from '../i18n/texts';
import { TrustElement, type Parts } from './element';
import { lift } from './lift';
import { panelStyles, panelView } from './panel';
import { actionsOf } from './panel/actions';
import { messageBox, roomBeside, startOf } from './room';
import { sign } from './sign';
import { kindOf, labelOf, stateOf } from './state';

/** Milliseconds that a pointer rests before the panel opens: one on its way elsewhere does not. */
export const REST = 300;
/** Milliseconds that the panel waits for a pointer that has left: it may be on its way to the panel. */
export const LEAVE = 600;

/** Why the panel is open. */
interface Reasons {
	/** A pointer rests on badge or panel. */
	hover: boolean;
	/** A click, or Enter or Space, has pinned it, until the next one. */
	pin: boolean;
}
const NONE: Reasons = { hover: false, pin: false };

/**
 * `<cczoo-trust-badge>`: the trust badge and, above the message box, its panel.
 *
 * The panel opens by a click, by Enter or Space, and for as long as a pointer rests on badge or
 * panel. It closes by Escape, which then does nothing else, by a click elsewhere, where the Tab key
 * moves the focus on, and as soon as something is typed elsewhere.
 */
export class TrustBadge extends TrustElement {
	static override properties: PropertyDeclarations = {
		reasons: { state: true },
		settingsOpen: { state: true }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		...panelStyles,
		css`
			.badge {
				position: relative;
			}
			.button {
				display: flex;
				border-radius: 9999px;
				padding: 0.375rem;
			}
			.button:hover {
				background: var(--soft);
			}
			/* in the corner of the window it stands on whatever is there */
			.chip {
				border: 1px solid var(--line);
				background: var(--ground);
			}
			.button.checking {
				animation: pulse 2s ease-in-out infinite;
			}
			@keyframes pulse {
				50% {
					opacity: 0.75;
				}
			}
			@media (prefers-reduced-motion: reduce) {
				.button.checking {
					animation: none;
				}
			}
			@media (forced-colors: active) {
				.button {
					border: 1px solid;
				}
			}
			.panel {
				position: fixed;
				inset: auto;
				box-sizing: border-box;
				width: 25rem;
				margin: 0;
				border: 0;
				padding: 0.5rem 0;
				overflow: visible;
				background: none;
				color: inherit;
			}
		`
	];

	declare reasons: Reasons;
	declare settingsOpen: boolean;
	/** Was the last key the one that moves the focus on? */
	#byTab = false;
	/** Was the panel closed under a pointer that has not left since? */
	#dismissed = false;
	#hover: ReturnType<typeof setTimeout> | undefined;

	constructor() {
		super();
		this.reasons = NONE;
		this.settingsOpen = false;
	}

	protected override begin({
		session,
		model,
		chat,
		settingsInPanel,
		rightsTaken
	}: Parts): (() => void)[] {
		return [
			...this.follow(session.state, model, settingsInPanel, rightsTaken),
			session.attach(),
			chat.subscribe((number) => {
				session.chat(number);
			})
		];
	}

	override connectedCallback(): void {
		super.connectedCallback();
		for (const [name, act] of this.#hears) addEventListener(name, act, { capture: true });
	}

	override disconnectedCallback(): void {
		for (const [name, act] of this.#hears) removeEventListener(name, act, { capture: true });
		this.#close();
		super.disconnectedCallback();
	}

	get #open(): boolean {
		const { hover, pin } = this.reasons;
		return hover || pin;
	}

	#because(change: Partial<Reasons>): void {
		this.reasons = { ...this.reasons, ...change };
	}

	#close(): void {
		clearTimeout(this.#hover);
		this.#dismissed = true;
		this.reasons = NONE;
		this.settingsOpen = false;
	}

	/** Escape is the panel's while that is open: the app would stop an answer that streams in. */
	readonly #onKey = (event: KeyboardEvent): void => {
		const { key, isComposing } = event;
		this.#byTab = key === 'Tab';
		if (key !== 'Escape' || isComposing || !this.#open) return;
		event.preventDefault();
		event.stopImmediatePropagation();
		if (this.shadowRoot?.activeElement) this.#find('.button')?.focus();
		this.#close();
	};

	readonly #onPointer = (event: Event): void => {
		this.#byTab = false;
		this.#onElsewhere(event);
	};

	/** The app gives the focus here and there by itself: only the person's own key counts. */
	readonly #onFocus = (event: Event): void => {
		if (this.#byTab) this.#onElsewhere(event);
	};

	readonly #onElsewhere = (event: Event): void => {
		if (!event.composedPath().includes(this)) this.#close();
	};

	/** The window's size, or what of the page is seen, has changed; or the app has moved a part of it. */
	readonly #onMoved = (): void => {
		if (this.#open) this.requestUpdate();
	};

	/** What is heard on the way down, before the app, which in its dialogs keeps keys from others. */
	readonly #hears = [
		['keydown', this.#onKey as EventListener],
		['pointerdown', this.#onPointer],
		['focusin', this.#onFocus],
		['input', this.#onElsewhere],
		['resize', this.#onMoved],
		['scroll', this.#onMoved],
		['transitionend', this.#onMoved]
	] as const;

	readonly #onEnter = (): void => {
		this.#dismissed = false;
	};

	/** A finger does not rest: it taps. A pointer with a button down is about something else. */
	readonly #onMove = ({ pointerType, buttons }: PointerEvent): void => {
		clearTimeout(this.#hover);
		if (this.#dismissed || pointerType === 'touch' || buttons > 0) return;
		this.#hover = setTimeout(() => {
			this.#because({ hover: true });
		}, REST);
	};

	readonly #onLeave = (): void => {
		clearTimeout(this.#hover);
		this.#hover = setTimeout(() => {
			this.#because({ hover: false });
		}, LEAVE);
	};

	#find(selector: string): HTMLElement | null {
		return this.renderRoot.querySelector<HTMLElement>(selector);
	}

	/** Beside the message box, inside the window, and over whatever the app shows there. */
	protected override updated(): void {
		const panel = this.#find('.panel');
		const box = this.#find('.box');
		if (!panel || !box) return;
		lift(panel);
		const badge = this.getBoundingClientRect();
		const field = messageBox(this).getBoundingClientRect();
		const seen = { width: innerWidth, height: innerHeight };
		const { side, at, height, width } = roomBeside(badge, field, seen);
		panel.style.maxWidth = `${width}px`;
		panel.style.bottom = side === 'above' ? `${seen.height - at}px` : 'auto';
		panel.style.top = side === 'above' ? 'auto' : `${at}px`;
		panel.style.left = `${startOf(badge, panel.offsetWidth)}px`;
		box.style.maxHeight = `calc(${height}px - 1rem)`;
	}

	#openSettings(): void {
		this.settingsOpen = true;
		this.#because({ pin: true }); // who writes may leave with the pointer
	}

	#toggle(): void {
		if (this.reasons.pin) this.#close();
		else this.#because({ pin: true });
	}

	protected override view(parts: Parts): TemplateResult {
		const { t } = parts.texts.get();
		const state = parts.session.state.get();
		const model = parts.model.get();
		const kind = kindOf(state, model);
		const chip = this.closest('[data-tee-chip]') ? 'chip' : '';
		const text = t(labelOf(state, model));
		return html`
			<div
				class="badge"
				@pointerenter=${this.#onEnter}
				@pointermove=${this.#onMove}
				@pointerleave=${this.#onLeave}
			>
				<button
					type="button"
					class="button ${kind} ${chip}"
					data-testid="tee-badge"
					data-state=${stateOf(state, model)}
					data-kind=${kind}
					aria-label="${t('settings.title')}: ${text}"
					aria-expanded=${this.#open}
					@click=${this.#toggle}
				>
					${sign(kind)}
				</button>
				${this.#open ? this.#panel(parts, t) : nothing}
			</div>
		`;
	}

	#panel(parts: Parts, t: Translate): TemplateResult {
		const actions = actionsOf(parts, {
			keepFocus: () => this.#find('.recheck')?.focus(),
			openSettings: () => {
				this.#openSettings();
			},
			settingsOpen: this.settingsOpen,
			close: () => {
				this.#find('.button')?.focus();
				this.#close();
			}
		});
		const state = parts.session.state.get();
		return html`
			<div class="panel" popover="manual">
				${panelView(state, t, actions, this.#extras(parts, t))}
			</div>
		`;
	}

	#extras(parts: Parts, t: Translate): TemplateResult {
		return html`
			${
				parts.rightsTaken.get()
					? html`<p class="note" role="note" data-testid="tee-rights">${t('panel.rights')}</p>`
					: nothing
			}
			<p class="note">
				<a class="link" data-testid="tee-page" href="/tee" target="_blank">${t('panel.tee')}</a>
			</p>
			${this.#settings(parts, t)}
		`;
	}

	/** The settings form: for who reviews it, and behind a button where the app has no place for it. */
	#settings(parts: Parts, t: Translate): TemplateResult | typeof nothing {
		if (this.settingsOpen) {
			return html`<cczoo-trust-settings .parts=${parts}></cczoo-trust-settings>`;
		}
		if (!parts.settingsInPanel.get()) return nothing;
		return html`
			<button
				type="button"
				class="row link"
				data-testid="tee-open-settings"
				@click=${this.#openSettings}
			>
				${t('panel.settings')}
			</button>
		`;
	}
}
