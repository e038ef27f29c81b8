import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAael, parseCcel, REGISTERS, replay, type LogRow } from '$lib/tee/eventlog';
import { Problem } from '$lib/tee/problem';

const file = (path: string) => new URL(path, import.meta.url);
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
const { cases } = JSON.parse(readFileSync(file('../vectors/eventlogs.json'), 'utf8')) as { cases: Case[] };
const bytes = (text: string | null) => (text === null ? null : Buffer.from(text, 'base64'));
const run = (c: Case) => replay(subtle, c.registers, bytes(c.cc_eventlog), c.aa_eventlog);

describe('event logs of the vectors', () => {
	it('are of every outcome', () => {
		expect(new Set(cases.map(({ outcome }) => outcome)).size).toBe(4);
	});

	it.each(cases)('$name: $outcome', async (c) => {
		if (c.outcome === 'skipped') return expect(await run(c)).toBeNull();
		if (c.outcome === 'pass') {
			return expect(await run(c)).toEqual({ explained: c.names, events: c.events });
		}
		const problem = await run(c).then(
			() => 'accepted',
			(error) => error
		);
		expect(problem).toBeInstanceOf(Problem);
		expect(problem.code).toBe(c.outcome);
		if (c.names) expect(problem.detail).toBe(c.names);
	});
});

describe('bytes from outside', () => {
	const good = cases.find(({ name }) => name === 'both') as Case;
	const log = bytes(good.cc_eventlog) as Buffer;

	it('never crash the readers', () => {
		const harmless = (read: () => unknown) => {
			try {
				read();
			} catch (error) {
				expect(error).toBeInstanceOf(Problem);
			}
		};
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(log.length), (noise, at) => {
				harmless(() => parseCcel(noise));
				harmless(() => parseCcel(Buffer.concat([log.subarray(0, at), noise])));
			})
		);
		fc.assert(fc.property(fc.fullUnicodeString(), (text) => harmless(() => parseAael(text))));
	});

	it('do not lead to the registers with any measured byte changed', async () => {
		// The head of the first event (register, type, digest) is measured by nobody, and so are its data.
		const [first] = parseCcel(log);
		const start = first.data.byteOffset + first.data.length - log.byteOffset;
		const digests = parseCcel(log)
			.slice(1, -1)
			.map(({ digest }) => digest.byteOffset - log.byteOffset);
		expect(digests[0]).toBeGreaterThan(start);
		for (const at of digests) {
			const changed = Buffer.from(log);
			changed[at + 7] ^= 1;
			await expect(replay(subtle, good.registers, changed, good.aa_eventlog)).rejects.toThrow('log-differs');
		}
	});

	it('show no more than a bounded number of rows and characters', async () => {
		const lines = [good.aa_eventlog?.split('\n')[0] as string];
		for (let n = 0; n < 1000; n++) lines.push(`a b ${n} ${'x'.repeat(5000)}`);
		let rows: readonly LogRow[] = [];
		// The registers are found by asking: whatever it leads to is said to be quoted.
		const spy = { digest: subtle.digest.bind(subtle) } as SubtleCrypto;
		let last = '';
		spy.digest = async (name, data) => {
			const value = await subtle.digest(name, data);
			last = Buffer.from(value).toString('hex');
			return value;
		};
		const text = lines.join('\n');
		await replay(spy, good.registers, null, text).catch(() => {});
		rows = (await replay(subtle, { ...good.registers, rtmr_3: last }, null, text))?.events ?? [];
		expect(rows).toHaveLength(201);
		expect(rows[100]).toEqual(['…', '', '801']);
		expect(Math.max(...rows.map(([, , shown]) => shown.length))).toBeLessThanOrEqual(160);
	});
});

describe('a log of a real machine', () => {
	it('has readable events', () => {
		const sample = file('../../../shared/data/trustee_ccel.bin.gz');
		if (!existsSync(sample)) {
			console.warn('skipped: ../shared/data is not beside the project');
			return;
		}
		const events = parseCcel(gunzipSync(readFileSync(sample)));
		expect(events.map(({ type }) => type)).toEqual([0xa, 4, 4, 0x8000000a, 0xa]);
	});

	it('and its quote agree', async () => {
		const sample = file('../../../shared/data/trustee_aael.txt');
		if (!existsSync(sample)) {
			console.warn('skipped: ../shared/data is not beside the project');
			return;
		}
		const quote = readFileSync(file('../../../shared/data/trustee_aael_quote.bin'));
		// Quote v4: RTMR0 at 376, 48 bytes each.
		const registers = Object.fromEntries(
			REGISTERS.map((name, at) => [name, quote.subarray(376 + 48 * at, 424 + 48 * at).toString('hex')])
		) as Case['registers'];
		const told = await replay(subtle, registers, null, readFileSync(sample, 'utf8'));
		expect(told?.explained).toBe('rtmr_3');
		expect(told?.events.at(-1)?.[2]).toContain('CreateContainer');
	});
});
