import { work } from '../base/der';
import { fromHex, toHex } from '../base/encoding';
import type { Quote } from '../evidence/quote';
import type { Component, Identity, Level, PlatformLevel, QeIdentity, TcbInfo } from './documents';
import { parseEnclaveReport } from './enclave-report';
import type { Platform } from './pck';
import { isRevoked, relaunched, statusName, type Status } from './status';
import { refuse } from './steps';

/** What Intel says of platform, TDX module and quoting enclave together, under one TDX module. */
export interface TcbState {
	status: string;
	/** Of all three, each once. */
	advisories: string[];
	/** RFC 3339: the earliest of the three. */
	date: string;
}

/** The TCB of a TD, as it was when the TD was started and as it is by now. */
export interface Judgement extends TcbState {
	/** By TEE_TCB_SVN. */
	launch: TcbState;
	/** By TEE_TCB_SVN2; null where quotes of this kind have none. */
	current: TcbState | null;
	/** Of the levels at the start; the first TDX module has none of its own. */
	dates: { platform: string; module: string | null; qe: string };
	/** The lower number of the two documents. */
	evaluation: number;
	/** What the TD was started with that is not up to date, such as `PCE 11 < 13`: has and needs. */
	short: string[];
}

/** What there is of a TD to be judged: the TDX SVNs are those of its start, or of now. */
interface Machine {
	platform: Platform;
	tdx: Uint8Array;
	/** The ISVSVN of its quoting enclave. */
	enclave: number;
}

/** The levels that count together; the first TDX module has none. */
interface Levels {
	platform: Level;
	module: Level | null;
	enclave: Level;
}

/** The level of a security version: the highest that it reaches. */
const levelOf = ({ levels }: Identity, svn: number): Level | undefined =>
	levels.find((level) => svn >= level.svn);

/** Is every component, from one on, at least as new as the level wants it? */
const reaches = (svns: ArrayLike<number>, level: Component[], from: number): boolean =>
	level.every(({ svn }, at) => at < from || (svns[at] ?? -1) >= svn);

/**
 * From which TDX component on platforms are compared. A module with an identity of its own is judged
 * by that: its first two numbers are not to be compared across versions.
 */
const firstOf = (tdx: Uint8Array): number => ((tdx[1] ?? 0) > 0 ? 2 : 0);

/** The platform's level with these TDX SVNs: the highest of which everything is reached. */
const platformLevel = (
	{ levels }: TcbInfo,
	{ components, pceSvn }: Platform,
	tdx: Uint8Array
): PlatformLevel | undefined =>
	levels.find((level) => {
		work.steps += 1;
		const platform = reaches(components, level.sgx, 0) && pceSvn >= level.svn;
		return platform && reaches(tdx, level.tdx, firstOf(tdx));
	});

/** The name of the identity of a module with these SVNs, which the first version has not. */
const moduleName = (tdx: Uint8Array): string => `TDX_${toHex(tdx.slice(1, 2)).toUpperCase()}`;

/** The identity of a module with these SVNs; undefined where Intel describes none. */
const describedModule = ({ module, identities }: TcbInfo, tdx: Uint8Array): Identity | undefined =>
	tdx[1] ? identities.find(({ id }) => id === moduleName(tdx)) : module;

/** The same; throws `internal` where Intel describes none. */
const moduleOf = (info: TcbInfo, tdx: Uint8Array): Identity =>
	describedModule(info, tdx) ?? refuse(`tdx-module: ${moduleName(tdx)}`);

// --- what is short ------------------------------------------------------------------------------

/** A part that is short: what it has, and what it needs. */
const lack = (part: string, has: number, needs: number): string[] =>
	has < needs ? [`${part} ${has} < ${needs}`] : [];

/** The lowest of the levels above the reached one, or of all, that is up to date; none for one that is. */
const goalAbove = <T extends Level>(levels: T[], reached?: T): T | undefined => {
	if (reached?.status === 0) return undefined;
	const above = reached ? levels.slice(0, levels.indexOf(reached)) : levels;
	return above.filter(({ status }) => status === 0).at(-1);
};

/** The same of what has one number only: a TDX module, or an enclave. */
const ownLack = (part: string, identity: Identity | undefined, svn: number): string[] => {
	const goal = identity && goalAbove(identity.levels, levelOf(identity, svn));
	return goal ? lack(part, svn, goal.svn) : [];
};

const platformLack = (info: TcbInfo, { platform, tdx }: Machine): string[] => {
	const goal = goalAbove(info.levels, platformLevel(info, platform, tdx));
	if (!goal) return [];
	const lacks = (kind: string, wanted: Component[], svns: ArrayLike<number>, from = 0) =>
		wanted.flatMap(({ svn, name }, at) => {
			const part = `${kind} component ${at + 1}${name && ` (${name})`}`;
			return at < from ? [] : lack(part, svns[at] ?? 0, svn);
		});
	return [
		...lacks('SGX', goal.sgx, platform.components),
		...lack('PCE', platform.pceSvn, goal.svn),
		...lacks('TDX', goal.tdx, tdx, firstOf(tdx))
	];
};

