import {
	css,
	html,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import type { TextKey } from '../i18n/en';
import { TrustElement, type Parts } from './element';
import { sign, signStyles } from './sign';
import { kindOf, labelOf, type Kind } from './state';

/** Milliseconds after which what was told goes by itself. */
export const SHOWN = 12_000;

/** A verdict, as far as a change of it is told. */
interface Told {
	kind: Kind;
	label: TextKey;
}

/** From good to bad. What was off, or is, is the person's own doing: neither better nor worse. */
const ORDER: readonly Kind[] = ['verified', 'warning', 'unavailable', 'failed'];

const isWorse = (now: Kind, before: Kind): boolean =>
	before !== 'off' && ORDER.indexOf(now) > ORDER.indexOf(before);

/**
 * `<cczoo-trust-notice>`: tells that the verdict has changed, once for the page, however many badges
 * it has. Any change is said where a screen reader hears it; one for the worse is seen as well, for
 * a while. The first verdict of a page is no change.
 */
export class TrustNotice extends TrustElement {
	static override properties: PropertyDeclarations = {
		told: { state: true },
		worse: { state: true }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		signStyles,
		css`
			.spoken {
				position: absolute;
				width: 1px;
				height: 1px;
				overflow: hidden;
				clip-path: inset(50%);
				white-space: nowrap;
			}
			.notice {
				position: fixed;
				top: 4.5rem;
				inset-inline: 0.5rem;
				z-index: 2147483645;
				box-sizing: border-box;
				display: flex;
				align-items: center;
				gap: 0.5rem;
				width: fit-content;
				max-width: 28rem;
				margin-inline: auto;
				border: 1px solid currentColor;
				border-radius: 0.75rem;
				padding: 0.5rem 0.75rem;
				background: var(--ground);
				box-shadow: 0 10px 25px rgb(0 0 0 / 15%);
			}
			.notice span {
				color: var(--text);
			}
			.notice button {
				flex: none;
				min-width: 1.5rem;
				min-height: 1.5rem;
				color: var(--text);
			}
		`
	];

	declare told: Told | undefined;
	declare worse: boolean;
	/** The last verdict; what is between two of them is none. */
	#last: Told | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;

	constructor() {
		super();
		this.told = undefined;
		this.worse = false;
	}

	protected override begin({ session, model }: Parts): (() => void)[] {
		const look = (): void => {
			const [state, name] = [session.state.get(), model.get()];
			this.#have({ kind: kindOf(state, name), label: labelOf(state, name) });
		};
		look();
		return [session.state.listen(look), model.listen(look), this.#hush];
	}

	#have(now: Told): void {
		if (now.kind === 'checking') return;
		const before = this.#last;
		this.#last = now;
		if (before && before.label !== now.label) this.#tell(now, isWorse(now.kind, before.kind));
	}

	#tell(told: Told, worse: boolean): void {
		this.told = told;
		this.worse = worse;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(this.#hush, SHOWN);
	}

	readonly #hush = (): void => {
		clearTimeout(this.#timer);
		this.told = undefined;
	};

	protected override view({ texts }: Parts): TemplateResult {
		const { t } = texts.get();
		const { told, worse } = this;
		const words = told ? t('notice.changed', t(told.label)) : '';
		return html`
			<div class="spoken" role="status" data-testid="tee-said">${worse ? '' : words}</div>
			${
				told && worse
					? html`
							<div class="notice ${told.kind}" role="alert" data-testid="tee-notice">
								${sign(told.kind)}
								<span>${words}</span>
								<button
									type="button"
									data-testid="tee-notice-close"
									aria-label=${t('notice.close')}
									@click=${this.#hush}
								>
									✕
								</button>
							</div>
						`
					: nothing
			}
		`;
	}
}
