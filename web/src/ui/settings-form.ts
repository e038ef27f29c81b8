import { css, html, type CSSResult, type PropertyDeclarations, type TemplateResult } from 'lit';
import { live } from 'lit/directives/live.js';
import { asProblem } from '../base/problem';
import { parsePolicy } from '../policy/policy';
import type { Choice } from '../providers/choice';
import {
	DEFAULT_PROVIDER,
	isProviderId,
	PROVIDERS,
	providerIds,
	type ProviderId
} from '../providers/registry';
import type { Settings } from '../session/settings';
import { TrustElement, type Parts } from './element';
import { keptView, mend } from './kept';

/** What a person may ask for: `off` would ask for nothing. */
const OWN = ['warn', 'block'] as const;

/**
 * `<cczoo-trust-settings>`: on or off, the service, its address and keys, how strict the page is, and
 * the policy.
 *
 * What the user writes is stored when a field is left, and when the form goes away. What is being
 * typed stays as it is until something else has been stored.
 */
export class TrustSettings extends TrustElement {
	static override properties: PropertyDeclarations = { problem: { state: true } };
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		css`
			.form {
				padding: 0.25rem 0;
				font-weight: 500;
			}
			.title {
				margin-bottom: 0.25rem;
				font-size: 0.875rem;
			}
			.line {
				display: flex;
				align-items: center;
				justify-content: space-between;
				padding: 0.125rem 0;
			}
			label {
				display: block;
			}
			input,
			select,
			textarea {
				box-sizing: border-box;
				border: 1px solid var(--line);
				border-radius: 0.5rem;
				background: transparent;
				color: inherit;
				font: inherit;
			}
			option {
				background: var(--ground);
			}
			.text {
				width: 100%;
				margin-top: 0.125rem;
				padding: 0.375rem 0.75rem;
			}
			select {
				border-color: transparent;
				padding: 0.5rem;
				text-align: end;
			}
			.switch {
				appearance: none;
				flex: none;
				width: 2.25rem;
				height: 1.25rem;
				margin: 0;
				border: 2px solid transparent;
				border-radius: 9999px;
				background: var(--off);
				cursor: pointer;
				transition: padding 0.15s;
			}
			.switch::before {
				content: '';
				display: block;
				width: 1rem;
				height: 1rem;
				border-radius: 9999px;
				background: #fff;
			}
			.switch:checked {
				padding-inline-start: 1rem;
				background: #059669;
			}
		`
	];

	/** What is wrong with what the user wrote. */
	declare problem: string;
	/** The newest answer about whom to ask; while a check is under way, the last one. */
	#asked: Choice | undefined;
	/** Whose address and keys are in the fields. */
	#shown: ProviderId | undefined;
	/** What the fields were last filled with. */
	#filling = '';
	#policy: string | undefined;

	constructor() {
		super();
		this.problem = '';
	}

	protected override begin({ session, settings }: Parts): (() => void)[] {
		return [
			...this.follow(settings.state),
			session.state.subscribe((state) => {
				this.#asked = (state.kind === 'done' && state.verdict.choice) || this.#asked;
				this.requestUpdate();
			})
		];
	}

	override disconnectedCallback(): void {
		// Closing the dialogue with Escape takes a field away before its change event.
		this.#storeTexts();
		this.#storePolicy();
		super.disconnectedCallback();
	}

	protected override view(parts: Parts): TemplateResult {
		const { texts, session, settings } = parts;
		const { t } = texts.get();
		const state = session.state.get();
		const kept = state.kind === 'done' ? state.verdict : {};
		const { settings: stored, broken } = settings.state.get();
		const provider = this.#providerOf(stored);
		const { address } = PROVIDERS[provider];
		const suggested = this.#asked?.provider === provider ? this.#asked.address : '';
		return html`
			<div class="form" data-testid="tee-settings">
				<div class="title">${t('settings.title')}</div>
				${keptView(kept, t, (remedy) => {
					mend(parts, remedy);
				})}
				<label class="line">
					${t('settings.enabled')}
					<input
						type="checkbox"
						role="switch"
						class="switch"
						data-testid="tee-enabled"
						aria-checked=${stored.enabled}
						.checked=${live(stored.enabled)}
						@change=${this.#storeEnabled}
					/>
				</label>
				<label class="line">
					${t('settings.provider')}
					<select data-testid="tee-provider" @change=${this.#storeProvider}>
						<option value="" .selected=${live(stored.provider === null)}>
							${t('settings.automatic', t(`provider.${provider}`))}
						</option>
						${providerIds.map(
							(id) => html`
								<option value=${id} .selected=${live(stored.provider === id)}>
									${t(`provider.${id}`)}
								</option>
							`
						)}
					</select>
				</label>
				<label ?hidden=${address === null}>
					${t('settings.address')}
					<input
						class="text"
						data-testid="tee-address"
						inputmode="url"
						spellcheck="false"
						autocomplete="off"
						placeholder=${address || suggested}
						@change=${this.#storeTexts}
					/>
				</label>
				<button
					type="button"
					class="link"
					data-testid="tee-trust"
					?hidden=${!this.#asked?.serverChosen || !suggested}
					@click=${this.#trust}
				>
					${t('settings.trust', suggested)}
				</button>
				<label>
					${t(address === null ? 'settings.root' : 'settings.keys')}
					<textarea
						class="text"
						data-testid="tee-keys"
						rows="2"
						spellcheck="false"
						autocomplete="off"
						@change=${this.#storeTexts}
					></textarea>
				</label>
				<label class="line" ?hidden=${address === null}>
					${t('settings.logs')}
					<input
						type="checkbox"
						role="switch"
						class="switch"
						data-testid="tee-logs"
						aria-checked=${stored.logs[provider]}
						.checked=${live(stored.logs[provider])}
						@change=${this.#storeLogs}
					/>
				</label>
				<label class="line">
					${t('settings.enforcement')}
					<select data-testid="tee-enforcement" @change=${this.#storeEnforcement}>
						<option value="" .selected=${live(stored.enforcement === null)}>
							${t('settings.enforcement.server')}
						</option>
						${OWN.map(
							(word) => html`
								<option value=${word} .selected=${live(stored.enforcement === word)}>
									${t(`enforcement.${word}`)}
								</option>
							`
						)}
					</select>
				</label>
				<label>
					${t('settings.policy')}
					<textarea
						class="text"
						data-testid="tee-policy"
						rows="2"
						spellcheck="false"
						autocomplete="off"
						@change=${this.#storePolicy}
					></textarea>
				</label>
				<div class="red" role="alert" data-testid="tee-settings-error">
					${this.problem || (broken ? t('settings.broken') : '')}
				</div>
				<div class="muted">${t('settings.local')}</div>
			</div>
		`;
	}

	/** Only what is stored may replace what the user is writing. */
	protected override updated(): void {
		const stored = this.#stored;
		if (!stored) return;
		const provider = this.#providerOf(stored);
		const filling = JSON.stringify([provider, stored]);
		if (filling !== this.#filling) {
			this.#filling = filling;
			this.#shown = provider;
			this.#field('address').value = stored.addresses[provider];
			this.#field('keys').value = stored.keys[provider];
		}
		if (stored.policy !== this.#policy) {
			this.#policy = stored.policy;
			this.#field('policy').value = stored.policy;
		}
	}

	get #stored(): Settings | undefined {
		return this.parts?.settings.state.get().settings;
	}

	#providerOf(stored: Settings): ProviderId {
		return stored.provider ?? this.#asked?.provider ?? DEFAULT_PROVIDER;
	}

	#field(name: 'address' | 'keys' | 'policy'): HTMLInputElement | HTMLTextAreaElement {
		const field = this.renderRoot.querySelector<HTMLInputElement>(`[data-testid="tee-${name}"]`);
		if (!field) throw new Error(name);
		return field;
	}

	#change(edit: (draft: Settings) => void): void {
		if (!this.parts) return;
		const { texts, settings } = this.parts;
		this.problem = '';
		try {
			settings.change(edit);
		} catch (error) {
			const { code, detail } = asProblem(error);
			this.problem = `${texts.get().t(`reason.${code}`)} ${detail}`.trim();
		}
	}

	/** Store address and keys; to write an address is to choose its provider. */
	#storeTexts(): void {
		const stored = this.#stored;
		const provider = this.#shown;
		if (!stored || !provider) return;
		const address = this.#field('address').value.trim();
		const keys = this.#field('keys').value.trim();
		const same = address === stored.addresses[provider] && keys === stored.keys[provider];
		if (same) {
			this.problem = '';
			return;
		}
		this.#change((draft) => {
			draft.provider = provider;
			draft.addresses[provider] = address;
			draft.keys[provider] = keys;
		});
	}

	/** A policy by itself: one that is wrong keeps nothing else from being stored, and stays here. */
	#storePolicy(): void {
		const stored = this.#stored;
		if (!stored || this.#policy === undefined) return;
		const text = this.#field('policy').value.trim();
		if (text === stored.policy) {
			this.problem = '';
			return;
		}
		this.#change((draft) => {
			if (text) parsePolicy(text);
			draft.policy = text;
		});
	}

	#storeEnabled({ target }: Event): void {
		if (!(target instanceof HTMLInputElement)) return;
		const { checked } = target;
		this.#change((draft) => {
			draft.enabled = checked;
		});
	}

	/** Of the service whose address is on show. */
	#storeLogs({ target }: Event): void {
		const provider = this.#shown;
		if (!(target instanceof HTMLInputElement) || !provider) return;
		const { checked } = target;
		this.#change((draft) => {
			draft.logs[provider] = checked;
		});
	}

	#storeProvider({ target }: Event): void {
		if (!(target instanceof HTMLSelectElement)) return;
		const { value } = target;
		this.#change((draft) => {
			draft.provider = isProviderId(value) ? value : null;
		});
	}

	#storeEnforcement({ target }: Event): void {
		if (!(target instanceof HTMLSelectElement)) return;
		const { value } = target;
		this.#change((draft) => {
			draft.enforcement = OWN.find((word) => word === value) ?? null;
		});
	}

	/** Trust the address that the server chose: it is then the user's own choice. */
	#trust(): void {
		const asked = this.#asked;
		if (!asked) return;
		this.#change((draft) => {
			draft.provider = asked.provider;
			const { address, path } = asked;
			// One that itself ends in the well-known path would lose that where it is read.
			draft.addresses[asked.provider] = address.endsWith(path) ? address + path : address;
		});
	}
}
