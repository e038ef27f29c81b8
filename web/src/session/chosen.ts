/** The model that a request names, weighed by what the server states, before the request goes. */
import { atom, type ReadableAtom } from 'nanostores';
import type { Environment } from '../base/environment';
import { judgeModel, type Chosen } from '../policy/notes';
import type { LineRequest } from '../transport/carrier';
import { modelOf } from '../transport/chosen-model';
import {
	CONFIRMED_MAX,
	PATIENCE,
	Refused,
	type Confirmations,
	type Enforcement
} from '../transport/gate';
import type { Verdict } from './attest';
import type { Session, State } from './session';

/** A model about which the person is asked. */
export interface AskedModel {
	model: string;
	chosen: Chosen;
}

export interface ChosenModels {
	/** The one that the last request named. */
	model: ReadableAtom<string | null>;
	asked: ReadableAtom<AskedModel | null>;
	/** The person's answer to what is asked. */
	answer: (yes: boolean) => void;
	/** Wait until a request may go; rejects with a Refused where it may not. */
	mind: (request: LineRequest) => Promise<void>;
}

export interface ChosenEnvironment extends Pick<Environment, 'token' | 'later'> {
	session: Pick<Session, 'state' | 'restart'>;
	/** The models that the person let words go to, each once. */
	confirmed: Confirmations;
	enforcement: () => Promise<Enforcement>;
	/** Why nothing was sent, in the person's language. */
	say: (asked: AskedModel) => string;
}

/** One confirmation for each model, as long as it is where it is. */
const nameOf = ({ model, chosen: { code, address, what } }: AskedModel): string =>
	JSON.stringify([code, address, what, model]);

/** What is asked, and the requests that wait for the answer. */
interface Question extends AskedModel {
	waiting: ((yes: boolean) => void)[];
	cancel: () => void;
}

export const watchModels = (env: ChosenEnvironment): ChosenModels => {
	const { session, confirmed } = env;
	const model = atom<string | null>(null);
	const asked = atom<AskedModel | null>(null);
	/** The person reads one after the other. */
	const questions = new Map<string, Question>();
	/** For whom, and under which statement, sections were asked for anew. */
	let askedFor = '';

	/** The verdict, as soon as there is one; null where attestation is off. */
	const verdict = (): Promise<Verdict | null> =>
		new Promise((resolve) => {
			const look = (state: State): boolean => {
				if (state.kind === 'done') resolve(state.verdict);
				else if (state.kind === 'off') resolve(null);
				return state.kind !== 'pending';
			};
			if (look(session.state.get())) return;
			const stop = session.state.listen((state) => {
				if (look(state)) stop();
			});
		});

	/** Somebody has signed in since, or confirmed what there was to confirm: the sections may come. */
	const isIncomplete = ({ statement, asked, checks }: Verdict): boolean => {
		const token = env.token();
		const isWithheld = checks.some(({ code }) => code === 'statement-withheld');
		if (!isWithheld || asked || statement === undefined || !token) return false;
		const name = `${statement} ${token}`;
		if (askedFor === name) return false;
		askedFor = name;
		return true;
	};

	const known = async (): Promise<Verdict | null> => {
		const first = await verdict();
		if (!first || !isIncomplete(first)) return first;
		session.restart();
		return verdict();
	};

	const show = (): void => {
		const [next] = questions.values();
		asked.set(next ? { model: next.model, chosen: next.chosen } : null);
	};

	const settle = (name: string, { waiting, cancel }: Question, yes: boolean): void => {
		cancel();
		questions.delete(name);
		for (const resolve of waiting) resolve(yes);
		show();
	};

	/** Ask, or wait with others for the answer; who does not answer in time has not agreed. */
	const ask = (about: AskedModel): Promise<boolean> =>
		new Promise((resolve) => {
			const name = nameOf(about);
			const known = questions.get(name);
			if (known) {
				known.waiting.push(resolve);
				return;
			}
			const cancel = env.later(PATIENCE.ask, () => {
				settle(name, question, false);
			});
			const question: Question = { ...about, waiting: [resolve], cancel };
			questions.set(name, question);
			show();
		});

	return {
		model,
		asked,
		answer(yes) {
			const [next] = questions;
			if (!next) return;
			const [name, question] = next;
			if (yes) {
				confirmed.write([...new Set([name, ...confirmed.read()])].slice(0, CONFIRMED_MAX));
			}
			settle(name, question, yes);
		},
		async mind(request) {
			const named = await modelOf(request);
			model.set(named);
			const found = await known();
			const enforcement = await env.enforcement();
			if (!found || enforcement === 'off') return;
			const sections = found.workload?.sections;
			// Where nothing is told of models, the verdict says so; that is not enough to let words go.
			if (!sections && enforcement !== 'block') return;
			const about = { model: named, chosen: judgeModel(sections ?? {}, named) };
			if (about.chosen.level === 'ok' || confirmed.read().includes(nameOf(about))) return;
			if (enforcement === 'block' || !(await ask(about))) {
				throw new Refused('model', env.say(about));
			}
		}
	};
};
