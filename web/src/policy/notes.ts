import type { Present } from '../evidence/facts';
import {
	READING,
	STORES_ASKED,
	STORES_TOLD,
	type Model,
	type Sections
} from '../evidence/statement';
import { areModelsKnown, areWaysKnown, factOf, isCodeKnown, isSecret, isTask } from './workload';

export type NoteCode =
	| 'log-not-written'
	| 'log-withheld'
	| 'unknown-events'
	| 'environment-unlisted'
	| 'runs'
	| 'models-inside'
	| 'models-being-measured'
	| 'models-outside'
	| 'models-not-known'
	| 'models-not-listed'
	| 'models-left-out'
	| 'words-stay'
	| 'words-can-leave'
	| 'words-left-out'
	| 'words-not-known'
	| 'no-functions'
	| 'function-active'
	| 'functions-not-known'
	| 'administrators-read'
	| 'administrators-not-known'
	| 'administrators-do-not-read'
	| 'storage-kept'
	| 'storage-plain'
	| 'storage-not-known'
	| 'more';

/** One thing that people should know of what runs; all but level and code is anybody's words. */
export interface Note {
	level: 'ok' | 'amber' | 'info';
	code: NoteCode;
	what?: string;
	name?: string;
	names?: readonly string[];
	where?: string;
	why?: string;
	kind?: string;
	address?: string;
	digest?: string;
	count?: number;
}

/** Notes, and names in one of them. */
const NOTES_MAX = 200;
const NAMES_MAX = 8;

const ok = (code: NoteCode, more: Partial<Note> = {}): Note => ({ level: 'ok', code, ...more });
const amber = (code: NoteCode, more: Partial<Note> = {}): Note => ({
	level: 'amber',
	code,
	...more
});

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const onLog = ({ measured }: Sections, log: Present | null): Note[] => {
	const notes: Note[] = [];
	if (measured?.log !== 'written') {
		notes.push(amber('log-not-written', { why: measured?.why ?? 'not-known' }));
	} else if (!log) notes.push(amber('log-withheld'));
	const count = log?.unknown.length ?? 0;
	return count > 0 ? [...notes, amber('unknown-events', { count })] : notes;
};

const onWhatRuns = (sections: Sections): Note[] => {
	const notes = (['kit', 'open-webui'] as const).flatMap((what): Note[] => {
		const { version, digest } = factOf(sections, what);
		if (version === undefined) return [];
		return [{ level: 'info', code: 'runs', what, name: textOf(version), digest: textOf(digest) }];
	});
	const count = Number(factOf(sections, 'environment').unlisted_files ?? 0);
	return count > 0 ? [...notes, amber('environment-unlisted', { count })] : notes;
};

/** How sure it is that a model answers from inside: what counts of several is the greatest. */
export const DOUBTS = ['inside', 'being-measured', 'not-known', 'outside'] as const;
export type Doubt = (typeof DOUBTS)[number];

export const doubtOf = ({ where, why, digest }: Model): Doubt => {
	if (where === 'outside') return where;
	if (where !== 'inside') return 'not-known';
	const isMeasured = typeof digest === 'string' && why !== 'being-measured';
	return isMeasured ? where : 'being-measured';
};

/** One note for each address, in the order in which they come. */
const byAddress = (code: NoteCode, models: readonly Model[]): Note[] => {
	const groups = new Map<string, string[]>();
	for (const { id, address } of models) {
		const names = groups.get(address ?? '') ?? [];
		groups.set(address ?? '', [...names, id]);
	}
	return [...groups].map(([address, names]) =>
		amber(code, { count: names.length, address, names: names.slice(0, NAMES_MAX) })
	);
};

const onModels = (sections: Sections): Note[] => {
	const { offered = [], left_out = 0 } = sections.models ?? {};
	const those = (doubt: Doubt) => offered.filter((model) => doubtOf(model) === doubt);
	const inside = those('inside').length;
	const waiting = those('being-measured').map(({ id }) => id);
	const notes = [
		...byAddress('models-outside', those('outside')),
		...byAddress('models-not-known', those('not-known'))
	];
	if (waiting.length > 0) {
		const [count, names] = [waiting.length, waiting.slice(0, NAMES_MAX)];
		notes.unshift(amber('models-being-measured', { count, names }));
	}
	if (inside > 0) notes.unshift(ok('models-inside', { count: inside }));
	if (left_out > 0) notes.push(amber('models-left-out', { count: left_out }));
	else if (!areModelsKnown(sections)) notes.push(amber('models-not-listed'));
	return notes;
};

