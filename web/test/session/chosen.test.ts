import { atom } from 'nanostores';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Sections } from '../../src/evidence/statement';
import type { Verdict } from '../../src/session/attest';
import { watchModels, type ChosenModels } from '../../src/session/chosen';
import type { State } from '../../src/session/session';
import type { LineRequest } from '../../src/transport/carrier';
import { Refused, type Enforcement } from '../../src/transport/gate';
import { fakeClock } from '../support/environment';

const SECTIONS: Sections = {
	models: {
		listed: true,
		left_out: 0,
		offered: [
			{ id: 'in', where: 'inside', digest: 'sha256:0' },
			{ id: 'out', where: 'outside', address: 'api.example.com:443' },
			{ id: 'measuring', where: 'inside', digest: null }
		]
	},
	connections: { left_out: 0, ways: [] }
};

let clock: ReturnType<typeof fakeClock>;
let state: ReturnType<typeof atom<State>>;
let kept: readonly string[];
let enforcement: Enforcement;
let token: string;
let restart: ReturnType<typeof vi.fn<() => void>>;
let models: ChosenModels;

const done = (more: Partial<Verdict> = {}): State => ({
	kind: 'done',
	verdict: { status: 'green', checks: [], fields: {}, at: 0, expires: 0, ...more }
});
const knowing = (sections: Sections = SECTIONS): State =>
	done({
		workload: { sections, notes: [], facts: [], proven: true, differences: [], readers: [] }
	});

beforeEach(() => {
	clock = fakeClock();
	state = atom<State>(knowing());
	kept = [];
	enforcement = 'warn';
	token = 'token';
	restart = vi.fn(() => {
		state.set({ kind: 'pending' });
	});
	models = watchModels({
		later: clock.later,
		token: () => token,
		session: { state, restart },
		confirmed: {
			read: () => kept,
			write: (names) => {
				kept = names;
			}
		},
		enforcement: () => Promise.resolve(enforcement),
		say: ({ model, chosen }) => `${model} ${chosen.code} ${chosen.address}`
	});
});

const requestFor = (model: unknown): LineRequest => ({
	method: 'POST',
	url: 'https://chat.example/api/chat/completions',
	body: new TextEncoder().encode(JSON.stringify({ model })),
	cookies: true
});

/** What becomes of a request: `goes`, the sentence of a refusal, or `waits`. */
const fate = (model: unknown) => {
	let end = 'waits';
	models.mind(requestFor(model)).then(
		() => {
			end = 'goes';
		},
		(error: unknown) => {
			end = error instanceof Refused ? error.detail : 'error';
		}
	);
	return async () => {
		for (let turn = 0; turn < 20; turn += 1) await new Promise((go) => setImmediate(go));
		return end;
	};
};

describe('a model that a request names', () => {
	it('is let by where it is inside, and known from then on', async () => {
		expect(await fate('in')()).toBe('goes');
		expect([models.model.get(), models.asked.get()]).toEqual(['in', null]);
	});

	it.each(['out', 'measuring', 'nobody', '', 7, '__proto__'])(
		'is asked about once where it is not: %s',
		async (model) => {
			const [one, other] = [fate(model), fate(model)];
			expect([await one(), await other()]).toEqual(['waits', 'waits']);
			expect(models.asked.get()?.chosen.level).toBe('amber');
			models.answer(true);
			expect([await one(), await other(), models.asked.get()]).toEqual(['goes', 'goes', null]);
			expect(await fate(model)()).toBe('goes');
		}
	);

	it('is refused with its address where the person does not want it, and asked about again', async () => {
		const one = fate('out');
		await one();
		models.answer(false);
		expect(await one()).toBe('out model-outside api.example.com:443');
		expect(await fate('out')()).toBe('waits');
	});

	it('is refused where nobody answers', async () => {
		const one = fate('out');
		await one();
		clock.advance(600_000);
		expect([await one(), models.asked.get()]).toEqual([
			'out model-outside api.example.com:443',
			null
		]);
	});

	it('is asked about after another, and anew where it has moved', async () => {
		const [one, other] = [fate('out'), fate('nobody')];
		await other();
		expect(models.asked.get()?.model).toBe('out');
		models.answer(true);
		expect(models.asked.get()?.model).toBe('nobody');
		models.answer(false);
		expect(await one()).toBe('goes');
		const elsewhere = structuredClone(SECTIONS);
		Object.assign(elsewhere.models?.offered?.[1] ?? {}, { address: 'other.example:443' });
		state.set(knowing(elsewhere));
		expect(await fate('out')()).toBe('waits');
	});

	it('is refused without a question where that blocks', async () => {
		enforcement = 'block';
		expect(await fate('out')()).toBe('out model-outside api.example.com:443');
		expect([await fate('in')(), models.asked.get()]).toEqual(['goes', null]);
	});

	it('is let by where attestation is off, and where nothing is told', async () => {
		for (const found of [{ kind: 'off' }, done()] satisfies State[]) {
			state.set(found);
			expect(await fate('out')()).toBe('goes');
		}
	});

	it('is refused where that blocks and nothing is told', async () => {
		enforcement = 'block';
		state.set(done());
		expect(await fate('in')()).toBe('in model-not-known ');
		state.set({ kind: 'off' });
		expect(await fate('out')()).toBe('goes');
	});

	it('waits for the verdict', async () => {
		state.set({ kind: 'pending' });
		const one = fate('out');
		expect(await one()).toBe('waits');
		expect(models.asked.get()).toBeNull();
		state.set(knowing());
		await one();
		expect(models.asked.get()?.model).toBe('out');
	});

	it('has the sections asked for once where somebody signed in since', async () => {
		const checks = [{ id: 'workload', outcome: 'skipped', code: 'statement-withheld' }] as const;
		state.set(done({ statement: 's', checks: [...checks] }));
		token = '';
		expect(await fate('out')()).toBe('goes');
		token = 'token';
		const one = fate('out');
		expect(await one()).toBe('waits');
		state.set(done({ statement: 's', checks: [...checks] }));
		expect(await one()).toBe('goes');
		expect(await fate('out')()).toBe('goes');
		expect(restart).toHaveBeenCalledTimes(1);
	});
});
