import {
	css,
	html,
	nothing,
	type CSSResult,
	type PropertyDeclarations,
	type TemplateResult
} from 'lit';
import { auditorsIn, type AuditorsTranslate } from '../i18n/auditors';
import { linkOf, measuredIn } from '../session/link';
import type { State } from '../session/session';
import { TrustElement, type Parts } from './element';
import { linkView } from './link';
import { panelStyles, panelView } from './panel';
import { actionsOf } from './panel/actions';

/** Where this page is; open-webui has none there. */
const ADDRESS = '/tee';
/** Where one signs in, in every open-webui. */
const SIGN_IN = '/auth';

/** Does the server give evidence only to who is signed in? */
const isSignedOut = (state: State): boolean =>
	state.kind === 'done' && state.verdict.checks.some(({ code }) => code === 'signed-out');

const shareView = (address: string, said: AuditorsTranslate): TemplateResult => html`
	<h2>${said('page.share')}</h2>
	<p>${said('page.share.how')}</p>
	<p dir="ltr"><a class="value" data-testid="tee-share" href=${address}>${address}</a></p>
`;

const certificateView = (fingerprint: string, said: AuditorsTranslate): TemplateResult => html`
	<h2>${said('page.certificate')}</h2>
	<p>${said('page.certificate.how')}</p>
	<p dir="ltr" class="value" data-testid="tee-certificate">${fingerprint}</p>
`;

/**
 * `<cczoo-trust-page>`: the page for auditors and the curious. What the panel of the badge shows, how to
 * check from outside, and a link for others, who see whether they measure the same.
 */
export class TrustPage extends TrustElement {
	static override properties: PropertyDeclarations = {
		fragment: { state: true },
		certificate: { attribute: false }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		...panelStyles,
		css`
			.frame {
				box-sizing: border-box;
				min-height: 100vh;
				padding: 1rem;
				background: var(--ground);
				font-size: 0.875rem;
				overflow-wrap: anywhere;
			}
			.page {
				max-width: 44rem;
				margin-inline: auto;
			}
			.box {
				margin-block: 1rem;
				box-shadow: none;
			}
			h1 {
				font-size: 1.25rem;
			}
			h2 {
				font-size: 1rem;
			}
			a {
				color: inherit;
			}
		`
	];

	/** What the address says after its path, the sign included: it stays here. */
	declare fragment: string;
	/** The fingerprint of the certificate by which the server says that it serves HTTPS, if it does. */
	declare certificate: string | undefined;

	constructor() {
		super();
		this.fragment = location.hash;
	}

	protected override begin({ session, model }: Parts): (() => void)[] {
		const look = (): void => {
			this.fragment = location.hash;
		};
		addEventListener('hashchange', look);
		return [
			...this.follow(session.state, model),
			session.attach(),
			() => {
				removeEventListener('hashchange', look);
			}
		];
	}

	#openSettings(): void {
		const form = this.renderRoot.querySelector<HTMLDetailsElement>('.settings');
		if (form) form.open = true;
		form?.scrollIntoView();
	}

	protected override view(parts: Parts): TemplateResult {
		const { language, t } = parts.texts.get();
		const said = auditorsIn(language);
		const state = parts.session.state.get();
		const measured = measuredIn(state);
		const { host, origin } = location;
		const actions = actionsOf(parts, {
			keepFocus: () => this.renderRoot.querySelector<HTMLElement>('.recheck')?.focus(),
			openSettings: () => {
				this.#openSettings();
			}
		});
		return html`
			<div class="page">
				<h1>${said('page.title', host)}</h1>
				${linkView(this.fragment, measured, t, said)}
				${
					isSignedOut(state)
						? html`<p><a href=${SIGN_IN} data-testid="tee-sign-in">${said('page.sign-in')}</a></p>`
						: nothing
				}
				${panelView(state, t, actions, nothing)}
				${measured ? shareView(origin + ADDRESS + linkOf(measured), said) : nothing}
				${this.certificate ? certificateView(this.certificate, said) : nothing}
				<details class="settings" data-testid="tee-page-settings">
					<summary>${t('panel.settings')}</summary>
					<cczoo-trust-settings .parts=${parts}></cczoo-trust-settings>
				</details>
			</div>
		`;
	}
}
