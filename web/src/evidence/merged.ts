import { concat, fromHex, toUtf8 } from '../base/encoding';
import { asProblem, Problem } from '../base/problem';
import { sha384 } from '../base/sha384';
import { extended, parseAael, parseLog } from './eventlog';
import { registerOf } from './eventtext';

/**
 * Both event logs as one of TCG2 events (TCG PC Client Platform Firmware Profile, section 10.2.2),
 * which is what a current Trustee replays. The rules are verifier/services/exchange.py's, and
 * tests/vectors/merged_logs.json holds both to them, byte by byte.
 */

type Bytes = Uint8Array<ArrayBuffer>;

const APPLICATION_REGISTER = 4;
/** Its digest is that of its data, whatever that is. */
const EV_IPL = 0x0d;
const SHA384 = 0x0c;
/** Bytes of a register. */
const SIZE = 48;

const little = (value: number, size: number): Bytes =>
	Uint8Array.from({ length: size }, (_, at) => (value >>> (8 * at)) & 0xff);

/** What the CoCo agent puts before its events on a TD without CCEL: it lists SHA-384 and SM3. */
const AGENT_HEADER = concat(
	...[0, 3].map((number) => little(number, 4)),
	new Uint8Array(20),
	little(37, 4),
	new Uint8Array(24),
	little(2, 4),
	...[SHA384, SIZE, 0x12, 32].map((number) => little(number, 2)),
	new Uint8Array(1)
);

const END = new Uint8Array(8).fill(0xff);

/** A line as an event of the digest that the register was extended with. */
const entry = (line: string): Bytes => {
	const text = toUtf8(line);
	return concat(
		...[APPLICATION_REGISTER, EV_IPL, 1].map((number) => little(number, 4)),
		little(SHA384, 2),
		sha384(text),
		little(text.length, 4),
		text
	);
};

/** Do the events lead RTMR3, from zeros, to this value? */
const leadsTo = (events: ReturnType<typeof parseLog>['events'], value: Bytes): boolean => {
	const led = events
		.filter((event) => registerOf(event) === 'rtmr_3')
		.reduce((register, { digest }) => extended(register, digest), new Uint8Array(SIZE));
	return led.every((byte, at) => byte === value[at]);
};

const merge = (ccel: Bytes | null, aael: string | null): Bytes => {
	const { events, trimmed } = ccel ? parseLog(ccel) : { events: [], trimmed: AGENT_HEADER };
	if (aael === null) return concat(trimmed, END);
	const { initial, lines } = parseAael(aael);
	if (!leadsTo(events, fromHex(initial))) throw new Problem('logs-unmerged', 'rtmr_3');
	return concat(trimmed, ...lines.map(entry), END);
};

/**
 * CCEL up to its end, or the CoCo agent's header in its place; the application's events, those of
 * its text under the digests of its lines; and 8 bytes 0xFF. Null where there is no log.
 *
 * Throws `logs-unmerged` where a log cannot be read, or the text begins at another value than the
 * events before it lead to: then no replay from zeros comes to the register.
 */
export const mergedLog = (ccel: Bytes | null, aael: string | null): Bytes | null => {
	if (ccel === null && aael === null) return null;
	try {
		return merge(ccel, aael);
	} catch (error) {
		throw new Problem('logs-unmerged', asProblem(error).detail);
	}
};
