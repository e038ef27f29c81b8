import { css, html, type CSSResult, type PropertyDeclarations, type TemplateResult } from 'lit';
import { TrustElement, type Parts } from './element';
import { openGeneral } from './general';

/**
 * `<cczoo-trust-controls>`: in the chat's controls, a line that leads to Settings, General. Where the
 * app does not open them, the settings themselves.
 */
export class TrustControls extends TrustElement {
	static override properties: PropertyDeclarations = { isOpen: { state: true } };
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		css`
			.line {
				display: flex;
				justify-content: space-between;
				padding: 0.25rem 0;
			}
		`
	];

	/** Are the settings here? */
	declare isOpen: boolean;

	constructor() {
		super();
		this.isOpen = false;
	}

	protected override begin(): (() => void)[] {
		return [];
	}

	async #open(): Promise<void> {
		this.isOpen = !(await openGeneral(this.ownerDocument));
	}

	protected override view(parts: Parts): TemplateResult {
		const { t } = parts.texts.get();
		if (this.isOpen) {
			return html`<cczoo-trust-settings .parts=${parts}></cczoo-trust-settings>`;
		}
		return html`
			<div class="line">
				${t('settings.title')}
				<button type="button" class="link" data-testid="tee-to-settings" @click=${this.#open}>
					${t('panel.settings')}
				</button>
			</div>
		`;
	}
}
