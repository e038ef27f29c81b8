import type { Parts } from '../element';
import { mend } from '../kept';
import type { Actions } from './section';

/** What depends on where the panel is shown. */
interface Ways {
	/** Keep the focus in the panel: the button that has it is about to go. */
	keepFocus: () => void;
	/** Show the settings. */
	openSettings: () => void;
	/** Are they on show already? */
	settingsOpen?: boolean;
	/** Close the panel; missing where it is part of a page. */
	close?: () => void;
}

/** What the reader can do in a panel of the page. */
export const actionsOf = (parts: Parts, ways: Ways): Actions => {
	const { session, settings } = parts;
	const act = (what: () => void) => () => {
		ways.keepFocus();
		what();
	};
	/** Store something; where that cannot be, the form says why. */
	const store = (change: () => void): void => {
		try {
			change();
		} catch {
			ways.openSettings();
		}
	};
	return {
		recheck: session.recheck,
		close: ways.close,
		enable() {
			store(() => {
				settings.change((draft) => {
					draft.enabled = true;
				});
			});
		},
		take(edit) {
			ways.keepFocus();
			store(() => {
				settings.change(edit);
			});
		},
		accept: act(session.accept),
		mend: (remedy) => {
			ways.keepFocus();
			mend(parts, remedy);
		},
		forget: act(session.forget),
		relax: act(() => {
			const shown = session.state.get();
			session.mend(() => {
				if (shown.kind === 'done') shown.verdict.relax?.();
			});
		}),
		model: parts.model.get(),
		review: ways.settingsOpen
			? undefined
			: () => {
					settings.reload(); // what is shown is what is stored
					ways.openSettings();
				}
	};
};
