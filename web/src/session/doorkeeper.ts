/** What the verification found, told to the page's door; and what keeps the verification going for it. */
import type { Whose } from '../base/account';
import { causesOf } from '../base/checks';
import { toBase64url, toUtf8 } from '../base/encoding';
import type { Environment } from '../base/environment';
import { Passing } from '../base/problem';
import type { Door, Judgement } from '../transport/door';
import type { Enforcement, Key, Standing } from '../transport/gate';
import { NOBODYS } from '../transport/shared';
import { readKeyset, type Keyset } from '../transport/keyset';
import type { Verdict } from './attest';
import { pause } from './backoff';
import { hearServer } from './enforcement';
import { wasSealed } from './sealed';
import { fetchKeys } from './served-keys';
import type { Session, State } from './session';
import type { Settings } from './settings';

/** Milliseconds that a page goes by what it found where nothing is sealed: at most an hour. */
const PLAIN_LIFE = 3_600_000;

/** By what the key turned out to be another's, or nobody's. */
const REFUTING: readonly (string | undefined)[] = [
	'key-mismatch',
	'key-silent',
	'keyset-expired',
	'keyset-life',
	'clock-differs' // in the place of one of the two
];

export const standingOf = ({ status, wait }: Verdict): Standing => {
	if (status === 'green') return 'passed';
	if (status === 'amber') return 'warned';
	return wait === undefined ? 'failed' : 'unreachable';
};

/** What has to pass before a key is called proved: the answer is to us, and its holder answers. */
const PROVING = ['nonce-binding', 'key-binding'];

/** What a verdict says of the key; undefined where it came to none. */
export const keyOf = ({ keyset, checks }: Verdict): Key | undefined => {
	// Who holds a key is one question, and what could read it there another.
	const isPassed = (wanted: string) =>
		checks.some(
			({ id, outcome, code }) =>
				id === wanted && (outcome === 'pass' || code === 'unlisted-function')
		);
	if (keyset !== undefined && PROVING.every(isPassed)) return 'proved';
	const code = checks.find(({ id }) => id === 'key-binding')?.code;
	if (code === 'key-none') return 'none';
	return REFUTING.includes(code) ? 'refuted' : undefined;
};

/** Is no key named, where the person's policy or this browser's memory wants one? */
const isMissed = ({ checks }: Verdict): boolean =>
	checks.some(({ id, outcome }) => id === 'key-binding' && outcome === 'fail');

/** Does it say nothing about the machine, so that what was found before still counts? */
const isPassing = ({ wait, checks }: Verdict): boolean =>
	wait !== undefined || checks.some(({ code }) => code === 'offline');

/** Names the settings under which keys are judged, and whose they are: what others let in stays theirs. */
export const policyId = async (
	subtle: SubtleCrypto | undefined,
	settings: Settings,
	whose: Whose = ''
): Promise<string> => {
	if (!subtle) return '';
	const hash = await subtle.digest('SHA-256', toUtf8(JSON.stringify(settings)));
	return (whose ?? NOBODYS) + toBase64url(new Uint8Array(hash));
};

interface Found extends Pick<
	Judgement,
	'standing' | 'key' | 'causes' | 'keyset' | 'statement' | 'until'
> {
	/** Whether a key must be there, by the person's policy or by what this browser remembers. */
	isRequired?: boolean;
}

/**
 * Have the door follow the session, for as long as the page lives.
 *
 * @param env As the session's.
 * @param settings Those in force.
 * @param enforcement How strict the page is, by what is known now.
 */
