import { fromHex, isEqual, latin1, toUtf8 } from '../base/encoding';
import { Problem } from '../base/problem';
import { reader, type Reader } from '../base/reader';
import { sha384 } from '../base/sha384';
import {
	applicationLines,
	REGISTERS,
	registerOf,
	rowsOf,
	type Event,
	type LogRow,
	type Register
} from './eventtext';

/**
 * Event logs: what led to the runtime measurement registers (RTMRs) of a trust domain. The rules
 * and bounds are those of quote_generator/eventlog.py, and the vectors hold both to them.
 *
 * CCEL is a TCG2 crypto-agile log (TCG PC Client Platform Firmware Profile, sections 9.2 and 10;
 * UEFI 2.10, section 38 for the registers). The application's log is CoCo's: text, or, since
 * mid-2025, events after those of the firmware, or alone after a header of the agent's.
 */

export { REGISTERS, type LogRow };

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes of a register. */
const SIZE = 48;

const EV_NO_ACTION = 3;
const SHA384 = 0x0c;
const ALGORITHMS_MAX = 16;
/** Events of a log; real ones have some hundreds. */
export const EVENTS_MAX = 1 << 16;
const SPEC_ID = 'Spec ID Event03\0';
/** What the agent's header has in its place. */
const NO_SPEC_ID = '\0'.repeat(16);

const malformed = (what: string) => new Problem('log-malformed', what);

const open = (bytes: Bytes): Reader => reader(bytes, 'log-malformed');

interface Header {
	/** Digest sizes by algorithm. */
	sizes: Map<number, number>;
	/** Is it the firmware's, or the agent's? */
	firmware: boolean;
}

/** The header in a log's first event (of the older form). */
const parseHeader = (log: Reader): Header => {
	log.take(4);
	const type = log.number(4);
	log.take(20);
	const spec = open(log.take(log.number(4)));
	const signature = latin1(spec.take(16));
	const known = signature === SPEC_ID || signature === NO_SPEC_ID;
	if (type !== EV_NO_ACTION || !known) throw malformed('Spec ID');
	spec.take(8); // platform class, versions, size of UINTN
	const count = spec.number(4);
	if (count === 0 || count > ALGORITHMS_MAX) throw malformed('algorithms');
	const sizes = new Map<number, number>();
	for (let n = 0; n < count; n += 1) sizes.set(spec.number(2), spec.number(2));
	if (sizes.get(SHA384) !== SIZE) throw malformed('SHA-384');
	return { sizes, firmware: signature === SPEC_ID };
};

const parseEvent = (log: Reader, sizes: Map<number, number>): Event => {
	const register = log.number(4);
	const type = log.number(4);
	const count = log.number(4);
	if (count > sizes.size) throw malformed('digests');
	let digest: Bytes | undefined;
	for (let n = 0; n < count; n += 1) {
		const algorithm = log.number(2);
		const size = sizes.get(algorithm);
		if (size === undefined) throw malformed('algorithm');
		const value = log.take(size);
		if (algorithm === SHA384) digest = value;
	}
	if (!digest) throw malformed('digests');
	return { register, type, digest, data: log.take(log.number(4)) };
};

/** A log's events, and its bytes without the empty rest of its table; throws `log-malformed`. */
export const parseLog = (bytes: Bytes): { events: Event[]; firmware: boolean; trimmed: Bytes } => {
	const log = open(bytes);
	const { sizes, firmware } = parseHeader(log);
	const events: Event[] = [];
	/** No bytes, or the zeros or ones of an empty table. */
	const over = () => {
		const at = log.before().length;
		const rest = bytes.subarray(at, at + 8);
		return [0, 0xff].some((empty) => rest.every((byte) => byte === empty));
	};
	while (!over()) {
		if (events.length === EVENTS_MAX) throw malformed('too many events');
		events.push(parseEvent(log, sizes));
	}
	return { events, firmware, trimmed: log.before() };
};

/** Its first line, with the register's value then, and the form of all others. */
const AAEL_BEGIN = /^INIT sha384\/([\da-f]{96})$/;
const AAEL_LINE = /^[^ ]+ [^ ]+ [^]+$/;

/** The lines of the application's log, the first one included; throws `log-malformed`. */
export const parseAael = (text: string): { initial: string; lines: string[] } => {
	if (/\p{Surrogate}/u.test(text)) throw malformed('UTF-8'); // half a pair, which JSON can bring
	const lines = text.split('\n', EVENTS_MAX + 2);
	if (lines.at(-1) === '') lines.pop(); // the last line's end
	if (lines.length > EVENTS_MAX) throw malformed('too many events');
	const [first = '', ...others] = lines;
	const initial = AAEL_BEGIN.exec(first)?.[1];
	if (initial === undefined) throw malformed('line 1');
	const wrong = others.findIndex((line) => !AAEL_LINE.test(line));
	if (wrong >= 0) throw malformed(`line ${wrong + 2}`);
	return { initial, lines };
};

