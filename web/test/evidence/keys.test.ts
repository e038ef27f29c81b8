/** The cheap half of the check `key-binding`: keyset and statement are those that the quote is over. */
import { describe, expect, it } from 'vitest';
import { parseEvidence, verifyBinding } from '../../src/evidence/evidence';
import { boundKeyset } from '../../src/evidence/keys';
import { fill } from '../support/bytes';
import { NOW } from '../support/environment';
import { change, drop, put } from '../support/json';
import { HOLDER } from '../support/holder';
import { makeEvidence, type TdOptions } from '../support/pretended-td';
import { problemIn } from '../support/problems';
import { makeSealedServer } from '../support/sealed-server';

const { subtle } = crypto;
const NONCE = fill(32, 3);
const freshKeyset = () => structuredClone(HOLDER.keyset);
const other = await makeSealedServer((NOW + 3600) * 1000);

/** What the quote of this TD binds, to a page whose clock says `now` (seconds since 1970). */
const bound = async (td: TdOptions, now = NOW) => {
	const evidence = parseEvidence(JSON.stringify(makeEvidence(NONCE, td).document));
	const runtime = await verifyBinding(subtle, NONCE, evidence);
	return boundKeyset(subtle, evidence, runtime, now * 1000);
};
const refused = async (td: TdOptions, now = NOW) => {
	const problem = await problemIn(() => bound(td, now));
	return problem && [problem.code, problem.detail];
};
const edited = (edit: (keyset: object) => void): object => {
	const keyset = freshKeyset();
	edit(keyset);
	return keyset;
};

describe('the keyset that a quote binds', () => {
	it('is the one that the evidence shows', async () => {
		const keyset = await bound({});
		expect(keyset?.notAfter).toBe((NOW + 3600) * 1000);
		expect(keyset?.keys.map(({ id }) => id)).toEqual(freshKeyset().seal.map(({ id }) => id));
	});

	it('is none in runtime data of version 1, whatever is shown', async () => {
		expect(await bound({ keyset: null })).toBeUndefined();
		expect(await bound({ keyset: null, shown: { keyset: freshKeyset() } })).toBeUndefined();
	});

	it('is the same in any order of its members, and with members that nobody knows', async () => {
		const { v, ...others } = freshKeyset();
		expect(await bound({ shown: { keyset: { ...others, v } } })).toBeDefined();
		expect(await bound({ keyset: { ...freshKeyset(), more: [1, 'é'] } })).toBeDefined();
	});

	it.each<[string, TdOptions, string]>([
		['other keys', { shown: { keyset: other.keyset } }, 'keyset'],
		[
			'another end',
			{ shown: { keyset: edited(put('/not_after', '2026-11-18T08:06:39Z')) } },
			'keyset'
		],
		[
			'one key less',
			{ shown: { keyset: edited(change('/seal', (all) => (all as []).slice(1))) } },
			'keyset'
		],
		['one member more', { shown: { keyset: { ...freshKeyset(), more: 1 } } }, 'keyset'],
		['no keyset', { shown: { keyset: undefined } }, 'keyset'],
		['null as the keyset', { shown: { keyset: null } }, 'keyset'],
		['a list as the keyset', { shown: { keyset: [] } }, 'keyset'],
		['a keyset that has no canonical JSON', { shown: { keyset: { v: '\ud800' } } }, 'keyset'],
		['another statement', { shown: { statement: { v: 2 } } }, 'statement'],
		['no statement', { shown: { statement: undefined } }, 'statement'],
		['a text as the statement', { shown: { statement: 'v' } }, 'statement']
	])('is refused with %s', async (_name, td, detail) => {
		expect(await refused(td)).toEqual(['key-mismatch', detail]);
	});

	it('is refused where the runtime data has no hash of it, or of the statement', async () => {
		const text = JSON.stringify({ ...makeEvidence(NONCE).document, statement: null });
		const evidence = parseEvidence(text);
		const good = await verifyBinding(subtle, NONCE, evidence);
		for (const hash of [undefined, null, 1, '']) {
			for (const runtime of [
				{ ...good, keys: hash },
				{ ...good, statement: hash }
			]) {
				const problem = await problemIn(() => boundKeyset(subtle, evidence, runtime, NOW * 1000));
				expect(problem).toMatchObject({ code: 'key-mismatch' });
			}
		}
	});

	it.each<[string, (keyset: object) => void]>([
		['of another version', put('/v', 2)],
		['without keys', put('/seal', [])],
		['without a list of keys', drop('/seal')],
		[
			'whose keys nobody knows',
			(keyset) => {
				put('/seal/0/key_config', 'AQAwAA')(keyset);
				put('/seal/1/key_config', 'AQAwAA')(keyset);
			}
		],
		['with a key cut off', change('/seal/0/key_config', (text) => (text as string).slice(0, -4))],
		['with a key under another’s name', put('/seal/0/id', 'AAAAAAAAAAA')],
		['without a time', drop('/not_after')],
		['with a time that is none', put('/not_after', '2026-02-30T00:00:00Z')],
		['with a time in parts of a second', put('/not_after', '2026-11-19T03:06:40.500Z')],
		[
			'with a hundred keys',
			(keyset) => {
				const [one] = freshKeyset().seal;
				put(
					'/seal',
					Array.from({ length: 100 }, () => one)
				)(keyset);
			}
		],
		['that is huge', put('/more', 'x'.repeat(10_000))]
	])('is refused %s, though the quote is over it', async (_name, edit) => {
		expect((await refused({ keyset: edited(edit) }))?.[0]).toBe('key-mismatch');
	});

	it('holds from an hour before its end until then, give or take what clocks may differ', async () => {
		const end = NOW + 3600;
		expect(await refused({}, end + 120)).toBeUndefined();
		expect((await refused({}, end + 121))?.[0]).toBe('keyset-expired');
		expect(await refused({}, end - 3720)).toBeUndefined();
		expect((await refused({}, end - 3721))?.[0]).toBe('keyset-life');
	});
});
