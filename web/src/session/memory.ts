import type { Finding } from '../base/checks';
import type { Environment } from '../base/environment';
import { isObject, own, parseObject } from '../base/json';
import { recordOf } from '../base/record';
import type { Quote } from '../evidence/quote';
import type { Edition } from '../providers/provider';
import { EDITIONS_KEY, MEMORY_KEY } from './settings';

/** Characters of the stored memory. */
const TEXT_LIMIT = 1 << 14;

/** Fields of a quote that a trust domain is recognised by. */
const FIELDS = [
	'mr_td',
	'rtmr_0',
	'rtmr_1',
	'rtmr_2',
	'rtmr_3',
	'mr_seam',
	'mrsigner_seam',
	'mr_config_id',
	'mr_owner',
	'mr_owner_config',
	'td_attributes',
	'xfam'
] as const;
/** All that is remembered. */
const NAMES = [...FIELDS, 'mr_servicetd', 'simulated'] as const;

type Memory = Environment['memory'];
export type Values = Record<(typeof NAMES)[number], string>;

/** A field, its remembered value and its present one; the old one is empty where it is lost. */
export type Change = readonly [name: string, before: string, now: string];

/** The value of `mr_servicetd` where a quote is of a kind that does not tell it. */
const ABSENT = 'absent';

/** In the place of `rtmr_3` where the kit's own log alone leads to it: its facts are remembered. */
const LOGGED = 'logged';

/** @param logged Do events of the kit's own, and no others, lead to RTMR3? Each start adds some. */
export const valuesOf = ({ body }: Quote, simulated: boolean, logged = false): Values => ({
	...recordOf(FIELDS, (name) => (logged && name === 'rtmr_3' ? LOGGED : body[name])),
	mr_servicetd: body.mr_servicetd ?? ABSENT,
	simulated: String(simulated)
});

/** The memory as it is stored. */
interface Remembered {
	/** RFC 3339. */
	since: string;
	values: Values;
}

const store = (memory: Memory, remembered: Remembered): void => {
	memory.setItem(MEMORY_KEY, JSON.stringify({ v: 1, ...remembered }));
};

/** Remember, from `now` (milliseconds since 1970) on; throws where storage does. */
export const remember = (memory: Memory, values: Values, now: number): void => {
	store(memory, { since: new Date(now).toISOString(), values });
};

const isWhole = (values: unknown): values is Values =>
	isObject(values) && NAMES.every((name) => typeof own(values, name) === 'string');

/** What is remembered, or null for nothing yet; throws for anything that is not whole. */
export const recall = (memory: Memory): Remembered | null => {
	const text = memory.getItem(MEMORY_KEY);
	if (text === null) return null;
	if (text.length > TEXT_LIMIT) throw new Error('size');
	const { v, since, values } = parseObject(text);
	if (v !== 1 || typeof since !== 'string' || !isWhole(values)) throw new Error('shape');
	// Older versions of the kit stored nothing where no service TD was told, and where it was none.
	return { since, values: { ...values, mr_servicetd: values.mr_servicetd || ABSENT } };
};

/** Does the quote tell at last that no service TD is bound (zeros)? No change, but worth knowing. */
const tellsNone = (before: Values, now: Values): boolean =>
	before.mr_servicetd === ABSENT && /^0+$/.test(now.mr_servicetd);

/** Every field whose remembered value is not the present one. */
const changesOf = (before: Values, now: Values): Change[] =>
	NAMES.filter(
		(name) => before[name] !== now[name] && !(name === 'mr_servicetd' && tellsNone(before, now))
	).map((name) => [name, before[name], now[name]]);

/**
 * Trust on first use: these values against those of the first success (or the last acceptance).
 *
 * Looks and, the first time, writes without a pause between, so that of two tabs one is first.
 * A memory that is damaged or not there warns: it must not pass for a first time, or for no change.
 * Nor is anything a first time where it may not begin.
 */
