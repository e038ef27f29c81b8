import { css } from 'lit';

/**
 * What all elements of the page begin with: nothing of the app's styles but its font. The colours
 * are open-webui's own greys, and signals that are seen well on its light and its dark theme.
 */
export const base = css`
	:host {
		all: initial !important;
		display: block !important;
		font-family: inherit !important;
	}
	:host::before,
	:host::after {
		content: none !important;
	}
	.frame {
		--text: #333;
		--muted: #676767;
		--ground: #fff;
		--line: #e3e3e3;
		--soft: #ececec;
		--off: #9b9b9b;
		--green: #16a34a;
		--amber: #d97706;
		--red: #ef4444;
		--pending: #f43f5e;
		color: var(--text);
		font-size: 0.75rem;
		line-height: 1.35;
		color-scheme: light;
	}
	.frame.dark {
		--text: #ececec;
		--muted: #b4b4b4;
		--ground: #171717;
		--line: #333;
		--soft: #333;
		color-scheme: dark;
	}
	[hidden] {
		display: none !important;
	}
	button {
		border: 0;
		padding: 0;
		background: none;
		color: inherit;
		font: inherit;
		cursor: pointer;
	}
	:focus-visible {
		outline: 2px solid #3b82f6;
		outline-offset: 1px;
	}
	.muted {
		color: var(--muted);
	}
	.strong {
		font-weight: 500;
	}
	.link {
		text-decoration: underline;
	}
	.green,
	.pass {
		color: var(--green);
	}
	.amber,
	.warn {
		color: var(--amber);
	}
	.red,
	.fail {
		color: var(--red);
	}
	.off,
	.skipped {
		color: var(--off);
	}
	.pending {
		color: var(--pending);
	}
`;
