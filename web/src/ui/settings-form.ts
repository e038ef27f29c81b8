import {
	css,
	html,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import { live } from 'lit/directives/live.js';
import { asProblem } from '../base/problem';
import { parsePolicy, TEXT_LIMIT } from '../policy/policy';
import type { Translate } from '../i18n/texts';
import {
	DEFAULT_PROVIDER,
	isProviderId,
	PROVIDERS,
	providerIds,
	type ProviderId
} from '../providers/registry';
import type { Settings } from '../session/settings';
import type { Enforcement } from '../transport/gate';
import { TrustElement, type Parts } from './element';
import { keptView, mend } from './kept';
import { policySummary } from './policy-summary';
import { forgetView, rememberedView, type Asked, type Forgetting } from './remembered';
import { suggestionsView, type Heard } from './suggestion';

/** What a person may ask for: `off` would ask for nothing. */
const OWN = ['warn', 'block'] as const;

/** Where something can be wrong; `form` for what belongs to no field. */
type Field = 'address' | 'keys' | 'policy';
type At = Field | 'form';

/** At which field a reason for refusing a change is told; the others are about the form. */
const AT: Partial<Record<string, Field>> = {
	'bad-address': 'address',
	'http-unpinned': 'address',
	'keys-malformed': 'keys',
	'policy-malformed': 'policy'
};

/**
 * `<cczoo-trust-settings>`: on or off, the service, its address and keys, how strict the page is, and
 * the policy.
 *
 * What the user writes is stored when a field is left, and when the form goes away. What is being
 * typed stays as it is until something else has been stored.
 */
export class TrustSettings extends TrustElement {
	static override properties: PropertyDeclarations = {
		problems: { state: true },
		asked: { state: true },
		strictness: { state: true }
	};
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
				flex-wrap: wrap;
				gap: 0.125rem 0.5rem;
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
			[aria-invalid='true'] {
				border-color: var(--red);
			}
			p {
				margin: 0;
			}
			ul {
				margin: 0;
				padding-inline-start: 1rem;
			}
			li,
			.value {
				overflow-wrap: anywhere;
			}
			summary {
				cursor: pointer;
			}
			.text {
				width: 100%;
				margin-top: 0.125rem;
				padding: 0.375rem 0.75rem;
			}
			select {
				max-width: 100%;
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
			/* the reader's own colours leave no grounds: the knob, and on which side it is, say it */
			@media (forced-colors: active) {
				.switch {
					border-color: currentColor;
				}
				.switch::before {
					forced-color-adjust: none;
					background: ButtonText;
				}
			}
		`
	];

	/** What is wrong with what the user wrote, or was not stored. */
	declare problems: Partial<Record<At, string>>;
	/** What the person is asked whether to forget. */
	declare asked: Asked | '';
	/** How strict this page is. */
	declare strictness: Enforcement | undefined;
	/** What the newest verdict says of whom to ask; while a check is under way, the last one. */
	#heard: Heard = {};
	/** Whose address and keys are in the fields. */
	#shown: ProviderId | undefined;
	/** What the fields were last filled with. */
	#filling = '';
	#policy: string | undefined;

	constructor() {
		super();
		this.problems = {};
		this.asked = '';
	}

	protected override begin({ session, settings, enforcement }: Parts): (() => void)[] {
		const weigh = async () => {
			this.strictness = await enforcement();
		};
		document.addEventListener('click', this.#onSave, { capture: true });
		return [
			() => {
				document.removeEventListener('click', this.#onSave, { capture: true });
			},
			settings.state.listen(() => void weigh()),
			...this.follow(settings.state),
			session.state.subscribe((state) => {
				if (state.kind === 'done' && state.verdict.choice) this.#heard = state.verdict;
				this.requestUpdate();
				void weigh();
			})
		];
	}

	/** The app's own Save says that all was stored: it waits until that can be. */
	readonly #onSave = (event: Event): void => {
		const scroller = this.closest('[class*="overflow-y-"]');
		const button = event.target instanceof Element ? event.target.closest('button') : null;
		const isSave = scroller?.parentElement?.contains(button) === true && !scroller.contains(button);
		const [wrong] = Object.keys(this.problems) as At[];
		if (!button || !isSave || wrong === undefined) return;
		event.preventDefault();
		event.stopImmediatePropagation();
		if (wrong !== 'form') this.#field(wrong).focus();
	};

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
		const heard = this.#heard.choice?.provider === provider ? this.#heard : {};
		return html`
			<div class="form" data-testid="tee-settings">
				<div class="title">${t('settings.title')}</div>
				${this.#whoseView(parts, t)}
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
						aria-describedby="strict"
						.checked=${live(stored.enabled)}
						@change=${this.#storeEnabled}
					/>
				</label>
				<div class="muted" id="strict" data-testid="tee-strict">
					${this.strictness === 'block' ? t('settings.strict') : nothing}
				</div>
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
						placeholder=${address || (heard.choice?.address ?? '')}
						aria-invalid=${this.#isWrong('address')}
						aria-describedby="wrong-address"
						@change=${this.#storeTexts}
					/>
				</label>
				${this.#wrongView('address')}
				${suggestionsView(heard, t, (edit, member) => {
					this.#change(edit, [member]);
				})}
				<label>
					${t(address === null ? 'settings.root' : 'settings.keys')}
					<textarea
						class="text"
						data-testid="tee-keys"
						rows="2"
						spellcheck="false"
						autocomplete="off"
						aria-invalid=${this.#isWrong('keys')}
						aria-describedby="wrong-keys"
						@change=${this.#storeTexts}
					></textarea>
				</label>
				${this.#wrongView('keys')}
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
						aria-invalid=${this.#isWrong('policy')}
						aria-describedby="wrong-policy"
						@change=${this.#storePolicy}
					></textarea>
				</label>
				${this.#wrongView('policy')}
				<label class="line">
					${t('settings.file')}
					<input
						type="file"
						accept=".json,application/json"
						data-testid="tee-policy-file"
						@change=${this.#readFile}
					/>
				</label>
				${policySummary(stored.policy, t)}
				${
					broken && !this.problems.form
						? html`<div class="red" role="alert" data-testid="tee-settings-error">
								${t('settings.broken')}
							</div>`
						: this.#wrongView('form')
				}
				${this.#forgettingView(parts, t)}
				<div class="muted">${t('settings.local')}</div>
			</div>
		`;
	}

	/** Whose settings these are, where they are not simply those of the one account that was ever here. */
	#whoseView({ whose }: Parts, t: Translate): TemplateResult | typeof nothing {
		if (whose === '') return nothing;
		const text = t(whose === null ? 'settings.guest' : 'settings.other');
		return html`<p class="muted" data-testid="tee-whose">${text}</p>`;
	}

	#isWrong(field: Field): 'true' | 'false' {
		return this.problems[field] === undefined ? 'false' : 'true';
	}

	#wrongView(at: At): TemplateResult | typeof nothing {
		const text = this.problems[at];
		if (text === undefined) return nothing;
		return html`
			<div class="red" role="alert" id="wrong-${at}" data-testid="tee-settings-error" data-at=${at}>
				${text}
			</div>
		`;
	}

	/** Where nobody is signed in, there is nothing of theirs to forget. */
	#forgettingView(parts: Parts, t: Translate): TemplateResult | typeof nothing {
		const { whose, kept, session } = parts;
		if (whose === null) return nothing;
		const acts: Forgetting = {
			asked: this.asked,
			ask: (what) => {
				this.asked = what;
			},
			forget: (what) => {
				this.asked = '';
				if (what === 'everything') void kept.anew();
				else {
					session.mend(() => {
						kept.forget(what);
					});
				}
			}
		};
		return html`
			${rememberedView(kept.remembered(), t, acts)}
			<div>${forgetView('everything', t, acts)}</div>
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
		return stored.provider ?? this.#heard.choice?.provider ?? DEFAULT_PROVIDER;
	}

	#field(name: Field): HTMLInputElement | HTMLTextAreaElement {
		const field = this.renderRoot.querySelector<HTMLInputElement>(`[data-testid="tee-${name}"]`);
		if (!field) throw new Error(name);
		return field;
	}

	#change(edit: (draft: Settings) => void, at: readonly At[] = []): void {
		const { settings } = this.parts ?? {};
		if (settings) this.#report(() => settings.change(edit), at);
	}

	/** Make a change, and say where it is what kept it from being stored; `at` is where it was made. */
	#report(change: () => boolean, at: readonly At[] = []): void {
		if (!this.parts) return;
		const { t } = this.parts.texts.get();
		this.#clear('form', ...at);
		try {
			if (!change()) this.#tell('form', t('settings.not-stored'));
		} catch (error) {
			const { code, detail } = asProblem(error);
			this.#tell(AT[code] ?? 'form', `${t(`reason.${code}`)} ${detail}`.trim());
		}
	}

	#tell(at: At, text: string): void {
		this.problems = { ...this.problems, [at]: text };
	}

	#clear(...at: At[]): void {
		this.problems = Object.fromEntries(
			Object.entries(this.problems).filter(([name]) => !at.includes(name as At))
		);
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
			this.#clear('address', 'keys');
			return;
		}
		this.#change(
			(draft) => {
				draft.provider = provider;
				draft.addresses[provider] = address;
				draft.keys[provider] = keys;
			},
			['address', 'keys']
		);
	}

	/** A policy by itself: one that is wrong keeps nothing else from being stored, and stays here. */
	#storePolicy(): void {
		const stored = this.#stored;
		if (!stored || this.#policy === undefined) return;
		const text = this.#field('policy').value.trim();
		if (text === stored.policy) {
			this.#clear('policy');
			return;
		}
		this.#change(
			(draft) => {
				if (text) parsePolicy(text);
				draft.policy = text;
			},
			['policy']
		);
	}

	/** A policy from a file goes through its field, where it can be read. */
	async #readFile({ target }: Event): Promise<void> {
		const file = target instanceof HTMLInputElement ? target.files?.[0] : undefined;
		if (!file || !this.parts) return;
		const { t } = this.parts.texts.get();
		try {
			if (file.size > TEXT_LIMIT) throw new Error('size');
			this.#field('policy').value = await file.text();
			this.#storePolicy();
		} catch {
			this.#tell('policy', `${t('reason.policy-malformed')} ${t('settings.file')}`);
		}
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
}
