import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAael, parseLog, replay } from '../../src/evidence/eventlog';
import { REGISTERS, type LogRow } from '../../src/evidence/eventtext';
import { appraiseLogs, DEFAULT_POLICY } from '../../src/policy/policy';
import { recordOf } from '../../src/base/record';
import { fill, flipped, sha384 } from '../support/bytes';
import { must } from '../support/must';
import { problemIn, problemOf } from '../support/problems';
import { readSample, readVectors } from '../support/vectors';

const { subtle } = crypto;

interface Case {
	name: string;
	registers: Record<(typeof REGISTERS)[number], string>;
	cc_eventlog: string | null;
	aa_eventlog: string | null;
	/** The registers that the policy names. */
	demanded: string[];
	outcome: 'pass' | 'skipped' | 'log-malformed' | 'log-differs' | 'log-unexplained';
	names: string;
	unexplained: string;
	events: string[][] | null;
}
const { cases } = readVectors('eventlogs') as { cases: Case[] };
const bytes = (text: string | null) => (text === null ? null : Buffer.from(text, 'base64'));
const run = async (c: Case) => {
	const replayed = await replay(subtle, c.registers, bytes(c.cc_eventlog), c.aa_eventlog);
	const policy = { ...DEFAULT_POLICY, explained_registers: c.demanded };
	return { replayed, finding: appraiseLogs(policy, replayed) };
};

describe('lines of the application', () => {
	const linesOf = async (name: string, change = (log: Uint8Array<ArrayBuffer>) => log) => {
		const c = must(cases.find((each) => each.name === name));
		const given = bytes(c.cc_eventlog);
		const log = given && change(Uint8Array.from(given));
		return must(await replay(subtle, c.registers, log, c.aa_eventlog)).lines;
	};
	const PULLED = 'coco.example pull registry.example/app@sha256:ab';
	const STARTED = 'coco.example start {"é": 1}';

	it('are those of its events, and of its text', async () => {
		expect(await linesOf("new: after the firmware's")).toEqual([PULLED, STARTED]);
		expect(await linesOf('new: after a header of two algorithms')).toEqual([PULLED, STARTED]);
		expect(must(await linesOf('new: and text after it')).slice(0, 2)).toEqual([PULLED, STARTED]);
		expect(must(await linesOf('application only')).length).toBeGreaterThan(1);
	});

	it('are unknown where an event may hide one, or none is there', async () => {
		const hidden = await linesOf("new: after the firmware's", (log) => {
			const at = Buffer.from(log).lastIndexOf('registry.example');
			log[at] = 'R'.charCodeAt(0);
			return log;
		});
		expect(hidden).toBeNull();
		expect(await linesOf('no events')).toBeNull();
	});
});

describe('event logs of the vectors', () => {
	it('are of every outcome', () => {
		expect(new Set(cases.map(({ outcome }) => outcome)).size).toBe(5);
	});

	it.each(cases)('$name: $outcome', async (c) => {
		if (c.outcome === 'skipped') {
			const finding = { outcome: 'skipped', code: 'no-log' };
			expect(await run(c)).toEqual({ replayed: null, finding });
			return;
		}
		if (c.outcome === 'pass') {
			const { replayed, finding } = await run(c);
			const { explained, unexplained, events } = must(replayed);
			expect(explained.join(', ')).toBe(c.names);
			expect(unexplained.join(', ')).toBe(c.unexplained);
			expect(events).toEqual(c.events);
			const told = { outcome: 'pass', code: 'log-unexplained', detail: c.unexplained };
			expect(finding).toEqual(c.unexplained ? told : { outcome: 'pass', detail: c.names });
			return;
		}
		const problem = must(await problemIn(() => run(c)));
		expect(problem.code).toBe(c.outcome);
		if (c.names) expect(problem.detail).toBe(c.names);
	});
});