/** What of a machine has to be updated until all of it is up to date, part by part. */
const shortOf = (info: TcbInfo, identity: QeIdentity, machine: Machine): string[] => [
	...platformLack(info, machine),
	...ownLack('TDX module', describedModule(info, machine.tdx), machine.tdx[0] ?? 0),
	...ownLack('quoting enclave', identity, machine.enclave)
];

/** Refuse a machine, and say what of it is short. */
const refuseShort = (word: string, short: string[]): never =>
	refuse([word, short.join(', ')].filter(Boolean).join(': '));

// --- what it comes to ----------------------------------------------------------------------------

/** Is the TDX module one that Intel signed, and that has no attributes? None has been given any. */
const checkModule = (info: TcbInfo, { body }: Quote): void => {
	const { signer, attributes } = moduleOf(info, fromHex(body.tcb_svn));
	if (body.mrsigner_seam !== signer) refuse('tdx-module: MRSIGNERSEAM');
	const agrees = body.seam_attributes === toHex(attributes) && !/[^0]/.test(body.seam_attributes);
	if (!agrees) refuse('tdx-module: SEAMATTRIBUTES');
};

/** The level of a TDX module with these SVNs, or null for the first version, which has none. */
const moduleLevel = (info: TcbInfo, tdx: Uint8Array): Level | null => {
	const [svn = 0, version = 0] = tdx;
	return version > 0 ? (levelOf(moduleOf(info, tdx), svn) ?? refuse('tdx-module: ISVSVN')) : null;
};

/** The levels with which the TD was started. */
const launchLevels = (info: TcbInfo, identity: QeIdentity, machine: Machine): Levels => {
	const unknown = () => refuseShort('tcb-unknown', shortOf(info, identity, machine));
	return {
		enclave: levelOf(identity, machine.enclave) ?? unknown(),
		platform: platformLevel(info, machine.platform, machine.tdx) ?? unknown(),
		module: moduleLevel(info, machine.tdx)
	};
};

/** The same of now: the quoting enclave and the SGX part of the platform cannot differ. */
const currentLevels = (info: TcbInfo, enclave: Level, { platform, tdx }: Machine): Levels => {
	const unknown = () => refuse('tcb-unknown: TEE_TCB_SVN2');
	const level = platformLevel(info, platform, tdx) ?? unknown();
	try {
		return { enclave, platform: level, module: moduleLevel(info, tdx) };
	} catch {
		return unknown();
	}
};

const listed = ({ platform, module, enclave }: Levels): Level[] =>
	[platform, module, enclave].filter((level) => level !== null);

const mergedStatus = (levels: Levels): Status =>
	listed(levels).reduce((merged, { status }) => merged | status, 0);

const union = (...lists: string[][]): string[] => [...new Set(lists.flat())];

/** Dates of one form: the order of the texts is theirs. */
const earliest = (dates: string[]): string => dates.reduce((a, b) => (b < a ? b : a));

const stateOf = (levels: Levels): TcbState => ({
	status: statusName(mergedStatus(levels)),
	advisories: union(...listed(levels).map(({ advisories }) => advisories)),
	date: earliest(listed(levels).map(({ date }) => date))
});

/**
 * Judge the TCB of a TD by the documents about its platform; throws `internal`.
 *
 * Platform, TDX module and quoting enclave count together, and the worst status wins. The status is
 * that of the start, since what the older module let happen has happened; advisories and date are
 * the worse of the start's and of now's. What is revoked is refused: no policy can say yes to it.
 */
export const judge = (
	quote: Quote,
	info: TcbInfo,
	identity: QeIdentity,
	platform: Platform
): Judgement => {
	checkModule(info, quote);
	const { tcb_svn, tee_tcb_svn2 } = quote.body;
	const enclave = parseEnclaveReport(quote.qeReport).svn;
	const machine: Machine = { platform, enclave, tdx: fromHex(tcb_svn) };
	const later = tee_tcb_svn2 === undefined ? null : { ...machine, tdx: fromHex(tee_tcb_svn2) };
	const started = launchLevels(info, identity, machine);
	const running = later && currentLevels(info, started.enclave, later);
	const now = running ?? started;
	const short = (of: Machine) => shortOf(info, identity, of);
	if (isRevoked(mergedStatus(started))) refuseShort('tcb-revoked', short(machine));
	if (later && isRevoked(mergedStatus(now))) refuseShort('tcb-revoked', short(later));
	const launch = stateOf(started);
	const current = running && stateOf(running);
	return {
		status: relaunched(mergedStatus(started), mergedStatus(now)),
		advisories: union(launch.advisories, current?.advisories ?? []),
		date: earliest([launch.date, current?.date ?? launch.date]),
		launch,
		current,
		dates: {
			platform: started.platform.date,
			module: started.module?.date ?? null,
			qe: started.enclave.date
		},
		evaluation: Math.min(info.evaluation, identity.evaluation),
		short: short(machine)
	};
};
