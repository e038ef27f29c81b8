import { css } from 'lit';

/** How fields look that people write in. */
export const fields = css`
	input,
	select,
	textarea {
		box-sizing: border-box;
		border: 1px solid var(--line);
		border-radius: 0.5rem;
		padding: 0.375rem 0.75rem;
		background: var(--ground);
		color: inherit;
		font: inherit;
	}
	input:not([type='checkbox']),
	textarea {
		width: 100%;
	}
	[aria-invalid='true'] {
		border-color: var(--red);
	}
	:disabled {
		opacity: 0.7;
		cursor: default;
	}
	.button {
		border-radius: 9999px;
		padding: 0.375rem 0.875rem;
		background: var(--soft);
		font-weight: 500;
	}
`;
