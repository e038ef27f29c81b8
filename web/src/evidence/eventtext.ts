import { fromUtf8, isEqual, latin1 } from '../base/encoding';
import { sha384 } from '../base/sha384';

/**
 * What an event says of itself, and how much of that its digest proves: the rules of
 * quote_generator/eventtext.py, to which the vectors hold both.
 *
 * A register is extended with an event's digest alone. So whoever shows a log can put any data
 * beside a digest that was measured: text is a fact only where the digest is its hash, and
 * otherwise the machine's own word. The event's type is always that.
 */

export const REGISTERS = ['rtmr_0', 'rtmr_1', 'rtmr_2', 'rtmr_3'] as const;
export type Register = (typeof REGISTERS)[number];

/** One entry of a TCG2 log. */
export interface Event {
	/** The log's measurement register: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3. */
	register: number;
	type: number;
	digest: Uint8Array<ArrayBuffer>;
	data: Uint8Array<ArrayBuffer>;
}

/**
 * One event to show. `fact` is text that the register proves; `word`, like `kind`, is the machine's
 * own word.
 */
export type LogRow = readonly [register: string, kind: string, word: string, fact: string];

type Bytes = Uint8Array<ArrayBuffer>;

const NO_ACTION = 3;
const ACTION = 5;
const EVENT_TAG = 6;
const IPL = 0xd;
const EFI_ACTION = 0x80000007;
/** Types whose data are text; others' may hold some. */
const TEXTS = [ACTION, IPL, EFI_ACTION];
/** EV_EFI_VARIABLE_BOOT and EV_EFI_VARIABLE_BOOT2. */
const VARIABLES_OF_BOOT = [0x80000002, 0x8000000c];
/** What an application's event begins with. */
const AAEL = 'LEAA';

/** The RTMR that an event extends, or undefined where it extends none. */
export const registerOf = ({ register, type }: Event): Register | undefined =>
	type === NO_ACTION ? undefined : REGISTERS[register - 1];

/** Event types by number, the usual ones (TCG PC Client Platform Firmware Profile, section 10.4.1). */
const KINDS: Partial<Record<number, string>> = {
	1: 'POST_CODE',
	[NO_ACTION]: 'NO_ACTION',
	4: 'SEPARATOR',
	[ACTION]: 'ACTION',
	[EVENT_TAG]: 'EVENT_TAG',
	8: 'S_CRTM_VERSION',
	0xa: 'PLATFORM_CONFIG_FLAGS',
	[IPL]: 'IPL'
};
/** Those of UEFI, which follow one another from here. */
const EFI_FIRST = 0x80000001;
const EFI_KINDS = [
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

const kindOf = (type: number): string => {
	const efi = EFI_KINDS[type - EFI_FIRST];
	return KINDS[type] ?? (efi ? `EFI_${efi}` : `0x${type.toString(16)}`);
};

/** A little-endian number; 8 bytes may lose what no length can have. */
const little = (bytes: Uint8Array): number => bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);

/** Bytes of binary data in which text is looked for. */
const LOOKED_AT = 2048;

const LEFT_OUT = '…';

/**
 * Printable ASCII, with a question mark for all else: other characters can hide or reorder what is
 * beside them, or look like the mark of what is proven.
 */
const plain = (text: string): string => text.replace(/[^ -~]/gu, '?');

/** Text in UTF-16, none of it beyond a byte, as those bytes; undefined for other data. */
const narrowed = (data: Bytes): Bytes | undefined =>
	data.length % 2 === 0 && data.every((byte, at) => at % 2 === 0 || byte === 0)
		? data.filter((_, at) => at % 2 === 0)
		: undefined;

/** All of a text (ASCII, or the same in UTF-16), but for one zero at its end. */
const whole = (data: Bytes): string => {
	const text = narrowed(data) ?? data;
	return plain(latin1(text.at(-1) === 0 ? text.subarray(0, -1) : text));
};

/**
 * The longest text (ASCII, or the same in UTF-16) near the beginning of binary data. One zero at the
 * data's end belongs to it.
 */
const longestPiece = (data: Bytes): string => {
	const near = latin1(data.subarray(0, LOOKED_AT));
	let [text, begin, end] = ['', 0, data.length];
	for (const { 0: piece, index } of near.matchAll(/(?:[ -~]\0){3,}(?:\0\0$)?|[ -~]{4,}(?:\0$)?/g)) {
		const found = piece.replace(/\0/g, '');
		if (found.length > text.length) [text, begin, end] = [found, index, index + piece.length];
	}
	return `${begin > 0 ? LEFT_OUT : ''}${text}${end < data.length ? LEFT_OUT : ''}`;
};

/** The line of an application's event, or undefined for any other event. */
const applicationLine = ({ type, data }: Event): string | undefined => {
	const tagged = type === EVENT_TAG && latin1(data.subarray(0, 4)) === AAEL;
	if (!tagged || data.length < 8 || little(data.subarray(4, 8)) !== data.length - 8)
		return undefined;
	try {
		return fromUtf8(data.subarray(8));
	} catch {
		return undefined;
	}
};

/** The log's measurement register of applications: RTMR3. */
const OF_APPLICATIONS = 4;

