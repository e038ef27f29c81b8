import { work } from '../base/der';
import { fromHex, toHex } from '../base/encoding';
import type { Quote } from '../evidence/quote';
import type { Identity, Level, PlatformLevel, QeIdentity, TcbInfo } from './documents';
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
const reaches = (svns: ArrayLike<number>, level: number[], from: number): boolean =>
	level.every((svn, at) => at < from || (svns[at] ?? -1) >= svn);

/** The platform's level with these TDX SVNs: the highest of which everything is reached. */
const platformLevel = (
	{ levels }: TcbInfo,
	{ components, pceSvn }: Platform,
	tdx: Uint8Array
): PlatformLevel | undefined =>
	levels.find((level) => {
		work.steps += 1;
		// A module with an identity of its own is judged by that: its first two numbers are not to be
		// compared across versions.
		const first = (tdx[1] ?? 0) > 0 ? 2 : 0;
		const platform = reaches(components, level.sgx, 0) && pceSvn >= level.svn;
		return platform && reaches(tdx, level.tdx, first);
	});

/** The identity of a module with these SVNs; throws `internal` where Intel describes none. */
const moduleOf = ({ module, identities }: TcbInfo, tdx: Uint8Array): Identity => {
	const version = tdx[1] ?? 0;
	if (version === 0) return module;
	const wanted = `TDX_${toHex(Uint8Array.of(version)).toUpperCase()}`;
	return identities.find(({ id }) => id === wanted) ?? refuse(`tdx-module: ${wanted}`);
};

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
const launchLevels = (
	info: TcbInfo,
	identity: QeIdentity,
	platform: Platform,
	{ qeReport, body }: Quote
): Levels => {
	const tdx = fromHex(body.tcb_svn);
	const enclave = levelOf(identity, parseEnclaveReport(qeReport).svn);
	return {
		enclave: enclave ?? refuse('tcb-unknown: ISVSVN of the QE'),
		platform: platformLevel(info, platform, tdx) ?? refuse('tcb-unknown'),
		module: moduleLevel(info, tdx)
	};
};

/** The same of now: the quoting enclave and the SGX part of the platform cannot differ. */
const currentLevels = (
	info: TcbInfo,
	enclave: Level,
	platform: Platform,
	tee_tcb_svn2: string
): Levels => {
	const tdx = fromHex(tee_tcb_svn2);
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
	const started = launchLevels(info, identity, platform, quote);
	const { tee_tcb_svn2 } = quote.body;
	const running =
		tee_tcb_svn2 === undefined
			? null
			: currentLevels(info, started.enclave, platform, tee_tcb_svn2);
	const now = running ?? started;
	if (isRevoked(mergedStatus(started) | mergedStatus(now))) refuse('tcb-revoked');
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
		evaluation: Math.min(info.evaluation, identity.evaluation)
	};
};
