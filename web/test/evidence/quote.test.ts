import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/base/problem';
import { parseEvidence, verifyBinding } from '../../src/evidence/evidence';
import { boundKeyset } from '../../src/evidence/keys';
import { namesSimulator, parseQuote } from '../../src/evidence/quote';
import { hex, u32 } from '../support/bytes';
import { must } from '../support/must';
import {
	hexFields,
	makeEvidence,
	makeQuote,
	simulatorChain,
	someFields,
	type QuoteOptions
} from '../support/pretended-td';
import { problemOf } from '../support/problems';
import { readSample, readVectors } from '../support/vectors';

const { subtle } = crypto;

const refused = (bytes: Uint8Array<ArrayBuffer>): string =>
	problemOf(() => parseQuote(bytes))?.code ?? 'accepted';

describe('quotes', () => {
	const { valid, invalid } = readVectors('quotes') as {
		valid: {
			name: string;
			quote: string;
			parsed: { body: Record<string, string | null> };
		}[];
		invalid: { fault: string; quote: string }[];
	};

	it.each(valid)('$name of the vectors parses to the same fields', ({ quote, parsed }) => {
		const { body, chain } = parseQuote(hex(quote));
		const { tee_tcb_svn, ...rest } = parsed.body;
		const expected = Object.fromEntries(
			Object.entries({ tcb_svn: tee_tcb_svn, ...rest }).filter(([, value]) => value !== null)
		);
		expect(body).toEqual(expected);
		expect(namesSimulator(chain)).toBe(true);
	});

	it.each(invalid)('with the fault "$fault" is refused', ({ quote }) => {
		expect(refused(hex(quote))).toBe('evidence-malformed');
	});

	it.each<[string, QuoteOptions]>([
		['v4', {}],
		['v5', { version: 5 }],
		['v5 of TDX 1.5', { version: 5, later: true }],
		['v5 of the extended TDX 1.5', { version: 5, later: 'extended' }]
	])('%s cut off or continued anywhere is refused', (_name, options) => {
		const quote = makeQuote(someFields(), options);
		expect(parseQuote(quote).body).toEqual(hexFields(someFields(), options.later));
		for (let length = 0; length < quote.length; length++) {
			expect(refused(quote.subarray(0, length))).toBe('evidence-malformed');
		}
		expect(refused(Buffer.concat([quote, Buffer.of(0)]))).toBe('evidence-malformed');
	});

	it('of random bytes are refused, behind a good header too', () => {
		const header = makeQuote(someFields()).subarray(0, 48);
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 1500 }), fc.boolean(), (bytes, behind) => {
				const quote = behind ? Buffer.concat([header, bytes]) : bytes;
				expect(refused(quote)).toBe('evidence-malformed');
			})
		);
	});

	it.each([
		[2, false, 583],
		[2, false, 585],
		[2, false, 648],
		[3, true, 584],
		[3, true, 649],
		[3, true, 885],
		[4, 'extended', 648],
		[4, 'extended', 884],
		[4, 'extended', 886]
	] as const)('of v5 and type %i with a body of %i bytes are refused', (type, later, length) => {
		const quote = makeQuote(someFields(), { version: 5, later });
		expect(quote.readUInt16LE(48)).toBe(type);
		const end = 54 + quote.readUInt32LE(50);
		const body = Buffer.concat([quote.subarray(54, end), Buffer.alloc(301)]).subarray(0, length);
		const changed = [quote.subarray(0, 50), u32(length), body, quote.subarray(end)];
		expect(refused(Buffer.concat(changed))).toBe('evidence-malformed');
	});

	it('of v5 with a body of another type are refused', () => {
		const quote = makeQuote(someFields(), { version: 5, later: 'extended' });
		for (const type of [0, 1, 2, 3, 5, 0x104]) {
			quote.writeUInt16LE(type, 48);
			expect(refused(quote)).toBe('evidence-malformed');
		}
		quote.writeUInt16LE(4, 48);
		expect(refused(quote)).toBe('accepted');
		quote.writeUInt16LE(4, 0); // a quote of v4 has no body of this type
		expect(refused(quote)).toBe('evidence-malformed');
	});

	it('with any length field changed are refused', () => {
		const quote = makeQuote(someFields(), { chain: simulatorChain() });
		for (const at of [632, 764, 766, 1218, 1252, 1254]) {
			for (const add of [1, 0xff]) {
				const bytes = Buffer.from(quote);
				bytes.writeUInt8((bytes.readUInt8(at) + add) & 0xff, at);
				expect([at, refused(bytes)]).toEqual([at, 'evidence-malformed']);
			}
		}
	});

	// The samples lie beside the project, or the test is skipped.
	const sample = readSample('trustee_tdx_quote_v4.bin');
	it.skipIf(!sample)('of real hardware do not name the simulator', () => {
		const { body, chain } = parseQuote(must(sample));
		expect(body.mr_td).toMatch(/^[0-9a-f]{96}$/);
		expect(chain).toContain('-----BEGIN CERTIFICATE-----');
		expect(namesSimulator(chain)).toBe(false);
	});
});

