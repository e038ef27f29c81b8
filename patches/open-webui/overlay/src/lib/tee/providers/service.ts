import type { CheckId } from '../checks';
import { toBase64, toBase64url, toUtf8 } from '../encoding';
import type { Evidence } from '../evidence';
import { own, parseObject, type JsonObject } from '../json';
import { parseJwt, verifyJwt, type Algorithm, type Jwt } from '../jwt';
import { parseKeySet, parsePins, type Jwk, type Pins } from '../keys';
import { json, NO_CONNECTION, request, type Reply } from '../net';
import { appraiseTcb, DEFAULT_POLICY, type Tcb } from '../policy';
import { Problem } from '../problem';
import type { Context, Finding, Provider } from './provider';

/** Seconds that the clocks may differ. */
const SKEW = 60;

/** What token-claims and the later checks need, whatever the token's format. */
export interface Claims {
	tee: unknown;
	/** A header or body field of the quote as the service reports it. */
	measurement: (name: string) => unknown;
	/** The service's verdict; throws where it is not good. */
	appraise: () => void | Finding;
	simulated?: boolean;
	/** The platform's TCB where the service names one. */
	tcb?: Tcb;
}

/** HTTP to one service: the token directly or by the relay, everything else directly only. */
export interface Service {
	address: string;
	post: (path: string, body: JsonObject) => Promise<Reply>;
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
export const encodeEvidence = ({ quoteBytes, ccEventlog, aaEventlog }: Evidence): string =>
	toBase64url(
		toUtf8(
			JSON.stringify({
				quote: toBase64(quoteBytes),
				cc_eventlog: ccEventlog,
				aa_eventlog: aaEventlog
			})
		)
	);

/** A successful answer's text; throws `service-rejected` with what the service said. */
export const accepted = ({ status, text }: Reply): string => {
	if (status !== 200) throw new Problem('service-rejected', `HTTP ${status} ${text}`);
	return text.trim();
};

const connect = ({ env, signal, choice, config }: Context): Service => {
	const { provider, address } = choice;
	return {
		address,
		async post(path, body) {
			const code = 'service-unreachable';
			try {
				return await request(env, signal, address + path, code, json(body));
			} catch (error) {
				// No connection and no CORS look the same from here, and the relay helps with both.
				if ((error as Problem).detail !== NO_CONNECTION || !config.relay(provider)) throw error;
				return request(env, signal, `${env.api}/tee/relay/${provider}`, code, json(body));
			}
		},
		async get(url) {
			const code = 'keys-unreachable';
			const { status, text } = await request(env, signal, url, code);
			if (status !== 200) throw new Problem(code, `HTTP ${status}`);
			return text;
		}
	};
};

/** Claims with seconds since 1970 (RFC 7519 section 4.1), and whether now must be before or after. */
const TIMES = { exp: 1, iat: -1, nbf: -1 };

const checkRegistered = (payload: JsonObject, now: number, issuer?: string): void => {
	// An id is shown as it is, so it may be nothing but an id.
	if (!/^[\w.:-]*$/.test(String(payload.jti ?? ''))) throw new Problem('token-claim', 'jti');
	// An audience is whom a token is for (RFC 7519 section 4.1.3): for somebody else, where we are none.
	for (const name of issuer ? ['iss', 'aud'] : ['aud']) {
		if (payload[name] !== issuer) throw new Problem('token-claim', name);
	}
	for (const [name, side] of Object.entries(TIMES)) {
		const value = payload[name];
		if (name === 'nbf' && value === undefined) continue;
		const distance = (Number.isFinite(value) ? (value as number) - now : NaN) * side;
		if (!(distance > -SKEW)) throw new Problem('token-time', name);
	}
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
	if (status === undefined) return;
	const [advisories, date] = [claim('advisory_ids'), claim('tcb_date')];
	return {
		// Trustee up to v0.13 has names of its own.
		status: String(status).replace(/^OK$/, 'UpToDate').replace('Software', 'SW'),
		advisories: Array.isArray(advisories) ? advisories.map(String) : undefined,
		date: date === undefined ? date : String(date)
	};
};

const required: readonly CheckId[] = [
	'secure-context',
	'evidence-format',
	'nonce-binding',
	'token-signature',
	'token-claims',
	'td-attributes',
	'appraisal',
	'not-simulated'
];

/** The keys that the user's pins let sign this token. */
const pinnedKeys = async ({ env, subtle }: Context, pins: Pins, jwt: Jwt): Promise<Jwk[]> => {
	if (pins.certificates.length === 0) return pins.keys;
	const { keyOfChain } = await env.local();
	return [await keyOfChain(subtle, jwt.chain, pins.certificates, env.now() / 1000)];
};

/** A provider that hands the evidence to a service and verifies the token that comes back. */
export const serviceProvider = (spec: ServiceSpec): Provider => ({
	required,
	async verify(context) {
		const { env, subtle, evidence, choice, check } = context;
		let jwt: Jwt | undefined;
		const signed = await check('token-signature', async () => {
			if (!choice.address) throw new Problem('bad-address');
			const service = connect(context);
			const pins = choice.keys ? parsePins(choice.keys) : undefined;
			const published = pins ? undefined : spec.keys(service).then(parseKeySet);
			published?.catch(() => {}); // reported below, after the token's own problems
			jwt = parseJwt(await spec.token(service, evidence));
			const keys = (await published) ?? (await pinnedKeys(context, pins as Pins, jwt));
			await verifyJwt(subtle, jwt, keys, spec.algorithms, pins !== undefined);
			if (choice.serverChosen) return { outcome: 'warn', code: 'server-chosen', detail: choice.address };
		});
		if (!signed || !jwt) return null;

		const { payload } = jwt;
		const claims = spec.claims(payload);
		await check('token-claims', () => {
			checkRegistered(payload, env.now() / 1000, spec.issuer ? choice.address : undefined);
			checkMeasurements(claims, evidence);
		});
		const { tcb } = claims;
		// A policy that asks for what the service does not tell is not met.
		const asked = JSON.stringify(context.policy.tcb) !== JSON.stringify(DEFAULT_POLICY.tcb);
		if (tcb || asked) await check('tcb-status', () => appraiseTcb(context.policy, tcb ?? { status: '?' }));
		await check('appraisal', claims.appraise);
		return {
			expires: Number(payload.exp),
			simulated: claims.simulated === true,
			fields: { jti: payload.jti, tee: claims.tee, exp: payload.exp, iat: payload.iat }
		};
	}
});

/**
 * Claims of the "Simple" token of CoCo's attestation service, which Alibaba Cloud's has too:
 * `tcb-status` is a JSON text with flat keys.
 */
export const simpleClaims = (payload: JsonObject): Claims => {
	let tcb: JsonObject = {};
	try {
		tcb = parseObject(String(payload['tcb-status']));
	} catch {
		// token-claims then misses every measurement
	}
	return {
		tee: payload.tee,
		measurement: (name) => own(tcb, `tdx.quote.body.${name}`),
		tcb: readTcb((name) => own(tcb, `tdx.${name}`)),
		appraise: () => {
			const reports = payload['evaluation-reports'];
			// Trustee's first versions repeat the policy's verdict; later ones give no token without it.
			const good = (report: unknown) =>
				typeof own(report, 'policy-id') === 'string' &&
				(own(own(report, 'evaluation-result'), 'allow') ?? true) === true;
			if (!Array.isArray(reports) || reports.length === 0 || !reports.every(good)) {
				throw new Problem('appraisal', 'evaluation-reports');
			}
		}
	};
};
