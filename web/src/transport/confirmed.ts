/** What the person confirmed, kept in a storage of this browser or of this tab. */
import type { Whose } from '../base/account';
import type { Cause, Confirmations } from './gate';

/** The name under which warnings and failures are kept, and that of models. */
export const CONFIRMED = 'tee.confirmed';
export const CONFIRMED_MODELS = 'tee.models';

/**
 * Confirmations in a storage, asked for late: where it is forbidden, even its name throws. They count
 * for the account that gave them; where that is nobody, for this page.
 */
export const confirmations = (
	storage: () => Storage,
	name: string,
	whose: () => Whose
): Confirmations => {
	const here = new Map<Whose, readonly Cause[]>();
	return {
		read() {
			const who = whose();
			const said = here.get(who) ?? [];
			try {
				const kept: unknown = who === null || JSON.parse(storage().getItem(name + who) ?? '[]');
				if (Array.isArray(kept)) return [...kept.map(String), ...said];
			} catch {
				// nothing that we wrote
			}
			return said;
		},
		write(causes) {
			const who = whose();
			here.set(who, causes);
			try {
				if (who !== null) storage().setItem(name + who, JSON.stringify(causes));
			} catch {
				// then it holds for this page only
			}
		}
	};
};
