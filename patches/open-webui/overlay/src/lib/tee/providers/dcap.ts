import type { CheckId } from '../checks';
import { Problem } from '../problem';
import type { Provider } from './provider';

/** What only a provider that asks a service has. */
const SKIPPED: readonly CheckId[] = ['token-signature', 'token-claims', 'appraisal'];

/**
 * This browser itself: asks nobody but this server, and trusts it with nothing. What verifies
 * quotes is a piece of code of its own, which comes when it is needed.
 */
const dcap: Provider = {
	required: [
		'secure-context',
		'evidence-format',
		'nonce-binding',
		'quote-signature',
		'collateral',
		'tcb-status',
		'td-attributes',
		'not-simulated'
	],
	async verify(context) {
		for (const id of SKIPPED) {
			await context.check(id, () => ({ outcome: 'skipped', code: 'no-service' }));
		}
		const local = await context.env.local().catch(() => null);
		if (local) return local.verifyHere(context);
		await context.check('quote-signature', () => {
			throw new Problem('internal', 'code');
		});
		return null;
	}
};
export default dcap;