describe('bytes from outside', () => {
	const good = must(cases.find(({ name }) => name === 'both'));
	const log = must(bytes(good.cc_eventlog));
	const aael = must(good.aa_eventlog);

	it('never crash the readers', () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(log.length), (noise, at) => {
				problemOf(() => parseLog(noise));
				problemOf(() => parseLog(Buffer.concat([log.subarray(0, at), noise])));
			})
		);
		fc.assert(
			fc.property(fc.string({ unit: 'binary' }), (text) => {
				problemOf(() => parseAael(text));
			})
		);
	});

	it('do not lead to RTMR0 and RTMR1 with any measured byte changed', async () => {
		// The head of the first event (register, type, digest) is measured by nobody, and so are its data.
		const first = must(parseLog(log).events[0]);
		const start = first.data.byteOffset + first.data.length - log.byteOffset;
		const digests = parseLog(log)
			.events.filter(({ register }) => register === 1 || register === 2)
			.map(({ digest }) => digest.byteOffset - log.byteOffset);
		expect(digests[0]).toBeGreaterThan(start);
		for (const at of digests) {
			const changed = flipped(log, at + 7);
			await expect(replay(subtle, good.registers, changed, aael)).rejects.toThrow('log-differs');
		}
	});

	it('are all shown where they are text that a register proves', async () => {
		const head = log.subarray(
			0,
			must(parseLog(log).events[0]).data.byteOffset - log.byteOffset - 66
		);
		const number = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
		const start = Buffer.concat([number(3), number(0xd), number(1), Buffer.from([0x0c, 0])]);
		const text = fc.uint8Array({ minLength: 3, maxLength: 99 });
		await fc.assert(
			fc.asyncProperty(text, async (data) => {
				data[1] ||= 1; // or it could be UTF-16
				const digest = sha384(data);
				const event = [start, digest, number(data.length), data];
				const rtmr_2 = sha384(fill(48, 0), digest).toString('hex');
				const zeros = '0'.repeat(96);
				const quoted = { rtmr_0: zeros, rtmr_1: zeros, rtmr_2, rtmr_3: zeros };
				const told = must(await replay(subtle, quoted, Buffer.concat([head, ...event]), null));
				const expected = Array.from(data.at(-1) === 0 ? data.subarray(0, -1) : data, (byte) =>
					byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?'
				);
				expect(told.events).toEqual([['rtmr_2', 'IPL', '', expected.join('')]]);
			})
		);
	});

	it('show no more than a bounded number of rows and characters', async () => {
		const lines = [must(aael.split('\n')[0])];
		for (let n = 0; n < 1000; n += 1) lines.push(`a b ${n} ${'x'.repeat(5000)}`);
		const rtmr_3 = lines
			.reduce((value, line) => sha384(value, sha384(Buffer.from(line))), fill(48, 0))
			.toString('hex');
		const text = lines.join('\n');
		const told = await replay(subtle, { ...good.registers, rtmr_3 }, null, text);
		const rows: LogRow[] = must(told).events;
		expect(rows).toHaveLength(201);
		expect(rows[100]).toEqual(['…', '', '801', '']);
		expect(Math.max(...rows.map(([, , , fact]) => fact.length))).toBe(160);
	});
});

// The samples lie beside the project, or these tests are skipped.
describe('a log of a real machine', () => {
	const ccel = readSample('trustee_ccel.bin.gz');
	const combined = readSample('found/aael-only-combined.bin');
	const text = readSample('trustee_aael.txt');
	const sample = readSample('trustee_aael_quote.bin');

	it.skipIf(!combined)('of the agent’s newer form has readable events', async () => {
		const events = parseLog(must(combined)).events;
		const rtmr_3 = events.reduce((value, { digest }) => sha384(value, digest), fill(48, 0));
		const quoted = recordOf(REGISTERS, () => rtmr_3.toString('hex'));
		const told = must(await replay(subtle, quoted, must(combined), null));
		expect(told.explained).toEqual(['rtmr_3']);
		expect(told.events.at(-1)).toEqual([
			'rtmr_3',
			'EVENT_TAG',
			'',
			'coco.example start container-1'
		]);
	});

	it.skipIf(!ccel)('has readable events', () => {
		const events = parseLog(Buffer.from(gunzipSync(must(ccel)))).events;
		expect(events.map(({ type }) => type)).toEqual([0xa, 4, 4, 0x8000000a, 0xa]);
	});

	it.skipIf(!ccel)('does not prove a command line that its digest does not cover', async () => {
		const log = Buffer.from(gunzipSync(must(ccel)));
		log.write('root=/dev/vdb2', log.indexOf('root=/dev/vda1'));
		const registers = recordOf(REGISTERS, (name) =>
			parseLog(log)
				.events.filter(({ register }) => REGISTERS[register - 1] === name)
				.reduce((value, { digest }) => sha384(value, digest), fill(48, 0))
				.toString('hex')
		);
		const told = must(await replay(subtle, registers, log, null));
		expect(told.explained).toEqual([...REGISTERS]);
		expect(told.events.at(-1)).toEqual([
			'rtmr_1',
			'PLATFORM_CONFIG_FLAGS',
			'…root=/dev/vdb2 console=hvc0 rw…',
			''
		]);
	});

	it.skipIf(!text || !sample)('and its quote agree', async () => {
		const quote = must(sample);
		// Quote v4: RTMR0 at 376, 48 bytes each.
		const registers = recordOf(REGISTERS, (name) => {
			const at = 376 + 48 * REGISTERS.indexOf(name);
			return quote.subarray(at, at + 48).toString('hex');
		});
		const told = must(await replay(subtle, registers, null, must(text).toString('utf8')));
		expect(told.explained).toEqual(['rtmr_3']);
		expect(told.events.at(-1)?.[3]).toContain('CreateContainer');
	});
});
