import { css, html, type TemplateResult } from 'lit';
import type { Translate } from '../i18n/texts';

/** Milliseconds that it stays told that something was copied. */
const TOLD = 4_000;

/** Where it is told, once in each element that has something to copy. */
export const copyStatus = html`<div class="copied" role="status" data-testid="tee-copied"></div>`;

const tell = (button: Element, text: string): void => {
	const root = button.getRootNode() as ShadowRoot;
	const status = root.querySelector('.copied');
	if (!status) return;
	status.textContent = text;
	setTimeout(() => {
		if (status.textContent === text) status.textContent = '';
	}, TOLD);
};

/** Put a text into the clipboard, or, where the page may not, select it for the person's own keys. */
const copy = async (button: Element, text: string, name: string, t: Translate): Promise<void> => {
	try {
		await navigator.clipboard.writeText(text);
		tell(button, t('copy.done', name));
	} catch {
		if (button.previousElementSibling) {
			getSelection()?.selectAllChildren(button.previousElementSibling);
		}
		tell(button, t('copy.selected'));
	}
};

/** What can be copied, with the button for that; `name` is what people call it. */
export const copyable = (
	shown: TemplateResult,
	text: string,
	name: string,
	t: Translate
): TemplateResult => html`
	<div class="copyable">
		${shown}
		<button
			type="button"
			class="link"
			data-testid="tee-copy"
			aria-label="${t('copy')}${t('check.colon')}${name}"
			@click=${({ currentTarget }: Event) => {
				void copy(currentTarget as Element, text, name, t);
			}}
		>
			${t('copy')}
		</button>
	</div>
`;

export const copyStyles = css`
	.copyable {
		display: flex;
		align-items: flex-start;
		justify-content: space-between;
		gap: 0.5rem;
	}
	.copyable button {
		flex: none;
		min-height: 1.5rem;
	}
	.copied {
		position: sticky;
		bottom: -0.75rem;
		background: var(--ground);
	}
`;
