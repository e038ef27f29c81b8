import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAael, parseCcel, REGISTERS, replay, type LogRow } from '../../src/evidence/eventlog';
import { recordOf } from '../../src/base/record';
import { flipped, type Bytes } from '../support/bytes';
import { must } from '../support/must';
import { problemIn, problemOf } from '../support/problems';
import { readSample, readVectors } from '../support/vectors';

const { subtle } = crypto;

interface Case {
	name: string;
	registers: Record<(typeof REGISTERS)[number], string>;
	cc_eventlog: string | null;
	aa_eventlog: string | null;
	outcome: 'pass' | 'skipped' | 'log-malformed' | 'log-differs';
	names: string;
	events: string[][] | null;
}
const { cases } = readVectors('eventlogs') as { cases: Case[] };
const bytes = (text: string | null) => (text === null ? null : Buffer.from(text, 'base64'));
const run = (c: Case) => replay(subtle, c.registers, bytes(c.cc_eventlog), c.aa_eventlog);

describe('event logs of the vectors', () => {
	it('are of every outcome', () => {
		expect(new Set(cases.map(({ outcome }) => outcome)).size).toBe(4);
	});

	it.each(cases)('$name: $outcome', async (c) => {
		if (c.outcome === 'skipped') {
			expect(await run(c)).toBeNull();
			return;
		}
		if (c.outcome === 'pass') {
			expect(await run(c)).toEqual({ explained: c.names, events: c.events });
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
				problemOf(() => parseCcel(noise));
				problemOf(() => parseCcel(Buffer.concat([log.subarray(0, at), noise])));
			})
		);
		fc.assert(
			fc.property(fc.string({ unit: 'binary' }), (text) => {
				problemOf(() => parseAael(text));
			})
		);
	});

	it('do not lead to the registers with any measured byte changed', async () => {
		// The head of the first event (register, type, digest) is measured by nobody, and so are its data.
		const first = must(parseCcel(log)[0]);
		const start = first.data.byteOffset + first.data.length - log.byteOffset;
		const digests = parseCcel(log)
			.slice(1, -1)
			.map(({ digest }) => digest.byteOffset - log.byteOffset);
		expect(digests[0]).toBeGreaterThan(start);
		for (const at of digests) {
			const changed = flipped(log, at + 7);
			await expect(replay(subtle, good.registers, changed, aael)).rejects.toThrow('log-differs');
		}
	});

	it('show no more than a bounded number of rows and characters', async () => {
		const lines = [must(aael.split('\n')[0])];
		for (let n = 0; n < 1000; n += 1) lines.push(`a b ${n} ${'x'.repeat(5000)}`);
		// The registers are found by asking: whatever it leads to is said to be quoted.
		let last = '';
		const spy = new Proxy(subtle, {
			get: () => async (name: string, data: Bytes) => {
				const value = await subtle.digest(name, data);
				last = Buffer.from(value).toString('hex');
				return value;
			}
		});
		const text = lines.join('\n');
		await problemIn(() => replay(spy, good.registers, null, text));
		const told = await replay(subtle, { ...good.registers, rtmr_3: last }, null, text);
		const rows: LogRow[] = must(told).events;
		expect(rows).toHaveLength(201);
		expect(rows[100]).toEqual(['…', '', '801']);
		expect(Math.max(...rows.map(([, , shown]) => shown.length))).toBeLessThanOrEqual(160);
	});
});

// The samples lie beside the project, or these tests are skipped.
describe('a log of a real machine', () => {
	const ccel = readSample('trustee_ccel.bin.gz');
	const text = readSample('trustee_aael.txt');
	const sample = readSample('trustee_aael_quote.bin');

	it.skipIf(!ccel)('has readable events', () => {
		const events = parseCcel(Buffer.from(gunzipSync(must(ccel))));
		expect(events.map(({ type }) => type)).toEqual([0xa, 4, 4, 0x8000000a, 0xa]);
	});

	it.skipIf(!text || !sample)('and its quote agree', async () => {
		const quote = must(sample);
		// Quote v4: RTMR0 at 376, 48 bytes each.
		const registers = recordOf(REGISTERS, (name) => {
			const at = 376 + 48 * REGISTERS.indexOf(name);
			return quote.subarray(at, at + 48).toString('hex');
		});
		const told = must(await replay(subtle, registers, null, must(text).toString('utf8')));
		expect(told.explained).toBe('rtmr_3');
		expect(told.events.at(-1)?.[2]).toContain('CreateContainer');
	});
});
