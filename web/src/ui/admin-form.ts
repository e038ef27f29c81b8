import {
	css,
	html,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import { live } from 'lit/directives/live.js';
import type { Environment } from '../base/environment';
import { asProblem } from '../base/problem';
import { isText, type Translate } from '../i18n/texts';
import { isProviderId } from '../providers/registry';
import {
	changesOf,
	createAdministration,
	GROUPS,
	textOf,
	type Administered,
	type Administration,
	type Group,
	type Row,
	type SettingName,
	type Wrong
} from '../session/administration';
import type { Verdict } from '../session/attest';
import type { Verify } from '../session/session';
import { tryProvider } from '../session/trial';
import { TrustElement, type Parts } from './element';
import { fields } from './form-styles';
import { trialView } from './trial';

/** What the form works with, besides the parts of all elements. */
export interface Desk {
	env: Environment;
	verify: Verify;
	/** Kept while the page lives, so that what was typed outlasts the form's tab. */
	administration?: Administration;
}

/** What has become of a provider that was tried. */
type Trial =
	{ kind: 'running' } | { kind: 'done'; verdict: Verdict } | { kind: 'wrong'; why: unknown };

/** A setting as it is shown. */
interface Field {
	name: SettingName;
	row: Row;
	/** What stands in it. */
	text: string;
	typed: boolean;
	wrong: Wrong | undefined;
}

/** Kinds whose texts have lines. */
const LONG = ['keys', 'policy', 'origins'];

/** A choice in words; as it is where it has none. */
const choiceText = (word: string, t: Translate): string => {
	const key = [`provider.${word}`, `admin.is.${word}`].find(isText);
	return key ? t(key) : word || '–';
};

/** What is wrong, in the reader's language where there are words for it. */
const wrongText = ({ code, detail }: Wrong, { form }: Row, t: Translate): string => {
	if (code === 'bad-keys') return t('reason.keys-malformed');
	const key = [`admin.${code}`, `reason.${code}`].find(isText);
	const [most = ''] = /\d+$/.exec(form) ?? [];
	return key ? t(key, most) : detail;
};

/** Where a value comes from that is not the kit's own, and when it holds. */
const originText = ({ row, typed }: Field, t: Translate): string => {
	const { fixed, stored, initial, variable, pending } = row;
	let origin = initial === row.default ? '' : t('admin.environment', variable);
	if (fixed) origin = t('admin.fixed', variable);
	else if (typed) origin = t('admin.unsaved');
	else if (stored) origin = t('admin.stored');
	return pending ? `${origin} ${t('admin.pending')}` : origin;
};

/** The words of a comma list. */
const wordsIn = (text: string): string[] => text.split(',').map((word) => word.trim());

/**
 * `<cczoo-trust-admin>`: the settings that hold for everybody, for administrators. The server says
 * what there is; for who is none it shows nothing.
 */
export class TrustAdmin extends TrustElement {
	static override properties: PropertyDeclarations = {
		desk: { attribute: false },
		trial: { state: true }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		fields,
		css`
			.form {
				padding: 0.75rem 0;
			}
			.title {
				font-size: 1rem;
			}
			section {
				margin-top: 1rem;
			}
			h3 {
				margin: 0;
				border-bottom: 1px solid var(--line);
				padding-bottom: 0.25rem;
				font-size: 0.875rem;
				font-weight: 500;
			}
			.row {
				margin-top: 0.625rem;
				overflow-wrap: anywhere;
			}
			p,
			ul {
				margin: 0.375rem 0;
				padding: 0;
				list-style: none;
			}
		`
	];

	declare desk: Desk | undefined;
	declare trial: Trial | undefined;
	#running: AbortController | undefined;

	protected override begin({ session }: Parts): (() => void)[] {
		const { desk } = this;
		if (!desk) return [];
		desk.administration ??= createAdministration(desk.env, session.restart);
		void desk.administration.load();
		return [
			...this.follow(desk.administration.state),
			() => {
				this.#stop();
			}
		];
	}

	protected override view({ texts }: Parts): TemplateResult {
		const { t } = texts.get();
		const administration = this.desk?.administration;
		if (!administration) return html``;
		const held = administration.state.get();
		const isKnown = Object.keys(held.rows).length > 0;
		if (!isKnown && !held.told) return html``;
		return html`
			<div class="form" role="group" aria-label=${t('admin.title')} data-testid="tee-admin">
				<div class="title strong">${t('admin.title')}</div>
				${held.problem ? this.#unreadable(held, t) : nothing}
				${Object.entries(GROUPS).map(([group, names]) =>
					isKnown ? this.#group(held, group as Group, names, t) : nothing
				)}
				${this.#end(administration, held, isKnown, t)}
			</div>
		`;
	}

	#unreadable({ problem }: Administered, t: Translate): TemplateResult {
		return html`
			<div class="row" role="alert" data-testid="tee-admin-problem">
				<p class="red">${t('admin.unreadable')}</p>
				<p class="muted">${problem}</p>
			</div>
		`;
	}

	#group(
		held: Administered,
		group: Group,
		names: readonly SettingName[],
		t: Translate
	): TemplateResult {
		return html`
			<section>
				<h3>${t(`admin.group.${group}`)}</h3>
				${names.map((name) => this.#row(held, name, t))}
				${group === 'providers' ? this.#trialRow(held, t) : nothing}
			</section>
		`;
	}

	#row(held: Administered, name: SettingName, t: Translate): TemplateResult | typeof nothing {
		const row = held.rows[name];
		if (!row) return nothing;
		const typed = held.draft[name] !== undefined;
		const field = { name, row, text: textOf(held, name), typed, wrong: held.wrong[name] };
		const canGoBack = !row.fixed && (row.stored || typed);
		return html`
			<div class="row" data-testid="tee-admin-row" data-name=${name}>
				${this.#field(field, t)}
				<div class="red" role="alert" id="${name}-wrong" data-testid="tee-admin-wrong">
					${field.wrong ? wrongText(field.wrong, row, t) : nothing}
				</div>
				<div id="${name}-origin" class="muted" data-testid="tee-admin-origin">
					${originText(field, t)}
					<button
						type="button"
						class="link"
						data-testid="tee-admin-back"
						aria-describedby="${name}-label"
						?hidden=${!canGoBack}
						@click=${() => this.desk?.administration?.back(name)}
					>
						${t('admin.back')}
					</button>
				</div>
			</div>
		`;
	}

	#field(field: Field, t: Translate): TemplateResult {
		const { name, row } = field;
		const label = html`<span id="${name}-label">${t(`admin.${name}`)}</span>`;
		if (row.kind === 'words') {
			return html`<div role="group" aria-labelledby="${name}-label">
				${label} ${this.#boxes(field, t)}
			</div>`;
		}
		return html`<label>${label} ${this.#input(field, t)}</label>`;
	}

	#boxes({ name, row, text }: Field, t: Translate): TemplateResult[] {
		const chosen = wordsIn(text);
		const choose = (word: string) => {
			const words = row.choices.filter((one) => chosen.includes(one) !== (one === word));
			// An empty text would be the default: a comma is a list without words.
			this.#edit(name, words.join(',') || (row.default && ','));
		};
		return row.choices.map(
			(word) => html`
				<label>
					<input
						type="checkbox"
						value=${word}
						.checked=${live(chosen.includes(word))}
						?disabled=${row.fixed}
						@change=${() => {
							choose(word);
						}}
					/>
					${choiceText(word, t)}
				</label>
			`
		);
	}

	#input({ name, row, text, wrong }: Field, t: Translate): TemplateResult {
		const write = ({ target }: Event) => {
			this.#edit(name, (target as HTMLInputElement).value);
		};
		const invalid = String(wrong !== undefined);
		const described = `${name}-wrong ${name}-origin`;
		if (row.kind === 'word') {
			const words = [...new Set([...(row.default ? [] : ['']), ...row.choices, text])];
			return html`
				<select
					aria-invalid=${invalid}
					aria-describedby=${described}
					?disabled=${row.fixed}
					@change=${write}
				>
					${words.map(
						(word) =>
							html`<option value=${word} .selected=${live(word === text)}>
								${choiceText(word, t)}
							</option>`
					)}
				</select>
			`;
		}
		if (LONG.includes(row.kind)) {
			return html`
				<textarea
					rows="2"
					spellcheck="false"
					autocomplete="off"
					aria-invalid=${invalid}
					aria-describedby=${described}
					?disabled=${row.fixed}
					.value=${live(text)}
					@input=${write}
				></textarea>
			`;
		}
		return html`
			<input
				spellcheck="false"
				autocomplete="off"
				inputmode=${row.kind === 'address' ? 'url' : 'text'}
				placeholder=${row.default}
				aria-invalid=${invalid}
				aria-describedby=${described}
				?disabled=${row.fixed}
				.value=${live(text)}
				@input=${write}
			/>
		`;
	}

	/** What the suggested provider comes to, with what stands in the form. */
	#trialRow(held: Administered, t: Translate): TemplateResult {
		const { trial } = this;
		const isRunning = trial?.kind === 'running';
		return html`
			<div class="row" data-testid="tee-admin-try">
				<button
					type="button"
					class="button"
					data-testid="tee-try"
					@click=${() => {
						if (isRunning) this.#stop();
						else void this.#try(held);
					}}
				>
					${
						isRunning
							? t('admin.try.stop')
							: t('admin.try', choiceText(textOf(held, 'default_provider'), t))
					}
				</button>
				<p class="muted">${t('admin.try.note')}</p>
				<div role="status">${trial ? this.#trialView(trial, t) : nothing}</div>
			</div>
		`;
	}

	#trialView(trial: Trial, t: Translate): TemplateResult {
		if (trial.kind === 'running') return html`<p>${t('state.pending')}</p>`;
		if (trial.kind === 'done') return trialView(trial.verdict, t);
		const { code, detail } = asProblem(trial.why);
		return html`<p class="red" data-testid="tee-try-wrong">${t(`reason.${code}`)} ${detail}</p>`;
	}

	#end(
		{ load, save }: Administration,
		held: Administered,
		isKnown: boolean,
		t: Translate
	): TemplateResult {
		const { busy, told } = held;
		const nothingToSave = Object.keys(changesOf(held)).length === 0;
		const again = !isKnown || told?.kind === 'unsure';
		return html`
			<div class="row">
				<button
					type="button"
					class="button"
					data-testid="tee-admin-save"
					?hidden=${!isKnown}
					?disabled=${busy || nothingToSave}
					@click=${save}
				>
					${t('admin.save')}
				</button>
				<span role="status" data-testid="tee-admin-told" data-kind=${told?.kind ?? ''}>
					${told ? t(`admin.${told.kind}`) : nothing}
					${told?.code ? t(`reason.${told.code}`) : nothing} ${told?.detail}
				</span>
				<button
					type="button"
					class="link"
					data-testid="tee-admin-again"
					?hidden=${!again}
					?disabled=${busy}
					@click=${load}
				>
					${t('panel.recheck')}
				</button>
			</div>
		`;
	}

	#edit(name: string, text: string): void {
		this.desk?.administration?.edit(name, text);
	}

	#stop(): void {
		this.#running?.abort();
		this.#running = undefined;
		if (this.trial?.kind === 'running') this.trial = undefined;
	}

	/** One at a time; what comes after its end is not heard. */
	async #try(held: Administered): Promise<void> {
		const { desk } = this;
		const provider = textOf(held, 'default_provider').trim().toLowerCase();
		if (!desk || !isProviderId(provider)) return;
		this.#stop();
		const running = new AbortController();
		this.#running = running;
		this.trial = { kind: 'running' };
		const text = (name: string) => textOf(held, name).trim();
		const tried = {
			provider,
			address: text(`${provider}_url`),
			keys: text(`${provider}_keys`),
			policy: text('policy')
		};
		const found = await tryProvider(desk.env, desk.verify, tried, running.signal).then(
			(verdict): Trial => ({ kind: 'done', verdict }),
			(why: unknown): Trial => ({ kind: 'wrong', why })
		);
		if (this.#running === running) this.trial = found;
	}
}
