import { beforeEach, describe, expect, it, vi } from 'vitest';
import type * as Module from '../../src/base/sha384';
import { parseAael, parseLog } from '../../src/evidence/eventlog';
import { parseEvidence } from '../../src/evidence/evidence';
import { attest } from '../../src/session/attest';
import { defaults } from '../../src/session/settings';
import { fill, u16, u32 } from '../support/bytes';
import { answer, fakeFetch, makeEnvironment, nonceOf } from '../support/environment';
import { makeSigner } from '../support/pretended-service';
import { makeEvidence, type TdOptions } from '../support/pretended-td';
import { problemOf } from '../support/problems';
import { readVectors } from '../support/vectors';

/** Bytes that were hashed, by whichever way. */
let hashed = 0;

vi.mock('../../src/base/sha384', async (original) => {
	const { sha384 } = await original<typeof Module>();
	return {
		sha384: (bytes: Uint8Array) => {
			hashed += bytes.length;
			return sha384(bytes);
		}
	};
});

const subtle = new Proxy(crypto.subtle, {
	get: (real, name) => {
		if (name !== 'digest') return Reflect.get(real, name, real) as unknown;
		return (algorithm: string, data: Uint8Array<ArrayBuffer>) => {
			hashed += data.length;
			return real.digest(algorithm, data);
		};
	}
});

const limits = readVectors('limits') as {
	events: number;
	quote_bytes: number;
	runtime_data_characters: number;
};

const INIT = `INIT sha384/${'00'.repeat(48)}\n`;
const EVENT = Buffer.concat([u32(1), u32(6), u32(1), u16(12), fill(48, 7), u32(0)]);
const HEADER = Buffer.concat([
	u32(0),
	u32(3),
	fill(20, 0),
	u32(33),
	Buffer.from('Spec ID Event03\0'),
	fill(8, 0),
	u32(1),
	u16(12),
	u16(48),
	fill(1, 0)
]);
const firmwareLog = (events: number) =>
	Buffer.concat([HEADER, ...Array.from({ length: events }, () => EVENT)]);
const applicationLog = (lines: number) => INIT + 'a b c\n'.repeat(lines - 1);

/** A run on large logs, with evidence over the nonce that was drawn, or over another one. */
const run = async (provider: 'dcap' | 'trustee', own: boolean, more: TdOptions = {}) => {
	const td = { ccel: firmwareLog(2000), aael: applicationLog(2000), ...more };
	const { fetch, calls, sealed } = fakeFetch({
		'/tee/config': () => answer({}),
		'/tee/quote': (call) => answer(makeEvidence(own ? nonceOf(call) : fill(32, 1), td).document)
	});
	const settings = { ...defaults(), provider };
	settings.addresses.trustee = 'https://trustee.example';
	settings.keys.trustee = JSON.stringify(makeSigner('ES256').jwk);
	const env = makeEnvironment(fetch, { subtle });
	const { checks } = await attest(env, settings, new AbortController().signal);
	const log = checks.find(({ id }) => id === 'event-log');
	const all = [...calls, ...sealed];
	return { asked: all.map(({ url }) => url.replace(/\?.*/, '')), log };
};

describe('evidence that answers another nonce', () => {
	beforeEach(() => {
		hashed = 0;
	});

	it.each(['dcap', 'trustee'] as const)('costs nothing more (%s)', async (provider) => {
		const { asked, log } = await run(provider, false);
		expect(log).toMatchObject({ outcome: 'skipped', code: 'not-run' });
		expect(hashed).toBeLessThan(1000);
		expect(asked.sort()).toEqual(['/api/v1/tee/config', '/api/v1/tee/quote']);
	});

	it.each(['dcap', 'trustee'] as const)(
		'costs a hash more where it is not over the keys that it shows (%s)',
		async (provider) => {
			const { asked, log } = await run(provider, true, { shown: { keyset: { v: 1 } } });
			expect(log).toMatchObject({ outcome: 'skipped', code: 'not-run' });
			expect(hashed).toBeLessThan(1500);
			expect(asked.sort()).toEqual(['/api/v1/tee/config', '/api/v1/tee/quote']);
		}
	);

	it('is looked into otherwise', async () => {
		const { asked, log } = await run('trustee', true);
		expect(log).toMatchObject({ outcome: 'fail', code: 'log-differs' });
		expect(hashed).toBeGreaterThan(100_000);
		expect(asked).toContain('https://trustee.example/attestation');
	});
});

describe('bounds', () => {
	it('of a firmware’s log are in events', () => {
		expect(parseLog(firmwareLog(limits.events)).events).toHaveLength(limits.events);
		expect(problemOf(() => parseLog(firmwareLog(limits.events + 1)))).toMatchObject({
			code: 'log-malformed',
			detail: 'too many events'
		});
	});

	it('of an application’s log are in lines', () => {
		expect(parseAael(applicationLog(limits.events)).lines).toHaveLength(limits.events);
		for (const more of [1, 2, 1000]) {
			expect(problemOf(() => parseAael(applicationLog(limits.events + more)))).toMatchObject({
				code: 'log-malformed',
				detail: 'too many events'
			});
		}
	});

	it('of runtime data and quote are in bytes, and hold before anything is made of them', () => {
		const { document } = makeEvidence(fill(32, 1));
		const refused = (change: object) =>
			problemOf(() => parseEvidence(JSON.stringify({ ...document, ...change })));
		expect(refused({})).toBeUndefined();
		expect(refused({ runtime_data: 'A'.repeat(limits.runtime_data_characters) })).toBeUndefined();
		expect(refused({ runtime_data: 'A'.repeat(limits.runtime_data_characters + 4) })).toMatchObject(
			{
				code: 'evidence-malformed',
				detail: 'runtime_data'
			}
		);
		const long = makeEvidence(fill(32, 1), { chain: 'A'.repeat(limits.quote_bytes) });
		expect(refused({ quote: long.document.quote })).toMatchObject({ detail: 'size' });
	});
});