/** Model servers are told of with their models. */
const SERVERS = ['openai', 'ollama'];
const PLACES = ['outside', 'browser'];

const onWords = (sections: Sections): Note[] => {
	const { ways = [], left_out = 0 } = sections.connections ?? {};
	const notes = ways
		.filter(({ kind, where }) => !SERVERS.includes(kind) && where !== 'inside' && where !== 'off')
		.map(({ kind, where, address }) =>
			amber('words-can-leave', {
				what: kind,
				where: PLACES.includes(where) ? where : 'not-known',
				address: address ?? ''
			})
		);
	if (left_out > 0) return [...notes, amber('words-left-out', { count: left_out })];
	if (!areWaysKnown(sections)) return [...notes, amber('words-not-known')];
	return notes.length > 0 ? notes : [ok('words-stay')];
};

const onFunctions = (sections: Sections): Note[] => {
	const notes = (sections.functions?.present ?? [])
		.filter(({ active }) => active)
		.map(({ id, type, digest }) =>
			amber('function-active', { what: type, name: id, digest: digest ?? '' })
		);
	if (!isCodeKnown(sections)) return [...notes, amber('functions-not-known')];
	return notes.length > 0 ? notes : [ok('no-functions')];
};

const onPeople = ({ people }: Sections): Note[] => {
	const notes = READING.filter((name) => people?.[name] !== false).map((name) =>
		amber(people?.[name] === true ? 'administrators-read' : 'administrators-not-known', { name })
	);
	return notes.length > 0 ? notes : [ok('administrators-do-not-read')];
};

const onStorage = ({ storage }: Sections): Note[] => {
	const told = STORES_TOLD.filter((name) => storage?.[name]);
	const notes = [...STORES_ASKED, ...told].flatMap((name): Note[] => {
		const store = storage?.[name];
		if (store && isSecret(store)) return [];
		if (store?.secrecy !== 'not-kept') return [amber('storage-not-known', { name })];
		return [amber('storage-plain', { name, kind: store.kind })];
	});
	return notes.length > 0 ? notes : [ok('storage-kept')];
};

/** What people are told of what runs here, from its sections; `log` as the check has it. */
export const notesOf = (sections: Sections, log: Present | null): Note[] => {
	const notes = [
		...onLog(sections, log),
		...onWhatRuns(sections),
		...onModels(sections),
		...onWords(sections),
		...onFunctions(sections),
		...onPeople(sections),
		...onStorage(sections)
	];
	const count = notes.length - NOTES_MAX;
	return count > 0 ? [...notes.slice(0, NOTES_MAX), { level: 'info', code: 'more', count }] : notes;
};

/** What is known of a model that somebody chose, or of one that is asked beside it. */
export interface Chosen {
	level: 'ok' | 'amber';
	code: `model-${Doubt}`;
	address: string;
	/** `model` for the chosen one, else the way of the one that counts. */
	what: string;
}

/**
 * Where a chosen model answers, or the models that are asked beside it for tasks, the greatest doubt
 * of them. What is not listed is not known.
 */
export const judgeModel = (sections: Sections, id: string): Chosen => {
	const found: [doubt: Doubt, address: string, what: string][] = (sections.models?.offered ?? [])
		.filter((model) => model.id === id)
		.map((model) => [doubtOf(model), model.address ?? '', 'model']);
	if (found.length === 0) found.push(['not-known', '', 'model']);
	for (const { kind, where, address } of sections.connections?.ways ?? []) {
		if (!isTask(kind) || where === 'off') continue;
		const doubt = where === 'inside' || where === 'outside' ? where : 'not-known';
		found.push([doubt, address ?? '', kind]);
	}
	if (!areWaysKnown(sections)) found.push(['not-known', '', 'task-model']);
	const [doubt, address, what] = found.reduce((worst, one) =>
		DOUBTS.indexOf(one[0]) > DOUBTS.indexOf(worst[0]) ? one : worst
	);
	return { level: doubt === 'inside' ? 'ok' : 'amber', code: `model-${doubt}`, address, what };
};