const join = (a: Uint8Array, b: Uint8Array): Bytes => {
	const both = new Uint8Array(a.length + b.length);
	both.set(a);
	both.set(b, a.length);
	return both;
};

/** A register's next value: the hash of its value and a digest. */
export const extended = (value: Uint8Array, digest: Uint8Array): Bytes =>
	sha384(join(value, digest));

/** Where a log leads one register. */
interface Way {
	value: Bytes;
	/** Was its value the quoted one, before an event that followed? */
	passed: boolean;
}

/** What is known of the registers: their values in the quote, and where the logs lead. */
class Registers {
	readonly #quoted: Record<Register, Bytes>;
	readonly #ways: Partial<Record<Register, Way>> = {};

	constructor(quoted: Record<Register, string>) {
		this.#quoted = {
			rtmr_0: fromHex(quoted.rtmr_0),
			rtmr_1: fromHex(quoted.rtmr_1),
			rtmr_2: fromHex(quoted.rtmr_2),
			rtmr_3: fromHex(quoted.rtmr_3)
		};
	}

	/** The way of a register, which begins at zeros; from now on the logs speak of it. */
	way(name: Register): Way {
		return (this.#ways[name] ??= { value: new Uint8Array(SIZE), passed: false });
	}

	/** Go on to a register's next value. */
	move(name: Register, value: Bytes): void {
		const way = this.way(name);
		way.passed ||= isEqual(way.value, this.#quoted[name]);
		way.value = value;
	}

	/** Go on by an event: to the hash of the value and the event's digest. */
	extend(name: Register, digest: Uint8Array): void {
		this.move(name, extended(this.way(name).value, digest));
	}

	/** Do the logs lead to the quoted value? Undefined where they do not speak of the register. */
	matches(name: Register): boolean | undefined {
		const way = this.#ways[name];
		return way && isEqual(way.value, this.#quoted[name]);
	}

	/**
	 * Is the log wrong? Nobody but firmware and boot loader extends RTMR0 and RTMR1; the others lead
	 * elsewhere where anybody extends them after boot, but never back to what they were.
	 */
	contradicts(name: Register): boolean {
		const late = name === 'rtmr_2' || name === 'rtmr_3';
		return this.matches(name) === false && (!late || this.way(name).passed);
	}
}

/** What the logs tell: the registers that they account for, and those that they speak of in vain. */
export interface Replayed {
	explained: Register[];
	unexplained: Register[];
	events: LogRow[];
	/** The lines of the application's events, where RTMR3 proves each of them. */
	lines: string[] | null;
}

/**
 * Replay the logs and compare with the quote's registers; null where none speaks of any.
 *
 * Throws `log-malformed`, or `log-differs` with the registers where a log is wrong.
 */
export const replay = async (
	subtle: SubtleCrypto,
	quoted: Record<Register, string>,
	ccel: Bytes | null,
	aael: string | null
): Promise<Replayed | null> => {
	const registers = new Registers(quoted);
	const { events, firmware } = ccel ? parseLog(ccel) : { events: [], firmware: false };
	const application = aael === null ? { initial: '', lines: [] } : parseAael(aael);
	// The firmware's log speaks of all of them; the agent's by itself of those that it has events of.
	if (firmware) REGISTERS.forEach((name) => registers.way(name));
	for (const event of events) {
		const name = registerOf(event);
		if (name) registers.extend(name, event.digest);
	}
	let accounted = true;
	if (aael !== null) {
		// The log names the value that it began with; earlier events must account for that value, or
		// it could hide any.
		const initial = fromHex(application.initial);
		accounted = isEqual(registers.way('rtmr_3').value, initial);
		registers.move('rtmr_3', initial);
	}
	for (const line of application.lines) {
		registers.extend('rtmr_3', sha384(toUtf8(line)));
	}
	const differing = REGISTERS.filter((name) => registers.contradicts(name));
	if (differing.length > 0) throw new Problem('log-differs', differing.join(', '));
	const spoken = REGISTERS.filter((name) => registers.matches(name) !== undefined);
	if (spoken.length === 0) return null;
	const isExplained = (name: Register) =>
		registers.matches(name) === true && (accounted || name !== 'rtmr_3');
	const explained = spoken.filter(isExplained);
	const isProven = explained.includes('rtmr_3');
	return {
		explained,
		lines: isProven ? applicationLines(events, aael === null ? null : application.lines) : null,
		unexplained: spoken.filter((name) => !explained.includes(name)),
		events: await rowsOf(subtle, [...events, ...application.lines], explained)
	};
};
