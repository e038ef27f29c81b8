/** What a TD states of its workload, as the vectors have it. */
import { isObject, type JsonObject } from '../../src/base/json';
import type { WorkloadPolicy } from '../../src/policy/workload';
import { must } from './must';
import { readVectors } from './vectors';

export type Edit = readonly [pointer: string, value?: unknown];

export interface CheckCase {
	name: string;
	runtime: number;
	/** Where it is not there: that of the sections. */
	statement?: unknown;
	withheld: boolean;
	edits: Edit[];
	log: string[] | null;
	policy: WorkloadPolicy | null;
	covered: boolean;
	/** Seconds since 1970. */
	now: number;
	remembered: Edit[][] | null;
	outcome: string;
	code: string;
	reads_keys: boolean;
	violations: [string, string][];
	differences: [string, string, string][];
}

export interface NotesCase {
	name: string;
	edits: Edit[];
	log?: string[] | null;
	notes: JsonObject[];
}

export interface ModelCase {
	name: string;
	edits: Edit[];
	model: string;
	level: string;
	code: string;
	address: string;
	what: string;
}

export const WORKLOAD = readVectors('workload') as {
	sections: JsonObject;
	statement: { v: 1; sections: Record<string, string> };
	/** What a case has where it says nothing else. */
	defaults: CheckCase;
	checks: (Partial<CheckCase> & Pick<CheckCase, 'name' | 'edits'>)[];
	notes: NotesCase[];
	models: ModelCase[];
};

/** Put a member there whatever its name is. */
const put = (holder: object, name: string, value: unknown): void => {
	Object.defineProperty(holder, name, {
		value,
		writable: true,
		enumerable: true,
		configurable: true
	});
};

/** The sections with these edits. */
export const edited = (edits: readonly Edit[]): JsonObject => {
	const changed = structuredClone(WORKLOAD.sections);
	for (const edit of edits) {
		const names = edit[0].split('/').slice(1);
		const name = must(names.pop());
		let holder: unknown = changed;
		for (const parent of names) holder = (holder as JsonObject)[parent];
		const given = edit.length > 1 ? [edit[1]] : [];
		if (Array.isArray(holder)) {
			holder.splice(name === '-' ? holder.length : Number(name), 1, ...given);
		} else if (!isObject(holder)) throw new Error(edit[0]);
		else if (given.length > 0) put(holder, name, given[0]);
		else Reflect.deleteProperty(holder, name);
	}
	return changed;
};
