import type { Environment } from './environment';
import { isObject, own, parseObject } from './json';
import type { Finding } from './providers/provider';
import type { Quote } from './quote';
import { MEMORY_KEY } from './settings';

const TEXT_LIMIT = 1 << 14;

/** What a trust domain is recognised by. */
const REMEMBERED = [
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

type Memory = Environment['memory'];
export type Values = Record<string, string>;

/** A field, its remembered value and its present one; the old one is empty where it is lost. */
export type Change = readonly [name: string, before: string, now: string];

export const valuesOf = ({ body }: Quote, simulated: boolean): Values => ({
	...Object.fromEntries(REMEMBERED.map((name) => [name, body[name]])),
	// TDX 1.0 has none, and TDX 1.5 says zeros for that.
	mr_servicetd: (body.mr_servicetd ?? '').replace(/^0+$/, ''),
	simulated: String(simulated)
});

/** Remember, from `now` (milliseconds since 1970) on; throws where storage does. */
export const remember = (memory: Memory, values: Values, now: number): void =>
	memory.setItem(MEMORY_KEY, JSON.stringify({ v: 1, since: new Date(now).toISOString(), values }));

/** What is remembered, or null for nothing yet; throws for anything that is not whole. */
const recall = (memory: Memory): { since: string; values: Values } | null => {
	const text = memory.getItem(MEMORY_KEY);
	if (text === null) return null;
	if (text.length > TEXT_LIMIT) throw new Error('size');
	const { v, since, values } = parseObject(text);
	const whole = [...REMEMBERED, 'mr_servicetd', 'simulated'].every((name) => typeof own(values, name) === 'string');
	if (v !== 1 || typeof since !== 'string' || !isObject(values) || !whole) throw new Error('shape');
	return { since, values: values as Values };
};

/**
 * Trust on first use: these values against those of the first success (or the last acceptance).
 *
 * Looks and, the first time, writes without a pause between, so that of two tabs one is first.
 * A memory that is damaged or not there warns: it must not pass for a first time, or for no change.
 */
export const recognise = (
	memory: Memory,
	values: Values,
	now: number
): { finding: Finding; changes: Change[] } => {
	try {
		const known = recall(memory);
		if (!known) {
			remember(memory, values, now);
			if (!recall(memory)) throw new Error('not kept');
			return { finding: { outcome: 'skipped', code: 'first-use' }, changes: [] };
		}
		const changes = Object.keys(values)
			.filter((name) => known.values[name] !== values[name])
			.map((name): Change => [name, known.values[name], values[name]]);
		const detail = known.since.slice(0, 10);
		return changes.length > 0
			? { finding: { outcome: 'warn', code: 'changed', detail }, changes }
			: { finding: { outcome: 'pass', code: 'unchanged', detail }, changes };
	} catch {
		const changes = Object.entries(values).map(([name, value]): Change => [name, '', value]);
		return { finding: { outcome: 'warn', code: 'memory' }, changes };
	}
};