export const recognise = (
	memory: Memory,
	values: Values,
	now: number,
	mayBegin = true
): { finding: Finding; changes: Change[] } => {
	try {
		const known = recall(memory);
		if (!known) {
			if (!mayBegin) {
				return { finding: { outcome: 'skipped', code: 'not-remembered' }, changes: [] };
			}
			remember(memory, values, now);
			if (!recall(memory)) throw new Error('not kept');
			return { finding: { outcome: 'skipped', code: 'first-use' }, changes: [] };
		}
		const changes = changesOf(known.values, values);
		const detail = known.since.slice(0, 10); // the date
		if (changes.length > 0) {
			return { finding: { outcome: 'warn', code: 'changed', detail }, changes };
		}
		// So that it is missed where it is not told any more.
		if (mayBegin && tellsNone(known.values, values)) store(memory, { ...known, values });
		return { finding: { outcome: 'pass', code: 'unchanged', detail }, changes };
	} catch {
		// Every value counts as new: the old ones are lost.
		const changes = NAMES.map((name): Change => [name, '', values[name]]);
		return { finding: { outcome: 'warn', code: 'memory' }, changes };
	}
};

/** The fields whose values are the remembered ones: not what is remembered by its log. */
export const unchangedIn = (values: Values, changes: readonly Change[]): string[] =>
	FIELDS.filter(
		(name) => values[name] !== LOGGED && !changes.some(([changed]) => changed === name)
	);

/** Kinds of platforms that are remembered; Intel has some dozens. */
const EDITIONS_MAX = 128;

/** The highest numbers seen of TCB info and QE identity. */
type Highest = readonly [about: string, tcbInfo: number, qeIdentity: number];

const isHighest = (item: unknown): item is Highest => {
	if (!Array.isArray(item) || item.length !== 3) return false;
	const [about, ...numbers] = item as unknown[];
	return typeof about === 'string' && numbers.every(Number.isSafeInteger);
};

/** The highest of each kind of platform; throws for a memory that is not whole. */
const recallEditions = (memory: Memory): Highest[] => {
	const text = memory.getItem(EDITIONS_KEY);
	if (text === null) return [];
	if (text.length > TEXT_LIMIT) throw new Error('size');
	const { v, highest } = parseObject(text);
	if (v !== 1 || !Array.isArray(highest) || !highest.every(isHighest)) throw new Error('shape');
	return highest;
};

const rememberEditions = (memory: Memory, highest: readonly Highest[]): void => {
	const text = JSON.stringify({ v: 1, highest: highest.slice(-EDITIONS_MAX) });
	memory.setItem(EDITIONS_KEY, text);
};

/**
 * Remember an edition of Intel's TCB data, and warn where a newer one was seen: both are signed and
 * in date, and whoever supplies the collateral chose the older one. Undefined where all is well.
 *
 * A memory that is damaged or not there warns as well, and begins anew where it can.
 */
export const rememberEdition = (
	memory: Memory,
	{ about, numbers: [tcbInfo, qeIdentity] }: Edition
): Finding | undefined => {
	try {
		const seen: Highest = [about, tcbInfo, qeIdentity];
		let known: Highest[];
		try {
			known = recallEditions(memory);
		} catch (error) {
			rememberEditions(memory, [seen]);
			throw error;
		}
		const before = known.find(([name]) => name === about);
		const [, tcbBefore, qeBefore] = before ?? seen;
		const highest = [Math.max(tcbInfo, tcbBefore), Math.max(qeIdentity, qeBefore)] as const;
		const now: Highest = [about, ...highest];
		// In its place: to other tabs, a text that changes is something new.
		const all = before ? known.map((item) => (item === before ? now : item)) : [...known, now];
		rememberEditions(memory, all);
		if (highest[0] === tcbInfo && highest[1] === qeIdentity) return undefined;
		const detail = `${tcbInfo}, ${qeIdentity} < ${highest.join(', ')}`;
		return { outcome: 'warn', code: 'collateral-older', detail };
	} catch {
		return { outcome: 'warn', code: 'collateral-memory' };
	}
};
