import { beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/base/canonical';
import type { Environment } from '../../src/base/environment';
import type { JsonObject } from '../../src/base/json';
import { attest, type Verdict } from '../../src/session/attest';
import { markedStorage } from '../../src/session/marks';
import { defaults, MEMORY_KEY, WORKLOAD_KEY, type Settings } from '../../src/session/settings';
import { base64url, fill, sha256, sha384 } from '../support/bytes';
import {
	answer,
	fakeFetch,
	fakeStorage,
	makeEnvironment,
	nonceOf,
	NOW
} from '../support/environment';
import { fakeMarks } from '../support/kept';
import { must } from '../support/must';
import { earClaims, makeSigner, makeToken, type Claims } from '../support/pretended-service';
import { makeEvidence, someFields } from '../support/pretended-td';
import { makeSealedServer, type InnerAnswer, type InnerRequest } from '../support/sealed-server';
import { edited, WORKLOAD, type Edit } from '../support/workload';

const TRUSTEE = 'https://trustee.example';
const signer = makeSigner('ES256');
const TOKEN = 'secret-token';
/** The lines of the vectors' log, but for how it begins. */
const LOG = must(WORKLOAD.defaults.log).slice(1);

const statementOf = (sections: JsonObject) => ({
	v: 1,
	sections: Object.fromEntries(
		Object.entries(sections).map(([name, section]) => [
			name,
			base64url(sha256(Buffer.from(canonicalJson(section))))
		])
	)
});

/** An application's log with these lines, and the register's value after it. */
const logOf = (lines: readonly string[]) => {
	const all = [`INIT sha384/${'0'.repeat(96)}`, ...lines];
	const rtmr_3 = all.reduce((value, line) => sha384(value, sha384(Buffer.from(line))), fill(48, 0));
	return { aael: `${all.join('\n')}\n`, rtmr_3 };
};

interface Scene {
	edits?: Edit[];
	/** What `GET tee/statement` answers. */
	statement?: InnerAnswer;
	/** What the evidence shows as sections. */
	shown?: unknown;
	lines?: readonly string[] | null;
	policy?: object;
	token?: string;
	simulated?: boolean;
	confirmed?: Environment['confirmed'];
}

let told: InnerAnswer;
const asked: InnerRequest[] = [];
const server = await makeSealedServer((NOW + 3600) * 1000, (request) => {
	if (request.path !== '/api/v1/tee/statement') return { body: ['{}'] };
	asked.push(request);
	return told;
});

const makeBrowser = () => {
	const { items, ...storage } = fakeStorage();
	const marks = fakeMarks();
	const memory = markedStorage(storage, marks);
	const run = async (scene: Scene = {}): Promise<Verdict> => {
		const sections = edited(scene.edits ?? []);
		const statement = statementOf(sections);
		told = scene.statement ?? { body: [JSON.stringify({ statement, sections })] };
		let claims: Claims = {};
		const lines = scene.lines === undefined ? LOG : scene.lines;
		const log = lines && logOf(lines);
		const { fetch, calls } = fakeFetch({
			'/tee/ohttp': server.answer,
			'/tee/config': () => answer({}),
			'/tee/quote': (call) => {
				const { document, fields } = makeEvidence(nonceOf(call), {
					keyset: server.keyset,
					statement,
					simulated: scene.simulated,
					...(log && { aael: log.aael, fields: someFields({ rtmr_3: log.rtmr_3 }) })
				});
				claims = earClaims(fields);
				return answer({
					...document,
					...('shown' in scene && { statement_sections: scene.shown })
				});
			},
			'/jwks.json': () => answer({ keys: [signer.jwk] }),
			'/attestation': () => ({ text: makeToken(signer, claims) })
		});
		const settings: Settings = { ...defaults(), provider: 'trustee' };
		settings.addresses.trustee = TRUSTEE;
		if (scene.policy) settings.policy = JSON.stringify({ v: 1, ...scene.policy });
		memory.setItem('tee.settings', JSON.stringify(settings));
		const env = makeEnvironment(fetch, {
			memory,
			marks,
			token: () => scene.token ?? TOKEN,
			confirmed: scene.confirmed ?? (() => false)
		});
		const verdict = await attest(env, settings, new AbortController().signal);
		expect(JSON.stringify(calls)).not.toContain(TOKEN);
		return verdict;
	};
	return { run, items, marks };
};

const check = ({ checks }: Verdict, id = 'workload') => {
	const { outcome, code } = must(checks.find((one) => one.id === id));
	return [outcome, code];
};
const status = (verdict: Verdict) => [verdict.status, ...check(verdict)];

let browser: ReturnType<typeof makeBrowser>;
beforeEach(() => {
	browser = makeBrowser();
	asked.length = 0;
});
const run = (scene?: Scene) => browser.run(scene);

describe('the sections of a statement', () => {
	it('are told sealed to somebody with an account, and are the machine’s own word', async () => {
		const verdict = await run();
		expect(status(verdict)).toEqual(['green', 'skipped', 'own-word']);
		expect(must(verdict.workload).proven).toBe(true);
		expect(must(verdict.workload).facts.map(({ kind }) => kind)).toContain('environment');
		expect(must(verdict.workload).notes.length).toBeGreaterThan(5);
		expect(verdict.statement).toMatch(/^[\w-]{43}$/);
		expect(asked).toHaveLength(1);
		expect(must(asked[0]).fields).toContainEqual(['authorization', `Bearer ${TOKEN}`]);
	});

	it('are not asked for where nobody is signed in', async () => {
		const verdict = await run({ token: '' });
		expect(status(verdict)).toEqual(['green', 'skipped', 'statement-withheld']);
		expect(asked).toEqual([]);
		const strict = await run({
			token: '',
			policy: { workload: { kit: [`sha256:${'0'.repeat(64)}`] } }
		});
		expect(status(strict)).toEqual(['red', 'fail', 'statement-withheld']);
	});

	it('are asked for under warnings only where the person has confirmed these', async () => {
		const found: (readonly string[])[] = [];
		const simulated = await run({
			simulated: true,
			confirmed: (causes) => {
				found.push(causes);
				return false;
			}
		});
		expect(status(simulated)).toEqual(['amber', 'skipped', 'statement-withheld']);
		expect([found, asked]).toEqual([[['not-simulated:simulated']], []]);
		const confirmed = await run({ simulated: true, confirmed: () => true });
		expect(status(confirmed)).toEqual(['amber', 'skipped', 'own-word']);
	});

	it('are not asked for on measurements that have changed unconfirmed', async () => {
		await run();
		asked.length = 0;
		const memory = JSON.parse(must(browser.items.get(MEMORY_KEY))) as {
			values: Record<string, string>;
		};
		memory.values.mr_td = 'ff';
		const text = JSON.stringify(memory);
		browser.items.set(MEMORY_KEY, text);
		browser.marks.items.set(MEMORY_KEY, text);
		const verdict = await run();
		expect(status(verdict)).toEqual(['amber', 'skipped', 'statement-withheld']);
		expect(asked).toEqual([]);
	});

	it.each([401, 403, 404])('are withheld where the holder answers %d', async (code) => {
		const verdict = await run({ statement: { status: code } });
		expect(status(verdict)).toEqual(['green', 'skipped', 'statement-withheld']);
	});

	it.each([429, 500, 503])('may come later where it answers %d', async (code) => {
		const verdict = await run({ statement: { status: code } });
		expect(status(verdict)).toEqual(['red', 'fail', 'quote-unreachable']);
		expect(verdict.wait).toBe(0);
	});

	it('come with another quote where the statement has changed since', async () => {
		const sections = edited([['/people/channels', true]]);
		const body = [JSON.stringify({ statement: statementOf(sections), sections })];
		const verdict = await run({ statement: { body } });
		expect(status(verdict)).toEqual(['red', 'fail', 'statement-changed']);
		expect(verdict.wait).toBe(0);
	});

	it.each([
		['others', edited([['/people/channels', true]])],
		['none', undefined],
		['no object', 1]
	])('fail where %s are shown', async (_what, sections) => {
		const statement = statementOf(edited([]));
		const verdict = await run({ statement: { body: [JSON.stringify({ statement, sections })] } });
		expect(status(verdict)).toEqual(['red', 'fail', 'statement-mismatch']);
		expect(verdict.workload).toBeUndefined();
	});

	it('are not asked for where the evidence has them', async () => {
		const verdict = await run({ shown: edited([]) });
		expect([...status(verdict), asked.length]).toEqual(['green', 'skipped', 'own-word', 0]);
	});
});

describe('the check workload', () => {
	it('fails where the log tells otherwise, and warns where it proves nothing', async () => {
		const other = [...LOG, must(LOG.at(0))];
		expect(status(await run({ lines: other }))).toEqual(['red', 'fail', 'measured-mismatch']);
		expect(status(await run({ lines: null }))).toEqual(['amber', 'warn', 'log-withheld']);
		expect(browser.items.has(WORKLOAD_KEY)).toBe(true);
	});

	it('has key-binding warn of what could read keys, which are proved all the same', async () => {
		const verdict = await run({ edits: [['/functions/present/0/active', true]] });
		expect(status(verdict)).toEqual(['amber', 'warn', 'unlisted-function']);
		expect(check(verdict, 'key-binding')).toEqual(['warn', 'unlisted-function']);
		expect(verdict.keyset).toEqual(server.keyset);
	});

	it('remembers nothing of what fails', async () => {
		const kit = [`sha256:${'0'.repeat(64)}`];
		const verdict = await run({ policy: { workload: { kit } } });
		expect(status(verdict)).toEqual(['red', 'fail', 'workload-policy']);
		expect(verdict.workload).toBeDefined();
		expect(browser.items.has(WORKLOAD_KEY)).toBe(false);
		expect(browser.items.has(MEMORY_KEY)).toBe(false);
	});

	it('tells what has changed until the person accepts it', async () => {
		const edits: Edit[] = [['/models/offered/0/digest', `sha256:${'0'.repeat(64)}`]];
		await run();
		for (let time = 0; time < 2; time += 1) {
			const changed = await run({ edits });
			expect(status(changed)).toEqual(['amber', 'warn', 'workload-changed']);
			expect(must(changed.workload).differences).toEqual([
				{
					code: 'other-weights',
					what: 'model',
					name: 'deepseek-r1:70b',
					since: new Date(NOW * 1000).toISOString().slice(0, 10)
				}
			]);
			if (time === 1) must(changed.accept)();
		}
		expect(status(await run({ edits }))).toEqual(['green', 'skipped', 'own-word']);
	});

	it('compares what the log proves with nobody signed in, too', async () => {
		await run();
		expect(status(await run({ token: '' }))).toEqual(['green', 'skipped', 'statement-withheld']);
		const other = LOG.map((line) =>
			line.startsWith('cczoo kit ') ? line.replace(/sha256:\w+/, `sha256:${'0'.repeat(64)}`) : line
		);
		expect(other).not.toEqual(LOG);
		for (const policy of [undefined, { workload: {} }]) {
			const changed = await run({ token: '', lines: other, policy });
			expect(check(changed)).toEqual(['warn', 'workload-changed']);
			expect(changed.status).toBe('amber');
		}
	});

	it.each(['{', '{"v":2,"things":[]}', '{"v":1,"things":[1]}', '{"v":1,"things":[["a"]]}'])(
		'warns where the memory is damaged: %s',
		async (text) => {
			browser.items.set(WORKLOAD_KEY, text);
			browser.marks.items.set(WORKLOAD_KEY, text);
			const verdict = await run();
			expect(status(verdict)).toEqual(['amber', 'warn', 'workload-changed']);
			must(verdict.accept)();
			expect(status(await run())).toEqual(['green', 'skipped', 'own-word']);
		}
	);

	it('begins no memory in the place of one that others took away', async () => {
		await run();
		browser.items.delete(WORKLOAD_KEY);
		const verdict = await run();
		expect(check(verdict, 'settings')).toEqual(['warn', 'settings-foreign']);
		expect(browser.items.has(WORKLOAD_KEY)).toBe(false);
	});
});