/**
 * The lines of the application's events and of its text, oldest first; null where there are neither,
 * or one may be hidden: a digest that is not that of its event's own data may be that of any line.
 */
export const applicationLines = (
	events: readonly Event[],
	text: readonly string[] | null
): string[] | null => {
	const own = events.filter(({ register }) => register === OF_APPLICATIONS);
	const isProven = ({ data, digest }: Event) => isEqual(sha384(data), digest);
	if ((own.length === 0 && !text) || !own.every(isProven)) return null;
	const lines = own.map(applicationLine).filter((line) => line !== undefined);
	return [...lines, ...(text ?? [])];
};

/** Bytes that an event's digest may be the hash of, and what is left then. */
type Coverable = readonly [covered: Bytes, rest: Bytes];

/**
 * GRUB's commands and command lines, and systemd-stub's names of sections.
 *
 * GRUB puts a label of its own before the text, and measures the text without its final zero
 * (`kernel_cmdline: ...`) or, as RHEL has it, with one (`grub_kernel_cmdline ...`). systemd-stub
 * measures a name in ASCII with its zero, and logs it in UTF-16.
 */
const ofBootLoader = (data: Bytes): Coverable[] => {
	const end = data.indexOf(0);
	const text = end < 0 ? data : data.subarray(0, end);
	const space = text.indexOf(0x20);
	const label = space < 0 ? text : text.subarray(0, space);
	const after = space < 0 ? text.subarray(text.length) : text.subarray(space + 1);
	const terminated = new Uint8Array(after.length + 1);
	terminated.set(after);
	const found: Coverable[] = [
		[text, data.subarray(0, 0)],
		[after, label],
		[terminated, label]
	];
	const narrow = narrowed(data);
	if (narrow) found.push([narrow, data.subarray(0, 0)]);
	return found;
};

/** UEFI_VARIABLE_DATA: GUID, length of the name in characters, length of the value, both. */
const VARIABLE_NAME_AT = 32;

const coverable = ({ type, data }: Event): Coverable[] => {
	const found: Coverable[] = [[data, data.subarray(0, 0)]];
	if (type === IPL) found.push(...ofBootLoader(data));
	if (VARIABLES_OF_BOOT.includes(type) && data.length > VARIABLE_NAME_AT) {
		const valueAt = VARIABLE_NAME_AT + 2 * little(data.subarray(16, 24));
		found.push([data.subarray(valueAt), data.subarray(VARIABLE_NAME_AT, valueAt)]);
	}
	return found;
};

/** Data of an event as text, from which nothing is left out without a mark. */
const readable = (event: Event, data: Bytes): string => {
	const line = data === event.data ? applicationLine(event) : undefined;
	if (line !== undefined) return plain(line);
	return TEXTS.includes(event.type) ? whole(data) : longestPiece(data);
};

interface EventText {
	word: string;
	fact: string;
}

/** What an event says of itself where no register holds its digest. */
const unproven = (event: Event): EventText => ({ word: readable(event, event.data), fact: '' });

/** What an event says of itself, and what of that its digest is the hash of. */
const textOf = async (subtle: SubtleCrypto, event: Event): Promise<EventText> => {
	const { digest } = event;
	for (const [covered, rest] of coverable(event)) {
		const hash = new Uint8Array(await subtle.digest('SHA-384', covered));
		if (hash.every((byte, at) => byte === digest[at])) {
			return { word: readable(event, rest), fact: readable(event, covered) };
		}
	}
	return unproven(event);
};

const ROWS_MAX = 200;
/** Characters of a text. */
const TEXT_MAX = 160;

const short = (text: string): string => {
	const characters = Array.from(text.slice(0, 2 * TEXT_MAX + 2));
	return characters.length > TEXT_MAX
		? `${characters.slice(0, TEXT_MAX - 1).join('')}${LEFT_OUT}`
		: text;
};

/**
 * The events to show: of a TCG2 log, and the lines of the application's text.
 *
 * `explained` names the registers to which the logs lead: only these prove anything.
 */
export const rowsOf = async (
	subtle: SubtleCrypto,
	events: readonly (Event | string)[],
	explained: readonly Register[]
): Promise<LogRow[]> => {
	const rowOf = async (event: Event | string): Promise<LogRow> => {
		if (typeof event === 'string') {
			const line = plain(event);
			const [word, fact] = explained.includes('rtmr_3') ? ['', line] : [line, ''];
			return ['rtmr_3', '', short(word), short(fact)];
		}
		const name = registerOf(event);
		const isExplained = name !== undefined && explained.includes(name);
		const { word, fact } = isExplained ? await textOf(subtle, event) : unproven(event);
		const { register, type } = event;
		const shown = register === 0 ? 'mr_td' : (REGISTERS[register - 1] ?? `#${register}`);
		return [shown, kindOf(type), short(word), short(fact)];
	};
	const rows = (some: readonly (Event | string)[]) => Promise.all(some.map(rowOf));
	const more = events.length - ROWS_MAX;
	if (more <= 0) return rows(events);
	// Each log's end tells more than its beginning's end: of too many rows the middle is left out.
	const [begin, end] = await Promise.all([
		rows(events.slice(0, ROWS_MAX / 2)),
		rows(events.slice(-ROWS_MAX / 2))
	]);
	return [...begin, ['…', '', String(more), ''], ...end];
};
