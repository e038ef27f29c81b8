import type { CheckId, Finding } from '../base/checks';
import { toBase64, toBase64url, toUtf8 } from '../base/encoding';
import { isPage, NO_CONNECTION, request, type Reply } from '../base/http';
import { asText, own, parseObject, type JsonObject } from '../base/json';
import { asProblem, Passing, Problem } from '../base/problem';
import type { Evidence } from '../evidence/evidence';
import { appraiseTcb, DEFAULT_POLICY, type Policy, type Tcb } from '../policy/policy';
import { parseJwt, verifyJwt, type Algorithm, type Jwt } from '../token/jwt';
import { parseKeySet, parsePins, type Jwk, type Pins } from '../token/keys';
import type { Context, Provider } from './provider';

/** Seconds that the clocks may differ. */
const SKEW = 60;

/** What token-claims and the later checks need, whatever the token's format. */
export interface Claims {
	tee: unknown;
	/** A header or body field of the quote as the service reports it. */
	measurement: (name: string) => unknown;
	/** The service's verdict; throws where it is not good. */
	appraise: () => Finding | undefined;
	simulated?: boolean;
	/** The platform's TCB where the service names one. */
	tcb?: Tcb;
}

/** HTTP to one service: the token directly or by the relay, everything else directly only. */
export interface Service {
	address: string;
	post: (body: JsonObject) => Promise<Reply>;
	get: (url: string) => Promise<string>;
}

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

/** Fields of newer quotes that not every service repeats; where it does, they must be equal. */
const OPTIONAL = ['tee_tcb_svn2', 'mr_servicetd'];

/** `evidence` as both services take it: base64url of a JSON with the quote and the logs. */
export const encodeEvidence = ({ quoteBytes, ccEventlog, aaEventlog }: Evidence): string => {
	const evidence = {
		quote: toBase64(quoteBytes),
		cc_eventlog: ccEventlog,
		aa_eventlog: aaEventlog
	};
	return toBase64url(toUtf8(JSON.stringify(evidence)));
};

/** Answers of a server that has no service there; and of what stands before one that does. */
const NO_SERVICE = [404, 405];
const NO_APPRAISAL = [401, 403, 429, 502, 503, 504];

/** Why an answer is not a word about the evidence, or undefined where it is one. */
const whyNoWord = ({ status, text, wait }: Reply): Problem | undefined => {
	const said = `HTTP ${status} ${text}`;
	if (NO_SERVICE.includes(status)) return new Passing('service-address', said, wait);
	if (NO_APPRAISAL.includes(status)) return new Passing('service-unreachable', said, wait);
	if (!isPage(text)) return undefined;
	// A proxy's page about the service behind it, or somebody else's altogether.
	return new Passing(status >= 500 ? 'service-unreachable' : 'service-address', said, wait);
};

/** A successful answer's text; throws with what came instead, `service-rejected` for a refusal. */
export const accepted = (reply: Reply): string => {
	const { status, text } = reply;
	const elsewhere = whyNoWord(reply);
	if (elsewhere) throw elsewhere;
	if (status !== 200) throw new Problem('service-rejected', `HTTP ${status} ${text}`);
	return text.trim();
};

/** What the relay says itself (docs/backend.md, section Errors), or undefined for an answer passed on. */
const relaysOwn = (text: string): string | undefined => {
	try {
		const { status, code, detail } = parseObject(text);
		return status === false ? `${asText(code)}: ${asText(detail)}` : undefined;
	} catch {
		return undefined;
	}
};

const connect = ({ env, signal, choice, relay }: Context): Service => {
	const { provider, address, path } = choice;
	const post = (url: string, body: JsonObject) =>
		request(env, signal, url, 'service-unreachable', body);
	return {
		address,
		async post(body) {
			try {
				return await post(address + path, body);
			} catch (error) {
				// No connection and no CORS look the same from here, and the relay helps with both.
				if (asProblem(error).detail !== NO_CONNECTION || !relay) throw error;
				const reply = await post(`${env.api}/tee/relay/${provider}`, body);
				const own = relaysOwn(reply.text);
				if (own !== undefined) throw new Passing('service-unreachable', own, reply.wait);
				return reply;
			}
		},
		async get(url) {
			const code = 'keys-unreachable';
			const { status, text, wait } = await request(env, signal, url, code);
			if (status !== 200) throw new Passing(code, `HTTP ${status}`, wait);
			return text;
		}
	};
};

