import { css } from 'lit';

/**
 * What all elements of the page begin with: nothing of the app's styles but its font. The colours
 * are open-webui's own greys, and signals that are seen well on its light and its dark theme; where
 * the reader's system sets the colours (forced colours), shapes and words say it all.
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
		/* Signals: at least 3:1 on every ground of the app and of ours, and 4.5:1 where they are text. */
		--text: #333;
		--muted: #676767;
		--ground: #fff;
		--line: #e3e3e3;
		--soft: #ececec;
		--off: #6b6b6b;
		--green: #15803d;
		--amber: #b45309;
		--red: #dc2626;
		--pending: #2563eb;
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
		--off: #a3a3a3;
		--green: #4ade80;
		--amber: #fbbf24;
		--red: #f87171;
		--pending: #60a5fa;
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
	pre {
		margin: 0;
		white-space: pre-wrap;
		overflow-wrap: anywhere;
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
	.verified,
	.pass {
		color: var(--green);
	}
	.amber,
	.warning,
	.warn {
		color: var(--amber);
	}
	.red,
	.failed,
	.unavailable,
	.fail {
		color: var(--red);
	}
	.off,
	.skipped,
	.not-reached {
		color: var(--off);
	}
	.checking,
	.pending {
		color: var(--pending);
	}
`;
