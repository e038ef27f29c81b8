/** The settings that administrators change: as the server has them, and as they stand in the form. */
import { atom, type ReadableAtom } from 'nanostores';
import type { Environment } from '../base/environment';
import { inTime, readBody } from '../base/http';
import { isObject, own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { ReasonCode } from '../base/reasons';
import { parsePolicy } from '../policy/policy';
import { Refused } from '../transport/gate';

/** All settings, as the form shows them; a test holds them to the server's table. */
export const GROUPS = {
	providers: [
		'providers',
		'default_provider',
		'alibaba_url',
		'alibaba_keys',
		'trustee_url',
		'trustee_keys',
		'relay',
		'relay_timeout'
	],
	checking: ['policy', 'pccs_url', 'pccs_update', 'collateral_timeout', 'collateral_refresh'],
	pages: ['enforcement', 'page_sources'],
	sealing: ['sealed', 'statement'],
	asking: ['quote_public'],
	limits: ['quote_timeout', 'quote_limit_user', 'quote_limit_address', 'quote_limit_public']
} as const;

export type Group = keyof typeof GROUPS;
export type SettingName = (typeof GROUPS)[Group][number];

/** Choices of one setting: more than any has. */
const CHOICES_MAX = 32;

/** A setting, as the server tells of it (docs/backend.md); values are texts. */
export interface Row {
	value: string;
	/** What holds if nothing is stored. */
	initial: string;
	default: string;
	stored: boolean;
	fixed: boolean;
	variable: string;
	kind: string;
	/** What a text looks like, in English. */
	form: string;
	choices: readonly string[];
	/** Does a change hold from the next start only, and is there one that does not hold yet? */
	restart: boolean;
	pending: boolean;
}

/** What is wrong with a value: a code, and the server's own words. */
export interface Wrong {
	code: string;
	detail: string;
}

/** Texts by the names of settings; null: back to the first value. */
export type Draft = Readonly<Record<string, string | null>>;

/** What has become of the last thing that was asked for. */
export interface Told {
	kind: 'saved' | 'wrong' | 'changed' | 'not-saved' | 'unsure' | 'not-loaded';
	code?: ReasonCode;
	/** Words from outside. */
	detail?: string;
}

export interface Administered {
	/** None before the server told, and for who is no administrator. */
	rows: Readonly<Record<string, Row>>;
	version: string;
	/** Why the server cannot read what was stored: then all of it has to be set anew. */
	problem: string;
	/** What was typed and is not stored. */
	draft: Draft;
	wrong: Readonly<Record<string, Wrong>>;
	busy: boolean;
	told: Told | null;
}

export interface Administration {
	state: ReadableAtom<Administered>;
	/** Ask the server; what was typed stays. */
	load: () => Promise<void>;
	/** Somebody types. */
	edit: (name: string, text: string) => void;
	/** Go back to the first value. */
	back: (name: string) => void;
	/** Have the server store what was typed. */
	save: () => Promise<void>;
}

const NOBODY: Administered = {
	rows: {},
	version: '',
	problem: '',
	draft: {},
	wrong: {},
	busy: false,
	told: null
};

const readRow = (name: string, value: unknown): Row => {
	const text = (member: string): string => {
		const given = own(value, member);
		if (typeof given !== 'string') throw new Problem('internal', `${name}.${member}`);
		return given;
	};
	const flag = (member: string): boolean => own(value, member) === true;
	const choices = own(value, 'choices');
	return {
		value: text('value'),
		initial: text('initial'),
		default: text('default'),
		stored: flag('stored'),
		fixed: own(value, 'fixed') !== false,
		variable: text('variable'),
		kind: text('kind'),
		form: text('form'),
		choices: Array.isArray(choices) ? choices.slice(0, CHOICES_MAX).map(String) : [],
		restart: flag('restart'),
		pending: flag('pending')
	};
};

const each = <Value>(
	given: unknown,
	read: (name: string, value: unknown) => Value
): Record<string, Value> =>
	Object.fromEntries(
		Object.entries(isObject(given) ? given : {}).map(([name, value]) => [name, read(name, value)])
	);

/** Text from outside, cut to what anybody reads. */
const shownText = (value: unknown): string => new Problem('internal', value ?? '').detail;

const readWrong = (given: unknown): Record<string, Wrong> =>
	each(given, (_, value) => ({
		code: shownText(own(value, 'code')),
		detail: shownText(own(value, 'detail'))
	}));

type Known = Pick<Administered, 'rows' | 'version' | 'problem' | 'wrong'>;

/** Read the settings as the server tells them; throws `internal` where that has another form. */
const readSettings = (told: JsonObject): Known => {
	const { v, version, problem, settings, errors } = told;
	if (v !== 1 || typeof version !== 'string' || !isObject(settings)) {
		throw new Problem('internal', 'settings');
	}
	return {
		rows: each(settings, readRow),
		version,
		problem: problem === null ? '' : shownText(own(problem, 'detail')),
		wrong: readWrong(errors)
	};
};

type Shown = Pick<Administered, 'rows' | 'problem' | 'draft'>;

/** What holds if nothing is typed: of what cannot be read, the first value. */
const heldText = ({ value, initial }: Row, problem: string): string => (problem ? initial : value);

/** What stands in a setting's field. */
export const textOf = ({ rows, problem, draft }: Shown, name: string): string => {
	const row = rows[name];
	if (!row) return '';
	return draft[name] === undefined ? heldText(row, problem) : (draft[name] ?? row.initial);
};

/** What is sent: what was typed, and where nothing stored can be read, every setting. */
export const changesOf = ({ rows, problem, draft }: Shown): Draft => {
	if (!problem) return draft;
	const free = Object.entries(rows).filter(([, { fixed }]) => !fixed);
	return { ...Object.fromEntries(free.map(([name]) => [name, null])), ...draft };
};

/** Without what is stored by now, and what is not for administrators to change. */
const stillTyped = (draft: Draft, { rows, problem }: Known): Draft =>
	Object.fromEntries(
		Object.entries(draft).filter(([name, text]) => {
			const row = rows[name];
			if (!row || row.fixed) return false;
			return text === null ? row.stored : text !== heldText(row, problem);
		})
	);

interface Answer {
	status: number;
	body: JsonObject;
}

/** Ask for the settings, or with a body for a change of this version; sealed as the app's requests are. */
const ask = (env: Environment, version = '', body?: JsonObject): Promise<Answer> =>
	inTime(env, new AbortController().signal, 'quote-unreachable', async (signal) => {
		const response = await env.fetch(`${env.api}/tee/admin/settings`, {
			method: body ? 'PUT' : 'GET',
			headers: {
				Authorization: `Bearer ${env.token()}`,
				...(body && { 'Content-Type': 'application/json', 'If-Match': `"${version}"` })
			},
			body: body && JSON.stringify(body),
			credentials: 'same-origin',
			redirect: 'manual',
			cache: 'no-store',
			referrerPolicy: 'no-referrer',
			signal
		});
		return { status: response.status, body: parseObject(await readBody(response)) };
	});

/** What it means that no answer came which can be read; where nothing was sent, nothing is stored. */
const withoutAnswer = (error: unknown, kind: Told['kind']): Told => {
	if (error instanceof Refused) {
		return { kind: kind === 'unsure' ? 'not-saved' : kind, detail: error.detail };
	}
	const { code } = error instanceof Passing ? error : { code: 'quote-unreachable' as const };
	return { kind, code };
};

/** @param changed Called when other settings hold. */
export const createAdministration = (env: Environment, changed: () => void): Administration => {
	const state = atom<Administered>(NOBODY);

	const set = (more: Partial<Administered>): void => {
		state.set({ ...state.get(), ...more });
	};

	/** Go by what the server has; of what was typed, what it has not. */
	const take = (known: Known, draft: Draft, told: Told | null): void => {
		set({ ...known, draft: stillTyped(draft, known), told });
	};

	/** Hear a refusal; who is no administrator sees nothing. */
	const refused = ({ status, body }: Answer, kind: Told['kind']): void => {
		const isNobody = status === 401 || own(body, 'code') === 'not-allowed';
		if (isNobody) state.set(NOBODY);
		else set({ told: { kind, detail: shownText(own(body, 'detail')) } });
	};

	/** One thing after another. */
	const alone = async (kind: Told['kind'], act: () => Promise<void>): Promise<void> => {
		if (state.get().busy || !env.token()) return;
		set({ busy: true, told: null });
		try {
			await act();
		} catch (error) {
			set({ told: withoutAnswer(error, kind) });
		} finally {
			set({ busy: false });
		}
	};

	const look = async (told: Told | null): Promise<void> => {
		const answer = await ask(env);
		if (answer.status === 200) take(readSettings(answer.body), state.get().draft, told);
		else refused(answer, 'not-loaded');
	};

	const change = async (sent: Draft): Promise<void> => {
		const answer = await ask(env, state.get().version, { v: 1, values: sent });
		const { status, body } = answer;
		if (status === 200) {
			const known = readSettings(body);
			const typed = Object.entries(state.get().draft);
			// What was typed meanwhile was not sent.
			const later = typed.filter(([name, text]) => text !== sent[name]);
			take(known, Object.fromEntries(later), { kind: 'saved' });
			changed();
		} else if (status === 412) await look({ kind: 'changed' });
		else if (isObject(body.errors)) {
			set({ wrong: readWrong(body.errors), told: { kind: 'wrong' } });
		} else refused(answer, 'not-saved');
	};

	/** What a page would not take, whatever the server says of it. */
	const wrongIn = (sent: Draft): Record<string, Wrong> => {
		try {
			if (sent.policy?.trim()) parsePolicy(sent.policy.trim());
			return {};
		} catch (error) {
			return { policy: asProblem(error) };
		}
	};

	const type = (name: string, text: string | null): void => {
		const { draft, wrong, ...rest } = state.get();
		const others = Object.entries(wrong).filter(([other]) => other !== name);
		const known = { ...rest, wrong: Object.fromEntries(others) };
		take(known, { ...draft, [name]: text }, null);
	};

	return {
		state,
		load: () => alone('not-loaded', () => look(null)),
		edit: type,
		back(name) {
			type(name, null);
		},
		save: () =>
			alone('unsure', async () => {
				const sent = changesOf(state.get());
				const wrong = wrongIn(sent);
				if (Object.keys(wrong).length > 0) set({ wrong, told: { kind: 'wrong' } });
				else if (Object.keys(sent).length > 0) await change(sent);
			})
	};
};
