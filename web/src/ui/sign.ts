import { css, html, svg, type TemplateResult } from 'lit';
import type { Kind } from './state';

const SHIELD = 'M10 1.6 3.2 4v5.4c0 4.2 2.8 7.4 6.8 9 4-1.6 6.8-4.8 6.8-9V4Z';

/** Each kind has a shape of its own, outline and all: never only a colour tells them apart. */
export const SHAPES: Record<Kind, string> = {
	off: `${SHIELD}M2.5 2.5l15 15`,
	checking: 'M10 2.5a7.5 7.5 0 1 1-7.5 7.5M10 6v4l3 2',
	verified: `${SHIELD}M6.7 10 9 12.5l4.3-4.7`,
	warning: 'M10 2.3 18.2 17H1.8ZM10 7.5v4.5m0 1.4v1.5',
	failed: 'M6.8 2h6.4L18 6.8v6.4L13.2 18H6.8L2 13.2V6.8ZM7.2 7.2l5.6 5.6m0-5.6-5.6 5.6',
	unavailable:
		'M10 2a8 8 0 1 0 0 16 8 8 0 1 0 0-16ZM7.6 7.8a2.4 2.4 0 1 1 3.6 2.1c-.8.5-1.2.9-1.2 1.8m0 1.5v1.4'
};

/** A path as a drawing, in the colour of the text around it. */
export const drawing = (path: string): TemplateResult => html`
	<svg class="sign" viewBox="0 0 20 20" aria-hidden="true">${svg`<path d=${path}></path>`}</svg>
`;

/** The drawing of a kind. */
export const sign = (kind: Kind): TemplateResult => drawing(SHAPES[kind]);

export const signStyles = css`
	.sign {
		flex: none;
		width: 1.25rem;
		height: 1.25rem;
		fill: none;
		stroke: currentColor;
		stroke-width: 1.8;
		stroke-linejoin: round;
	}
`;
