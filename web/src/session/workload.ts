import type { Finding } from '../base/checks';
import { BOOT } from '../evidence/boot';
import type { Replayed } from '../evidence/eventlog';
import type { RuntimeData } from '../evidence/evidence';
import { DOMAIN, presentFacts, type Fact, type Present } from '../evidence/facts';
import { parseStatement, readSections, type Sections } from '../evidence/statement';
import { notesOf, type Note } from '../policy/notes';
import { appraiseWorkload, readersOf } from '../policy/workload';
import type { Context } from '../providers/provider';
import { WORKLOAD_KEY } from './settings';
import {
	compareWorkload,
	keepWorkload,
	rememberWorkload,
	thingsOf,
	type Difference
} from './workload-memory';

/** What is known of what runs there, to show and to judge models by. */
export interface Known {
	sections: Sections;
	notes: readonly Note[];
	/** What was measured; `proven` where the quote's register has it, else the machine's own word. */
	facts: readonly Fact[];
	proven: boolean;
	/** What differs from what this browser remembers. */
	differences: readonly Difference[];
	/** What could read keys, by its names; an empty one for what nobody knows. */
	readers: readonly string[];
}

/** What the check tells beyond its outcome. */
export interface Workload {
	/** The hash of the statement that the quote binds. */
	statement?: string;
	/** Were the sections asked for, by a person's token? */
	asked?: boolean;
	workload?: Known;
	/** Remember what is on show from now on; throws where storage does. */
	accept?: () => void;
}

/** What the application's log says of now, or null where it does not lead to the quoted register. */
export const presentIn = ({ lines }: Replayed): Present | null => lines && presentFacts(lines);

/** Do events of the kit's own, and no others, lead to RTMR3? */
export const isLogged = ({ lines }: Replayed): boolean =>
	lines !== null && lines.length > 0 && lines.every((line) => line.startsWith(`${DOMAIN} `));

/** Only those who have an account see the sections; what the log proves is for everybody. */
const hasOtherFacts = ({ memory, now }: Context['env'], { facts }: Present): boolean => {
	const logged = thingsOf({ measured: { log: 'written', facts } }, now());
	return compareWorkload(memory, logged, true).length > 0;
};

interface Given {
	runtime: RuntimeData;
	log: Present | null;
	/** Ask for the sections, where this person may have them; undefined: withheld. */
	ask: () => Promise<unknown>;
	/** May anything be remembered? */
	mayBegin: boolean;
}

/** The check `workload`; throws where it fails. */
export const checkWorkload = async (
	{ env, subtle, evidence, policy }: Context,
	{ runtime, log, ask, mayBegin }: Given,
	told: Workload
): Promise<Finding> => {
	const digests = runtime.version === 1 ? undefined : parseStatement(evidence.statement);
	const given = digests && (evidence.sections ?? (await ask()));
	const sections =
		digests && given !== undefined ? await readSections(subtle, digests, given) : undefined;
	const things = sections && thingsOf(sections, env.now());
	let differences = things ? compareWorkload(env.memory, things) : [];
	const known = sections && {
		sections,
		notes: notesOf(sections, log),
		facts: log?.facts ?? sections.measured?.facts ?? [],
		proven: log !== null,
		readers: readersOf(sections, policy.workload)
	};
	const appraise = (): Finding => {
		const { workload, reference_values } = policy;
		const covered = BOOT.every((name) => reference_values[name] !== undefined);
		const changed = differences.length > 0;
		if (known) told.workload = { ...known, differences };
		const whole = { digests, sections, log, policy: workload, covered, changed };
		return appraiseWorkload(whole, env.now() / 1000);
	};
	let finding = appraise();
	if (!things) {
		const isChanged = digests !== undefined && log !== null && hasOtherFacts(env, log);
		return isChanged ? { outcome: 'warn', code: 'workload-changed' } : finding;
	}
	if (differences.length === 0 && mayBegin) {
		differences = keepWorkload(env.memory, things);
		if (differences.length > 0) finding = appraise();
	}
	if (differences.length > 0) {
		told.accept = () => {
			rememberWorkload(env.memory, things);
			env.marks.set(WORKLOAD_KEY, env.memory.getItem(WORKLOAD_KEY));
		};
	}
	return finding;
};