describe('evidence', () => {
	const { cases, now } = readVectors('evidence') as {
		/** Seconds since 1970. */
		now: number;
		cases: { nonce_base64url: string; evidence: Record<string, unknown> }[];
	};

	it('of the vectors answers its nonce, and no other one', async () => {
		for (const { nonce_base64url, evidence } of cases) {
			const parsed = parseEvidence(JSON.stringify(evidence));
			const asked = Buffer.from(nonce_base64url, 'base64url');
			const runtime = await verifyBinding(subtle, asked, parsed);
			const keyset = await boundKeyset(subtle, parsed, runtime, now * 1000);
			expect([keyset?.notAfter, keyset?.keys.length]).toEqual([(now + 3600) * 1000, 2]);
			for (const other of cases) {
				if (other.nonce_base64url === nonce_base64url) continue;
				const nonce = Buffer.from(other.nonce_base64url, 'base64url');
				await expect(verifyBinding(subtle, nonce, parsed)).rejects.toThrow(Problem);
			}
		}
	});

	it('with one byte of runtime data or report data changed answers nobody', async () => {
		const nonce = Buffer.alloc(32, 3);
		const { document } = makeEvidence(nonce);
		const at = (48 + 520) * 2; // report data in hex
		for (const place of [0, 50, 95, 96, 127]) {
			const digit = document.quote[at + place] === '0' ? '1' : '0';
			const quote =
				document.quote.slice(0, at + place) + digit + document.quote.slice(at + place + 1);
			const parsed = parseEvidence(JSON.stringify({ ...document, quote }));
			await expect(verifyBinding(subtle, nonce, parsed)).rejects.toMatchObject({
				detail: 'report_data'
			});
		}
	});

	it('with numbers in its proof that are not written as whole ones is refused', () => {
		const text = JSON.stringify(makeEvidence(Buffer.alloc(32, 3)).document);
		expect(parseEvidence(text).proof).toMatchObject({ index: 0, size: 1 });
		for (const [name, number] of [
			['leaf_index', '0'],
			['tree_size', '1']
		] as const) {
			for (const tail of ['.0', 'e0', 'E0', '.0e0']) {
				const odd = text.replace(`"${name}":${number}`, `"${name}" :\n ${number}${tail}`);
				expect(odd).not.toBe(text);
				expect(() => parseEvidence(odd)).toThrow('evidence-malformed');
			}
		}
		// Nobody reads the others, nor what is text.
		const more = { timestamp: '"tree_size":1.0', version: 1.5, quote_parse: { tree: 0.5 } };
		const harmless = JSON.stringify({ ...(JSON.parse(text) as object), ...more });
		expect(parseEvidence(harmless).proof.size).toBe(1);
	});

	it('of random JSON never crashes', () => {
		fc.assert(
			fc.property(
				fc.jsonValue(),
				fc.constantFrom(...Object.keys(makeEvidence(Buffer.alloc(32)).document)),
				(value, name) => {
					const { document } = makeEvidence(Buffer.alloc(32));
					for (const text of [
						JSON.stringify(value),
						JSON.stringify({ ...document, [name]: value })
					]) {
						try {
							parseEvidence(text);
						} catch (error) {
							expect(error).toMatchObject({ code: 'evidence-malformed' });
						}
					}
				}
			),
			{ numRuns: 300 }
		);
		expect(() => parseEvidence('null')).toThrow(Problem);
	});
});
