import {
	html,
	LitElement,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import type { ReadableAtom } from 'nanostores';
import type { Whose } from '../base/account';
import { brokenIn } from '../i18n/broken';
import type { Texts } from '../i18n/texts';
import type { Forgettable, Remembered } from '../session/remembered';
import type { Session } from '../session/session';
import type { SettingsStore } from '../session/settings';
import type { Enforcement } from '../transport/gate';
import { base } from './styles';
import { dark } from './theme';

/** What the page gives to its elements. */
export interface Parts {
	session: Session;
	settings: SettingsStore;
	texts: ReadableAtom<Texts>;
	/** The model that the last request named. */
	model: ReadableAtom<string | null>;
	/** Names the open chat: changes whenever another one is opened. */
	chat: ReadableAtom<string>;
	/** Whose settings these are. */
	whose: Whose;
	/** What this browser remembers of this server, and what forgets it. */
	kept: {
		remembered: () => Remembered;
		/** Throws where storage does. */
		forget: (what: Forgettable) => void;
		anew: () => Promise<void>;
	};
	/** How strict this page is now. */
	enforcement: () => Promise<Enforcement>;
	/** Does the badge's panel offer the settings, because the app has no place for them? */
	settingsInPanel: ReadableAtom<boolean>;
	/** Was a right of this page taken from something from outside, for which the app asked for it? */
	rightsTaken: ReadableAtom<boolean>;
}

/** Anything whose change an element shows. */
type Store = Pick<ReadableAtom, 'listen'>;

/**
 * An element of the page. It shows something only once it has its parts, which no markup can give:
 * its tag in a model's answer stays empty.
 */
export abstract class TrustElement extends LitElement {
	static override properties: PropertyDeclarations = { parts: { attribute: false } };
	static override styles: CSSResult[] = [base];

	declare parts: Parts | undefined;
	#ends: (() => void)[] = [];

	/** Begin what lasts while the element is on the page; returns what ends it. */
	protected abstract begin(parts: Parts): (() => void)[];
	/** What it shows. */
	protected abstract view(parts: Parts): TemplateResult;

	/** Show anew whenever one of these changes; returns what ends that. */
	protected follow(...stores: Store[]): (() => void)[] {
		return stores.map((store) =>
			store.listen(() => {
				this.requestUpdate();
			})
		);
	}

	override connectedCallback(): void {
		super.connectedCallback();
		if (!this.parts) return;
		this.#ends = [...this.follow(dark, this.parts.texts), ...this.begin(this.parts)];
		this.requestUpdate();
	}

	override disconnectedCallback(): void {
		super.disconnectedCallback();
		for (const end of this.#ends) end();
		this.#ends = [];
	}

	protected override render(): TemplateResult | typeof nothing {
		if (!this.parts) return nothing;
		const { language, direction } = this.parts.texts.get();
		const theme = dark.get() ? 'dark' : 'light';
		return html`
			<div class="frame ${theme}" lang=${language} dir=${direction}>${this.view(this.parts)}</div>
		`;
	}

	/** What cannot be shown is not shown as if it were still what was shown before. */
	protected override performUpdate(): void {
		try {
			super.performUpdate();
		} catch {
			const text = document.createElement('span');
			text.textContent = `✕ ${brokenIn(document.documentElement.lang)}`;
			text.setAttribute('role', 'alert');
			text.style.color = '#dc2626';
			this.renderRoot.replaceChildren(text);
		}
	}
}
