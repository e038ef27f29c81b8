import {
	css,
	html,
	nothing,
	svg,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import type { Translate } from '../i18n/texts';
import { TrustElement, type Parts } from './element';
import { mend } from './kept';
import { panelStyles, panelView, type Actions } from './panel';
import { labelOf, stateOf, type StateName } from './state';

/** Pixels at the top of the window where the app's own bar covers whatever reaches up there. */
const NAVBAR = 72;
/** Pixels of the panel: its least and greatest height, and what is left free beside it. */
const LEAST = 180;
const GREATEST = 560;
const MARGIN = 8;

const SHIELD = 'M10 1.6 3.2 4v5.4c0 4.2 2.8 7.4 6.8 9 4-1.6 6.8-4.8 6.8-9V4Z';
/** The badge's drawing: each state has a shape of its own, never only a colour. */
const SHAPES: Record<StateName, string> = {
	off: `${SHIELD}M2.5 2.5l15 15`,
	pending: 'M10 2.5a7.5 7.5 0 1 1-7.5 7.5M10 6v4l3 2',
	green: `${SHIELD}M6.7 10 9 12.5l4.3-4.7`,
	amber: `${SHIELD}M10 6v5m0 2v1.5`,
	red: `${SHIELD}M7.4 7.4l5.2 5.2m0-5.2-5.2 5.2`
};

/** Why the panel is open. */
interface Reasons {
	/** The pointer is over badge or panel. */
	hover: boolean;
	/** The focus is in them. */
	focus: boolean;
	/** A click has pinned it, until the next one. */
	pin: boolean;
}
const NONE: Reasons = { hover: false, focus: false, pin: false };

/**
 * `<cczoo-trust-badge>`: the trust badge and, above it, its panel.
 *
 * The panel is there while the pointer is over the badge or the panel, while the focus is in them,
 * or until the next click once a click has pinned it. Escape closes it in each case. The focus opens
 * it only where a key has brought it: what an app's dialog gives back as it closes opens nothing.
 */
export class TrustBadge extends TrustElement {
	static override properties: PropertyDeclarations = {
		reasons: { state: true },
		settingsOpen: { state: true }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		panelStyles,
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
			.button.pending {
				animation: pulse 2s ease-in-out infinite;
			}
			@keyframes pulse {
				50% {
					opacity: 0.5;
				}
			}
			@media (prefers-reduced-motion: reduce) {
				.button.pending {
					animation: none;
				}
			}
			svg {
				width: 1.25rem;
				height: 1.25rem;
				fill: none;
				stroke: currentColor;
				stroke-width: 1.8;
			}
			.panel {
				position: absolute;
				bottom: 100%;
				z-index: 50;
				width: min(25rem, calc(100vw - 1rem));
				padding-bottom: 0.5rem;
			}
			.spoken {
				position: absolute;
				width: 1px;
				height: 1px;
				overflow: hidden;
				clip-path: inset(50%);
				white-space: nowrap;
			}
		`
	];

	declare reasons: Reasons;
	declare settingsOpen: boolean;
	/** Was the last thing that the person did a key, and not Escape? So that the focus is theirs. */
	#byKey = true;

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
		// Before the app, which in its dialogs keeps keys from others.
		addEventListener('keydown', this.#onKey, { capture: true });
		addEventListener('pointerdown', this.#onPointer, { capture: true });
	}

	override disconnectedCallback(): void {
		removeEventListener('keydown', this.#onKey, { capture: true });
		removeEventListener('pointerdown', this.#onPointer, { capture: true });
		this.#close();
		super.disconnectedCallback();
	}

	get #open(): boolean {
		const { hover, focus, pin } = this.reasons;
		return hover || focus || pin;
	}

	#because(change: Partial<Reasons>): void {
		this.reasons = { ...this.reasons, ...change };
	}

	#close(): void {
		this.reasons = NONE;
		this.settingsOpen = false;
	}

	readonly #onKey = ({ key }: KeyboardEvent): void => {
		this.#byKey = key !== 'Escape';
		if (this.#byKey) return;
		if (this.shadowRoot?.activeElement) this.#find('.button')?.focus();
		this.#close();
	};

	readonly #onPointer = (event: Event): void => {
		this.#byKey = false;
		if (!event.composedPath().includes(this)) this.#close();
	};

	readonly #onFocusIn = (): void => {
		if (this.#byKey || this.#open) this.#because({ focus: true });
	};

	readonly #onFocusOut = ({ relatedTarget }: FocusEvent): void => {
		const stays = relatedTarget instanceof Node && this.renderRoot.contains(relatedTarget);
		this.#because({ focus: stays });
	};

	#find(selector: string): HTMLElement | null {
		return this.renderRoot.querySelector<HTMLElement>(selector);
	}

	/** Above the badge, and inside the window. */
	protected override updated(): void {
		const panel = this.#find('.panel');
		const box = this.#find('.box');
		if (!panel || !box) return;
		const { right, top } = this.getBoundingClientRect();
		panel.style.right = `${Math.min(0, right - panel.offsetWidth - MARGIN)}px`;
		box.style.maxHeight = `${Math.max(LEAST, Math.min(GREATEST, top - NAVBAR))}px`;
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
		const name = stateOf(state, model);
		const text = t(labelOf(state, model));
		return html`
			<div
				class="badge"
				@mouseenter=${() => {
					this.#because({ hover: true });
				}}
				@mouseleave=${() => {
					this.#because({ hover: false });
				}}
				@focusin=${this.#onFocusIn}
				@focusout=${this.#onFocusOut}
			>
				<button
					type="button"
					class="button ${name}"
					data-testid="tee-badge"
					data-state=${name}
					aria-label="${t('settings.title')}: ${text}"
					aria-expanded=${this.#open}
					@click=${this.#toggle}
				>
					<svg viewBox="0 0 20 20" aria-hidden="true">${svg`<path d=${SHAPES[name]}></path>`}</svg>
				</button>
				<span class="spoken" role="status">${text}</span>
				${this.#open ? this.#panel(parts, t) : nothing}
			</div>
		`;
	}

	#panel(parts: Parts, t: Translate): TemplateResult {
		const { session } = parts;
		const actions: Actions = {
			recheck: session.recheck,
			accept: () => {
				this.#find('.recheck')?.focus(); // the other button is about to go
				session.accept();
			},
			mend: (remedy) => {
				this.#find('.recheck')?.focus();
				mend(parts, remedy);
			},
			forget: () => {
				this.#find('.recheck')?.focus();
				session.forget();
			},
			model: parts.model.get(),
			review: this.settingsOpen
				? undefined
				: () => {
						parts.settings.reload(); // what is shown is what is stored
						this.#openSettings();
					}
		};
		return html`
			<div class="panel">${panelView(session.state.get(), t, actions, this.#extras(parts, t))}</div>
		`;
	}

	#extras(parts: Parts, t: Translate): TemplateResult {
		return html`
			${
				parts.rightsTaken.get()
					? html`<p class="note" role="note" data-testid="tee-rights">${t('panel.rights')}</p>`
					: nothing
			}
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
