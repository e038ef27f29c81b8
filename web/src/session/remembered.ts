/** What this browser remembers of this server, to show to the person and to forget by their word. */
import type { Environment } from '../base/environment';
import type { Confirmations } from '../transport/gate';
import { OWN } from './drawer';
import { recall, type Values } from './memory';
import { MEMORY_KEY, STORAGE_KEY, WORKLOAD_KEY } from './settings';
import { recallWorkload, type Thing } from './workload-memory';

/** Nothing, something, or what cannot be read. */
type Of<Memory> = Memory | 'damaged' | null;

export interface Remembered {
	/** The machine's measurements, and since when (RFC 3339). */
	machine: Of<{ since: string; values: Values }>;
	/** What runs there. */
	workload: Of<readonly Thing[]>;
}

export type Forgettable = keyof Remembered;

const KEYS: Record<Forgettable, string> = { machine: MEMORY_KEY, workload: WORKLOAD_KEY };

const read = <Memory>(recallIt: () => Memory): Of<Memory> => {
	try {
		return recallIt();
	} catch {
		return 'damaged';
	}
};

export const rememberedIn = ({ memory }: Pick<Environment, 'memory'>): Remembered => ({
	machine: read(() => recall(memory)),
	workload: read(() => {
		const things = recallWorkload(memory);
		return things && [...things.values()];
	})
});

type Keeps = Pick<Environment, 'memory' | 'marks'>;

/** The next answer is then the first one; throws where storage does. */
export const forget = ({ memory, marks }: Keeps, what: Forgettable): void => {
	memory.removeItem(KEYS[what]);
	marks.set(KEYS[what], null);
};

/**
 * Forget all that an account has for itself, as if it had never been here; rejects where this browser
 * does not do it.
 */
export const startAnew = async (
	{ memory, marks }: Keeps,
	confirmed: readonly Confirmations[]
): Promise<void> => {
	for (const name of OWN) marks.set(name, null);
	// Without a mark a text is only not confirmed; without the text, a mark says that it is lost.
	await marks.get(STORAGE_KEY).catch(() => null);
	for (const name of OWN) memory.removeItem(name);
	for (const kept of confirmed) kept.write([]);
};
