import type { CheckId } from '../base/checks';
import type { JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { Evidence } from '../evidence/evidence';
import { appraiseTcb } from '../policy/policy';
import { parseJwt, verifyJwt, type Algorithm, type Jwt } from '../token/jwt';
import { parseKeySet, parsePins, type Jwk, type Pins } from '../token/keys';
import { asksForTcb, checkMeasurements, checkRegistered, UNTOLD, type Claims } from './claims';
import { connect, type Service } from './exchange';
import type { Context, Provider } from './provider';

export interface ServiceSpec {
	algorithms: readonly Algorithm[];
	/** Hand the evidence over and return the token's text. */
	token: (service: Service, evidence: Evidence) => Promise<string>;
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
	// What reads certificates is a piece of its own: few users pin any.
	const { keyOfChain } = await import('../token/chain');
	return [await keyOfChain(subtle, jwt.chain, certificates, env.now() / 1000)];
};

/** The key set that a service published; a bad one says nothing about the machine. */
const readPublished = (text: string): Jwk[] => {
	try {
		return parseKeySet(text);
	} catch (error) {
		throw new Passing('keys-malformed', asProblem(error).detail);
	}
};

/** Fetch a token and verify its signature, under the user's pins or else the service's own keys. */
const obtainToken = async (context: Context, spec: ServiceSpec): Promise<Jwt> => {
	const { subtle, evidence, choice } = context;
	if (!choice.address) throw new Problem('bad-address');
	const service = connect(context);
	if (choice.keys) {
		const pins = parsePins(choice.keys);
		const jwt = parseJwt(await spec.token(service, evidence));
		const keys = await pinnedKeys(context, pins, jwt);
		await verifyJwt(subtle, jwt, keys, spec.algorithms, true);
		return jwt;
	}
	const published = spec.keys(service).then(readPublished);
	published.catch(() => undefined); // awaited below, after the token's own problems
	const jwt = parseJwt(await spec.token(service, evidence));
	await verifyJwt(subtle, jwt, await published, spec.algorithms, false);
	return jwt;
};

/** A provider that hands the evidence to a service and verifies the token that comes back. */
export const serviceProvider = (spec: ServiceSpec): Provider => ({
	required,
	async verify(context) {
		const { env, evidence, choice, policy, check } = context;
		let jwt: Jwt | undefined;
		await check('token-signature', async () => {
			jwt = await obtainToken(context, spec);
			if (!choice.serverChosen) return undefined;
			return { outcome: 'warn', code: 'server-chosen', detail: choice.address };
		});
		if (!jwt) return null;

		const { payload } = jwt;
		const claims = spec.claims(payload);
		await check('token-claims', () => {
			checkRegistered(payload, env.now() / 1000, spec.issuer ? choice.address : undefined);
			checkMeasurements(claims, evidence);
		});
		const { tcb } = claims;
		// A policy that asks for what the service does not tell is not met.
		if (tcb || asksForTcb(policy)) {
			await check('tcb-status', () => appraiseTcb(policy, tcb ?? UNTOLD));
		}
		await check('appraisal', claims.appraise);
		return {
			expires: Number(payload.exp),
			simulated: claims.simulated === true,
			fields: {
				jti: payload.jti,
				tee: claims.tee,
				exp: payload.exp,
				iat: payload.iat,
				tcb_evaluation: tcb?.evaluation
			}
		};
	}
});
