import { isPrivate } from '../base/address';
import type { CheckId, Finding } from '../base/checks';
import { own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import { mergedLog } from '../evidence/merged';
import { keyOfChain, readPinned } from '../token/chain';
import { parseJwt, verifyJwt, type Algorithm, type Jwt } from '../token/jwt';
import { parseKeySet, parsePins, type Jwk, type Pins } from '../token/keys';
import {
	appraiseTold,
	checkCollateral,
	checkMeasurements,
	checkRegistered,
	collateralEnd,
	shownOf,
	type Claims
} from './claims';
import { connect, requestOf, type Service } from './exchange';
import type { Context, Provider, Target } from './provider';

type Bytes = Uint8Array<ArrayBuffer>;

export interface ServiceSpec {
	algorithms: readonly Algorithm[];
	/** Hand a request (`requestOf`) over and return the token's text. */
	token: (service: Service, request: JsonObject) => Promise<string>;
	/** The service's key set as text, fetched by this page. */
	keys: (service: Service) => Promise<string>;
	claims: (payload: JsonObject) => Claims;
	/** Does every token name this address as issuer and audience? If not, it may name no audience. */
	issuer: boolean;
}

const required: readonly CheckId[] = [
	'secure-context',
	'evidence-format',
	'nonce-binding',
	'key-binding',
	'token-signature',
	'token-claims',
	'td-attributes',
	'appraisal',
	'settings',
	'not-simulated'
];

/** The keys that the user's pins let sign this token. */
const pinnedKeys = async (
	{ env, subtle }: Context,
	{ keys, certificates }: Pins,
	jwt: Jwt
): Promise<Jwk[]> => {
	if (certificates.length === 0) return keys;
	return [await keyOfChain(subtle, jwt.chain, certificates, env.now() / 1000)];
};

/** Can a token be held against these pins at all? If not, nobody need see the evidence. */
const requireReadable = async ({ certificates }: Pins): Promise<void> => {
	if (certificates.length === 0) return;
	await readPinned(certificates);
};

/** Is it what a service publishes, whatever the keys in it are worth? */
const isKeySet = (text: string): boolean => {
	try {
		return Array.isArray(own(parseObject(text), 'keys'));
	} catch {
		return false;
	}
};

/** The key set that a service published; a bad one says nothing about the machine. */
const readPublished = (text: string): Jwk[] => {
	try {
		return parseKeySet(text);
	} catch (error) {
		const code = isKeySet(text) ? 'keys-malformed' : 'service-kind';
		throw new Passing(code, asProblem(error).detail);
	}
};

/** The keys that the service publishes, where none are pinned. */
const fetchKeys = async (service: Service, spec: ServiceSpec, pinned: boolean): Promise<Jwk[]> =>
	pinned ? [] : readPublished(await spec.keys(service));

/** The log that goes along, if the user wants that; or why there is none all the same. */
const logToSend = ({ choice, evidence }: Context): Bytes | Problem | null => {
	if (!choice.logs) return null;
	try {
		return mergedLog(evidence.ccel, evidence.aaEventlog);
	} catch (error) {
		return asProblem(error);
	}
};

/** What is said about a token whose signature holds: whom it comes from, and what was not sent. */
const remark = (choice: Target, log: Bytes | Problem | null): Finding | undefined => {
	if (choice.serverChosen)
		return { outcome: 'warn', code: 'server-chosen', detail: choice.address };
	if (log instanceof Problem) return { outcome: 'warn', code: log.code, detail: log.detail };
	return undefined;
};

/**
 * Fetch a token and verify its signature, under the user's pins or else the service's own keys.
 * No evidence leaves before those are there.
 */
const obtainToken = async (
	context: Context,
	spec: ServiceSpec,
	log: Bytes | null
): Promise<Jwt> => {
	const { subtle, evidence, choice } = context;
	if (!choice.address) throw new Problem('bad-address');
	const pins = choice.keys ? parsePins(choice.keys) : undefined;
	// Whoever is on the way could give keys of its own, and a token under them.
	if (!pins && !isPrivate(choice.address)) throw new Problem('http-unpinned', choice.address);
	if (pins) await requireReadable(pins);
	const service = connect(context);
	const published = await fetchKeys(service, spec, pins !== undefined);
	const jwt = parseJwt(await spec.token(service, requestOf(evidence, log)));
	const keys = pins ? await pinnedKeys(context, pins, jwt) : published;
	await verifyJwt(subtle, jwt, keys, spec.algorithms, pins !== undefined);
	return jwt;
};

/** A provider that hands the evidence to a service and verifies the token that comes back. */
export const serviceProvider = (spec: ServiceSpec): Provider => ({
	required,
	async verify(context) {
		const { env, evidence, choice, policy, check } = context;
		const log = logToSend(context);
		let jwt: Jwt | undefined;
		/** The service's policy refuses: there is no token then, and that is a verdict. */
		let refusal: Problem | undefined;
		await check('token-signature', async () => {
			try {
				jwt = await obtainToken(context, spec, log instanceof Problem ? null : log);
			} catch (error) {
				refusal = asProblem(error);
				if (refusal.code === 'appraisal') return { outcome: 'skipped', code: 'not-run' };
				throw error;
			}
			return remark(choice, log);
		});
		if (refusal?.code === 'appraisal') {
			const verdict = refusal;
			await check('appraisal', () => {
				throw verdict;
			});
		}
		if (!jwt) return null;

		const { payload } = jwt;
		const claims = spec.claims(payload);
		await check('token-claims', () => {
			checkRegistered(payload, env.now() / 1000, spec.issuer ? choice.address : undefined);
			checkMeasurements(claims, evidence);
		});
		const { told } = claims;
		const untold: Finding = { outcome: 'skipped', code: 'not-offered' };
		await check('collateral', () => checkCollateral(told, env.now() / 1000) ?? untold);
		await check('tcb-status', () => appraiseTold(policy, told, env.now() / 1000) ?? untold);
		await check('appraisal', claims.appraise);
		return {
			expires: Math.min(Number(payload.exp), collateralEnd(told)),
			simulated: claims.simulated === true,
			fields: {
				jti: payload.jti,
				tee: claims.tee,
				exp: payload.exp,
				iat: payload.iat,
				...shownOf(told)
			}
		};
	}
});
