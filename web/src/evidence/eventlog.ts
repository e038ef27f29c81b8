import { fromHex, latin1, toHex, toUtf8 } from '../base/encoding';
import { Problem } from '../base/problem';
import { reader, type Reader } from '../base/reader';

/**
 * Event logs: what led to the runtime measurement registers (RTMRs) of a trust domain. The rules
 * and bounds are those of quote_generator/eventlog.py, and the vectors hold both to them.
 *
 * CCEL is a TCG2 crypto-agile log (TCG PC Client Platform Firmware Profile, sections 9.2 and 10;
 * UEFI 2.10, section 38 for the registers); the application's log is CoCo's text format.
 */

export const REGISTERS = ['rtmr_0', 'rtmr_1', 'rtmr_2', 'rtmr_3'] as const;
type Register = (typeof REGISTERS)[number];
type Registers = Record<Register, string>;

/** One event to show: a register's name, what kind it is, and what it says of itself. */
export type LogRow = readonly [register: string, kind: string, text: string];

/** Bytes of a register, and what it holds before its first event. */
const SIZE = 48;
const ZEROS = '0'.repeat(2 * SIZE);

const EV_NO_ACTION = 3;
const SHA384 = 0x0c;
const ALGORITHMS_MAX = 16;
const SPEC_ID = 'Spec ID Event03\0';

interface Event {
	/** The log's measurement register: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3. */
	register: number;
	type: number;
	digest: Uint8Array<ArrayBuffer>;
	data: Uint8Array<ArrayBuffer>;
}

const malformed = (what: string) => new Problem('log-malformed', what);

const open = (bytes: Uint8Array<ArrayBuffer>): Reader => reader(bytes, 'log-malformed');

/** Digest sizes by algorithm, from the first event (of the older form). */
const parseHeader = (log: Reader): Map<number, number> => {
	log.take(4);
	const type = log.number(4);
	log.take(20);
	const spec = open(log.take(log.number(4)));
	if (type !== EV_NO_ACTION || latin1(spec.take(16)) !== SPEC_ID) throw malformed('Spec ID');
	spec.take(8); // platform class, versions, size of UINTN
	const count = spec.number(4);
	if (count === 0 || count > ALGORITHMS_MAX) throw malformed('algorithms');
	const sizes = new Map<number, number>();
	for (let n = 0; n < count; n += 1) sizes.set(spec.number(2), spec.number(2));
	if (sizes.get(SHA384) !== SIZE) throw malformed('SHA-384');
	return sizes;
};

