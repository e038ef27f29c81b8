import { css, html, type CSSResult, type PropertyDeclarations, type TemplateResult } from 'lit';
import { TrustElement, type Parts } from './element';

/** Milliseconds that a wanted image may take. */
export const PATIENCE = 30_000;
/** Pixels of a side that are believed: the image's server chooses them. */
const SIDE_MAX = 8192;

interface Size {
	width: number;
	height: number;
}

/** What the frame says of its image; nothing where that is none. */
const readSize = (data: unknown): Size | undefined => {
	const [width, height] = (Array.isArray(data) ? data : []) as unknown[];
	const isSide = (side: unknown): side is number =>
		typeof side === 'number' && side >= 1 && side <= SIDE_MAX;
	return isSide(width) && isSide(height) ? { width, height } : undefined;
};

/**
 * `<cczoo-outside-image>`: stands where an answer has an image from elsewhere, which the page's policy
 * does not let it load. It names the server, and loads the image when it is clicked: in a frame whose
 * policy allows images, and nothing else.
 */
export class OutsideImage extends TrustElement {
	static override properties: PropertyDeclarations = {
		address: { attribute: false },
		alt: { attribute: false },
		frame: { attribute: false },
		progress: { state: true },
		size: { state: true }
	};
	static override styles: CSSResult[] = [
		...TrustElement.styles,
		css`
			:host {
				display: inline-block !important;
				max-width: 100% !important;
				vertical-align: bottom !important;
			}
			.box {
				border: 1px dashed var(--line);
				border-radius: 0.5rem;
				padding: 0.375rem 0.625rem;
			}
			.address {
				overflow: hidden;
				max-width: 30rem;
				text-overflow: ellipsis;
				white-space: nowrap;
			}
			iframe {
				display: block;
				border: 0;
				width: 100%;
				height: 1.5rem;
			}
			.sized iframe {
				height: auto;
			}
		`
	];

	/** Of the image: https. */
	declare address: string;
	declare alt: string;
	/** The address of the frame's document. */
	declare frame: string;
	declare progress: 'waiting' | 'loading' | 'shown' | 'failed';
	declare size: Size | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;

	constructor() {
		super();
		this.progress = 'waiting';
	}

	protected override begin(): (() => void)[] {
		addEventListener('message', this.#hear);
		this.addEventListener('click', this.#keepClick);
		return [
			() => {
				removeEventListener('message', this.#hear);
				this.removeEventListener('click', this.#keepClick);
				clearTimeout(this.#timer);
			}
		];
	}

	protected override view({ texts }: Parts): TemplateResult {
		const { t } = texts.get();
		const { host } = new URL(this.address);
		if (this.progress === 'loading' || this.progress === 'shown') return this.#image();
		return html`
			<div class="box" data-testid="tee-outside-image">
				<span>${t('image.blocked', host)}</span>
				<div class="muted address" title=${this.address}>${this.address}</div>
				${this.alt ? html`<div>${this.alt}</div>` : ''}
				${this.progress === 'failed' ? html`<div role="alert">${t('image.failed')}</div>` : ''}
				<button type="button" class="link" data-testid="tee-load-image" @click=${this.#load}>
					${t('image.load')}
				</button>
				<span class="muted">${t('image.note', host)}</span>
			</div>
		`;
	}

	#image(): TemplateResult {
		const { width, height } = this.size ?? { width: 0, height: 0 };
		const style = this.size ? `width: ${width}px; aspect-ratio: ${width} / ${height}` : '';
		return html`
			<div class=${this.size ? 'sized' : ''}>
				<iframe
					sandbox="allow-scripts"
					data-testid="tee-image-frame"
					title=${this.alt || this.address}
					style="max-width: 100%; ${style}"
					src=${this.frame}
					@load=${this.#order}
				></iframe>
			</div>
		`;
	}

	readonly #load = (): void => {
		this.progress = 'loading';
		this.#timer = setTimeout(this.#fail, PATIENCE);
	};

	readonly #fail = (): void => {
		clearTimeout(this.#timer);
		this.progress = 'failed';
	};

	/** Tell the frame, which has no origin that could be named here, what to show. */
	readonly #order = ({ target }: Event): void => {
		if (!(target instanceof HTMLIFrameElement)) return;
		target.contentWindow?.postMessage({ address: this.address, alt: this.alt }, '*');
	};

	readonly #hear = ({ source, data }: MessageEvent): void => {
		const frame = this.renderRoot.querySelector('iframe');
		if (!frame || source !== frame.contentWindow) return;
		clearTimeout(this.#timer);
		this.size = readSize(data);
		this.progress = this.size ? 'shown' : 'failed';
	};

	/** A click in here is not one on the link that the image is part of. */
	readonly #keepClick = (event: Event): void => {
		event.preventDefault();
		event.stopPropagation();
	};
}
