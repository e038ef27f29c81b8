/** What the person confirmed, kept in a storage of this browser or of this tab. */
import type { Cause, Confirmations } from './gate';

/** The name under which warnings and failures are kept, and that of models. */
export const CONFIRMED = 'tee.confirmed';
export const CONFIRMED_MODELS = 'tee.models';

/** Confirmations in a storage, asked for late: where it is forbidden, even its name throws. */
export const confirmations = (storage: () => Storage, name: string): Confirmations => {
	let here: readonly Cause[] = [];
	return {
		read() {
			try {
				const kept: unknown = JSON.parse(storage().getItem(name) ?? '[]');
				if (Array.isArray(kept)) return [...kept.map(String), ...here];
			} catch {
				// nothing that we wrote
			}
			return here;
		},
		write(causes) {
			here = causes;
			try {
				storage().setItem(name, JSON.stringify(causes));
			} catch {
				// then it holds for this page only
			}
		}
	};
};