/** Claims in seconds since 1970 (RFC 7519 section 4.1); without a time there, NaN. */
const timeOf = (payload: JsonObject, name: string): number => {
	const value = payload[name];
	return typeof value === 'number' && Number.isFinite(value) ? value : NaN;
};

/** Is the token in force? The comparisons are such that NaN never is. */
const checkTimes = (payload: JsonObject, now: number): void => {
	if (!(timeOf(payload, 'exp') > now - SKEW)) throw new Problem('token-time', 'exp');
	const begins = payload.nbf === undefined ? ['iat'] : ['iat', 'nbf'];
	for (const name of begins) {
		if (!(timeOf(payload, name) < now + SKEW)) throw new Problem('token-time', name);
	}
};

/** Does the token come from this issuer, and for it, where it is to name one? */
const checkParties = (payload: JsonObject, issuer: string | undefined): void => {
	if (issuer !== undefined && payload.iss !== issuer) throw new Problem('token-claim', 'iss');
	// An audience is whom a token is for (RFC 7519 section 4.1.3): for somebody else, where we are none.
	if (payload.aud !== issuer) throw new Problem('token-claim', 'aud');
};

const checkRegistered = (payload: JsonObject, now: number, issuer: string | undefined): void => {
	// An id is shown as it is, so it may be nothing but an id.
	if (!/^[\w.:-]*$/.test(asText(payload.jti ?? ''))) throw new Problem('token-claim', 'jti');
	checkParties(payload, issuer);
	checkTimes(payload, now);
};

/** The token must speak of the quote that I sent, and of nothing else. */
const checkMeasurements = (claims: Claims, { quote }: Evidence): void => {
	if (claims.tee !== 'tdx') throw new Problem('token-claim', 'tee');
	for (const [name, mine] of Object.entries(quote.body)) {
		const claimed = claims.measurement(name);
		if (claimed === undefined && OPTIONAL.includes(name)) continue;
		if (typeof claimed !== 'string' || claimed.toLowerCase() !== mine) {
			throw new Problem('token-claim', name);
		}
	}
};

/** The platform's TCB as a verifier's claims spell it, or undefined where they do not name it. */
export const readTcb = (claim: (name: string) => unknown): Tcb | undefined => {
	const status = claim('tcb_status');
	if (status === undefined) return undefined;
	const advisories = claim('advisory_ids');
	const date = claim('tcb_date');
	const evaluation = claim('tcb_eval_num');
	return {
		// Trustee up to v0.13 has names of its own.
		status: asText(status)
			.replace(/^OK$/, 'UpToDate')
			.replace('Software', 'SW')
			.replace(/^Td/, 'TD'),
		advisories: Array.isArray(advisories) ? advisories.map(asText) : undefined,
		date: date === undefined ? undefined : asText(date),
		evaluation: Number.isInteger(evaluation) ? Number(evaluation) : undefined
	};
};

/** What a policy is held against where the service tells nothing of the platform's TCB. */
const UNTOLD: Tcb = { status: '?' };

/** What a policy asks of the TCB: the same text in whatever order its lists are. */
const asked = ({ pass, warn, ...more }: Policy['tcb']): string =>
	JSON.stringify({ ...more, pass: [...pass].sort(), warn: [...warn].sort() });

/** Does a policy ask for another TCB than the default one does? */
const asksForTcb = ({ tcb }: Policy): boolean => asked(tcb) !== asked(DEFAULT_POLICY.tcb);

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

/** Does a report of the service's name its policy, and not its refusal? */
const isGoodReport = (report: unknown): boolean => {
	// Trustee's first versions repeat the policy's verdict; later ones give no token without it.
	const allowed = own(own(report, 'evaluation-result'), 'allow') ?? true;
	return typeof own(report, 'policy-id') === 'string' && allowed === true;
};

/**
 * Claims of the "Simple" token of CoCo's attestation service, which Alibaba Cloud's has too:
 * `tcb-status` is a JSON text with flat keys.
 */
export const simpleClaims = (payload: JsonObject): Claims => {
	let tcb: JsonObject = {};
	try {
		tcb = parseObject(asText(payload['tcb-status']));
	} catch {
		// token-claims then misses every measurement
	}
	return {
		tee: payload.tee,
		measurement: (name) => own(tcb, `tdx.quote.body.${name}`),
		tcb: readTcb((name) => own(tcb, `tdx.${name}`)),
		appraise: () => {
			const reports = payload['evaluation-reports'];
			if (!Array.isArray(reports) || reports.length === 0 || !reports.every(isGoodReport)) {
				throw new Problem('appraisal', 'evaluation-reports');
			}
			return undefined;
		}
	};
};