const parseEvent = (log: Reader, sizes: Map<number, number>): Event => {
	const register = log.number(4);
	const type = log.number(4);
	const count = log.number(4);
	if (count > sizes.size) throw malformed('digests');
	let digest: Uint8Array<ArrayBuffer> | undefined;
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

/** The events of a CCEL, trimmed or with the empty rest of its table; throws `log-malformed`. */
export const parseCcel = (bytes: Uint8Array<ArrayBuffer>): Event[] => {
	const log = open(bytes);
	const sizes = parseHeader(log);
	const events: Event[] = [];
	/** No bytes, or the zeros or ones of an empty table. */
	const over = () => {
		const at = log.before().length;
		const rest = bytes.subarray(at, at + 8);
		return [0, 0xff].some((empty) => rest.every((byte) => byte === empty));
	};
	while (!over()) events.push(parseEvent(log, sizes));
	return events;
};

/** Its first line, with the register's value then, and the form of all others. */
const AAEL_BEGIN = /^INIT sha384\/([\da-f]{96})$/;
const AAEL_LINE = /^[^ ]+ [^ ]+ [^]+$/;

/** The lines of the application's log, the first one included; throws `log-malformed`. */
export const parseAael = (text: string): { initial: string; lines: string[] } => {
	if (/\p{Surrogate}/u.test(text)) throw malformed('UTF-8'); // half a pair, which JSON can bring
	const lines = text.split('\n');
	if (lines.at(-1) === '') lines.pop(); // the last line's end
	const [first = '', ...others] = lines;
	const initial = AAEL_BEGIN.exec(first)?.[1];
	if (initial === undefined) throw malformed('line 1');
	const wrong = others.findIndex((line) => !AAEL_LINE.test(line));
	if (wrong >= 0) throw malformed(`line ${wrong + 2}`);
	return { initial, lines };
};

/** Event types by number, the usual ones (TCG PC Client Platform Firmware Profile, section 10.4.1). */
const TYPES: Partial<Record<number, string>> = {
	1: 'POST_CODE',
	3: 'NO_ACTION',
	4: 'SEPARATOR',
	5: 'ACTION',
	6: 'EVENT_TAG',
	8: 'S_CRTM_VERSION',
	0xa: 'PLATFORM_CONFIG_FLAGS',
	0xd: 'IPL'
};
/** Those of UEFI, which follow one another from here. */
const EFI_FIRST = 0x80000001;
const EFI_TYPES = [
	'VARIABLE_DRIVER_CONFIG',
	'VARIABLE_BOOT',
	'BOOT_SERVICES_APPLICATION',
	'BOOT_SERVICES_DRIVER',
	'RUNTIME_SERVICES_DRIVER',
	'GPT_EVENT',
	'ACTION',
	'PLATFORM_FIRMWARE_BLOB',
	'HANDOFF_TABLES',
	'PLATFORM_FIRMWARE_BLOB2',
	'HANDOFF_TABLES2',
	'VARIABLE_BOOT2'
];

const typeName = (type: number): string => {
	const efi = EFI_TYPES[type - EFI_FIRST];
	return TYPES[type] ?? (efi ? `EFI_${efi}` : `0x${type.toString(16)}`);
};

/** The longest piece of readable text (ASCII, or the same in UTF-16) near an event's beginning. */
const describe = (data: Uint8Array): string =>
	(latin1(data.subarray(0, 2048)).match(/(?:[ -~]\0){3,}|[ -~]{4,}/g) ?? [])
		.map((piece) => piece.replace(/\0/g, ''))
		.reduce((best, piece) => (piece.length > best.length ? piece : best), '');

const ROWS_MAX = 200;
const TEXT_MAX = 160;

const rowsOf = (events: Event[], lines: string[]): LogRow[] => {
	const measured = events.map(({ register, type, data }): LogRow => [
		register === 0 ? 'mr_td' : (REGISTERS[register - 1] ?? `#${register}`),
		typeName(type),
		describe(data).slice(0, TEXT_MAX)
	]);
	const reported = lines.map((line): LogRow => ['rtmr_3', '', line.slice(0, TEXT_MAX)]);
	const rows = [...measured, ...reported];
	const more = rows.length - ROWS_MAX;
	// Each log's end tells more than its beginning's end: of too many rows the middle is left out.
	return more > 0
		? [...rows.slice(0, ROWS_MAX / 2), ['…', '', String(more)], ...rows.slice(-ROWS_MAX / 2)]
		: rows;
};

/** The value of a register after an event. */
const extend = async (
	subtle: SubtleCrypto,
	register: string,
	digest: Uint8Array
): Promise<string> => {
	const both = Uint8Array.of(...fromHex(register), ...digest);
	return toHex(new Uint8Array(await subtle.digest('SHA-384', both)));
};

/** Where the firmware's events lead; each register begins at zeros. */
const replayCcel = async (subtle: SubtleCrypto, events: Event[]): Promise<Registers> => {
	const registers = { rtmr_0: ZEROS, rtmr_1: ZEROS, rtmr_2: ZEROS, rtmr_3: ZEROS };
	for (const { register, type, digest } of events) {
		const name = REGISTERS[register - 1];
		if (name && type !== EV_NO_ACTION) {
			registers[name] = await extend(subtle, registers[name], digest);
		}
	}
	return registers;
};

/** Where the application's lines lead. */
const replayAael = async (
	subtle: SubtleCrypto,
	initial: string,
	lines: string[]
): Promise<string> => {
	let register = initial;
	for (const line of lines) {
		const digest = await subtle.digest('SHA-384', toUtf8(line));
		register = await extend(subtle, register, new Uint8Array(digest));
	}
	return register;
};

/**
 * Replay the logs and compare with the quote's registers; null where there is no log.
 *
 * `explained` names the registers that the logs lead to. Throws `log-malformed`, or `log-differs`
 * with the registers that a log speaks of and leads elsewhere.
 */
export const replay = async (
	subtle: SubtleCrypto,
	quoted: Registers,
	ccel: Uint8Array<ArrayBuffer> | null,
	aael: string | null
): Promise<{ explained: string; events: LogRow[] } | null> => {
	if (ccel === null && aael === null) return null;
	const events = ccel ? parseCcel(ccel) : [];
	const logged: Partial<Registers> = ccel ? await replayCcel(subtle, events) : {};
	let lines: string[] = [];
	let begun = true;
	if (aael !== null) {
		const application = parseAael(aael);
		// The log names the value that it began with; earlier events must account for that value, or
		// it could hide any.
		begun = application.initial === (logged.rtmr_3 ?? ZEROS);
		lines = application.lines;
		logged.rtmr_3 = await replayAael(subtle, application.initial, lines);
	}
	const spoken = REGISTERS.filter((name) => name in logged);
	const matches = (name: Register) => logged[name] === quoted[name] && (begun || name !== 'rtmr_3');
	const differing = spoken.filter((name) => !matches(name));
	if (differing.length > 0) throw new Problem('log-differs', differing.join(', '));
	return { explained: spoken.join(', '), events: rowsOf(events, lines) };
};
