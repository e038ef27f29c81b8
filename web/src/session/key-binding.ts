import type { Finding } from '../base/checks';
import { Problem } from '../base/problem';
import type { RuntimeData } from '../evidence/evidence';
import { boundKeyset, endOf } from '../evidence/keys';
import type { Context } from '../providers/provider';
import type { Keyset } from '../transport/keyset';
import { askHolder } from './holder';
import { forgetSealed } from './sealed';

/** What the check tells beyond its outcome. */
export interface Keys {
	/** To which requests may be sealed, as the evidence has them: their holder has answered. */
	keyset?: unknown;
	/** Forget that requests to this origin were ever sealed; throws where storage does. */
	forget?: () => void;
}

/** Nothing is known yet: the holder of the keys has to answer. */
const NOT_ANSWERED: Finding = { outcome: 'skipped', code: 'not-run' };

/** What a run knows, and what it tells. */
interface Run {
	wasSealed: boolean;
	told: Keys;
}

/** No key is bound, which may be so where nobody expects one. */
const withoutKey = ({ env, policy }: Context, { wasSealed, told }: Run): Finding => {
	if (wasSealed) {
		told.forget = () => {
			forgetSealed(env);
		};
	}
	if (wasSealed || policy.require_sealed) throw new Problem('key-none');
	return { outcome: 'warn', code: 'key-none' };
};

/**
 * The check `key-binding`: the quote binds a key, and whoever answers here holds it.
 *
 * Its cheap half comes first; where that fails, nothing dearer is worth while. Returns null there,
 * and otherwise what asks the holder, beside which the dear checks can be run.
 */
export const bindKeys = async (
	context: Context,
	runtime: RuntimeData,
	run: Run
): Promise<(() => Promise<unknown>) | null> => {
	const { env, subtle, signal, evidence, check } = context;
	let keyset: Keyset | undefined;
	const good = await check('key-binding', async () => {
		keyset = await boundKeyset(subtle, evidence, runtime, env.now());
		return keyset ? NOT_ANSWERED : withoutKey(context, run);
	});
	if (!good) return null;
	const keys = keyset;
	if (!keys) return () => Promise.resolve();
	return () =>
		check('key-binding', async () => {
			await askHolder(env, subtle, signal, keys);
			run.told.keyset = evidence.keyset;
			const [key] = keys.keys;
			const detail = `${key?.id} ${endOf(keys)}`;
			return { outcome: 'pass', detail, until: keys.notAfter / 1000 };
		});
};