export const keepDoor = (
	env: Environment,
	session: Pick<Session, 'state' | 'attach' | 'restart'>,
	settings: () => Settings,
	enforcement: () => Promise<Enforcement>,
	door: Pick<Door, 'judge' | 'wait' | 'holds' | 'basis' | 'attest'>
): void => {
	let newest = new AbortController();
	let seen: Verdict | undefined;
	/** A door that waits needs a verdict, whether a badge is there or not. */
	let leave: (() => void) | undefined = session.attach();

	/** The keys that the server says it has, as soon as it says so; undefined where that has no form. */
	const servedKeys = async (signal: AbortSignal): Promise<Keyset | null | undefined> => {
		for (let failed = 1; ; failed += 1) {
			try {
				return await fetchKeys(env, signal);
			} catch (error) {
				signal.throwIfAborted();
				if (!(error instanceof Passing)) return undefined;
				const [byte = 0] = env.random(1);
				const tries = { failed, asked: error.wait, left: 0, random: byte / 256 };
				await new Promise<void>((resolve) => env.later(pause(tries), resolve));
				signal.throwIfAborted();
			}
		}
	};

	/** What goes by keys that nobody has checked; by what is no keyset goes nothing. */
	const unchecked = async (
		facts: Pick<Found, 'standing' | 'causes'>,
		signal: AbortSignal
	): Promise<Found> => {
		const served = await servedKeys(signal);
		const keyset = served ?? null;
		const key = served === undefined ? 'refuted' : served ? 'unchecked' : 'none';
		return { ...facts, key, keyset, until: keyset?.notAfter ?? env.now() + PLAIN_LIFE };
	};

	const examine = async (verdict: Verdict, signal: AbortSignal): Promise<Found> => {
		const facts = { standing: standingOf(verdict), causes: causesOf(verdict.checks) };
		const key = keyOf(verdict);
		if (key === undefined) return unchecked(facts, signal);
		const { subtle } = env;
		if (key !== 'proved' || !subtle) {
			const isRequired = key === 'none' && isMissed(verdict);
			return { ...facts, key, keyset: null, until: env.now() + PLAIN_LIFE, isRequired };
		}
		const keyset = await readKeyset(subtle, verdict.keyset);
		const { statement, expires } = verdict;
		return { ...facts, key, keyset, statement, until: Math.min(expires, keyset.notAfter) };
	};

	const found = async (state: State, signal: AbortSignal): Promise<Found | null> => {
		if (state.kind === 'off') {
			const heard = hearServer(env, signal).catch(() => undefined);
			const keys = await unchecked({ standing: 'off', causes: [] }, signal);
			await heard;
			return keys;
		}
		return state.kind === 'done' ? examine(state.verdict, signal) : null;
	};

	/** Where nothing is sealed, nobody without a badge needs a verdict. */
	const rest = (): void => {
		if (!leave) return; // somebody else looks, and each of their verdicts comes here
		leave();
		leave = undefined;
		// What was refused to somebody who is not signed in is asked anew by the first badge.
		if (env.token() === '') session.restart();
	};

	const follow = async (state: State, signal: AbortSignal): Promise<void> => {
		const policy = await policyId(env.subtle, settings(), env.whose);
		signal.throwIfAborted();
		if (state.kind === 'pending') {
			// What was found under other settings is void; under these it holds for its time.
			if (door.basis !== null && door.basis !== policy) door.wait();
			return;
		}
		if (state.kind === 'done' && isPassing(state.verdict) && door.holds(policy)) return;
		const judged = await found(state, signal);
		signal.throwIfAborted();
		if (!judged) return;
		const { isRequired = false, ...facts } = judged;
		const [known, strictness] = await Promise.all([wasSealed(env), enforcement()]);
		signal.throwIfAborted();
		await door.judge({
			...facts,
			policy,
			known: known || isRequired,
			enforcement: strictness
		});
		if (facts.key === 'none' && !known && !isRequired) rest();
	};

	door.attest = () => {
		leave ??= session.attach();
		session.restart();
	};
	session.state.subscribe((state) => {
		if (state.kind === 'done') {
			if (state.verdict === seen) return; // only its renewal is told
			seen = state.verdict;
		} else seen = undefined;
		newest.abort();
		newest = new AbortController();
		follow(state, newest.signal).catch(() => undefined);
	});
};
