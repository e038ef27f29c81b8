import type { CheckId } from '../checks';
import { toBase64, toBase64url, toUtf8 } from '../encoding';
import type { Evidence } from '../evidence';
import { own, parseObject, type JsonObject } from '../json';
import { parseJwt, verifyJwt, type Algorithm, type Jwt } from '../jwt';
import { parseKeySet, type Jwk } from '../keys';
import { json, NO_CONNECTION, request, type Reply } from '../net';
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
	/** Platform TCB status where the service names one. */
	tcb?: unknown;
}

/** HTTP to one service: the token directly or by the relay, everything else directly only. */
export interface Service {
	address: string;
	post: (path: string, body: JsonObject) => Promise<Reply>;
	get: (path: string) => Promise<string>;
}

export interface ServiceSpec {
	algorithms: readonly Algorithm[];
	/** Hand the evidence over and return the token's text. */
	token: (service: Service, evidence: Evidence) => Promise<string>;
	/** The service's key set as text, fetched by this page. */
	keys: (service: Service) => Promise<string>;
	claims: (payload: JsonObject) => Claims;
	/** Does every token name this address as issuer and audience? */
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
		async get(path) {
			const code = 'keys-unreachable';
			const { status, text } = await request(env, signal, address + path, code);
			if (status !== 200) throw new Problem(code, `HTTP ${status}`);
			return text;
		}
	};
};

/** Claims with seconds since 1970 (RFC 7519 section 4.1), and whether now must be before or after. */
const TIMES = { exp: 1, iat: -1, nbf: -1 };

const checkRegistered = (payload: JsonObject, now: number, issuer: string | null): void => {
	// An id is shown as it is, so it may be nothing but an id.
	if (!/^[\w.:-]*$/.test(String(payload.jti ?? ''))) throw new Problem('token-claim', 'jti');
	for (const name of issuer ? ['iss', 'aud'] : []) {
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
		if (String(claimed).toLowerCase() !== mine) throw new Problem('token-claim', name);
	}
};

const checkTcb = (status: unknown): void | Finding => {
	if (status === 'UpToDate') return;
	if (/^(OutOfDate|Revoked)/.test(String(status))) throw new Problem('tcb-status', status);
	return { outcome: 'warn', code: 'tcb-status', detail: String(status) };
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

/** A provider that hands the evidence to a service and verifies the token that comes back. */
export const serviceProvider = (spec: ServiceSpec): Provider => ({
	required,
	async verify(context) {
		const { env, subtle, evidence, choice, check } = context;
		let jwt: Jwt | undefined;
		const signed = await check('token-signature', async () => {
			if (!choice.address) throw new Problem('bad-address');
			const service = connect(context);
			const pinned = choice.keys !== '';
			const keySet: Promise<Jwk[]> = (
				pinned ? Promise.resolve(choice.keys) : spec.keys(service)
			).then(parseKeySet);
			keySet.catch(() => {}); // reported below, after the token's own problems
			jwt = parseJwt(await spec.token(service, evidence));
			await verifyJwt(subtle, jwt, await keySet, spec.algorithms, pinned);
			if (choice.serverChosen) return { outcome: 'warn', code: 'server-chosen', detail: choice.address };
		});
		if (!signed || !jwt) return null;

		const { payload } = jwt;
		const claims = spec.claims(payload);
		await check('token-claims', () => {
			checkRegistered(payload, env.now() / 1000, spec.issuer ? choice.address : null);
			checkMeasurements(claims, evidence);
		});
		if (claims.tcb !== undefined) await check('tcb-status', () => checkTcb(claims.tcb));
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
		appraise: () => {
			const reports = payload['evaluation-reports'];
			const good = (report: unknown) => typeof own(report, 'policy-id') === 'string';
			if (!Array.isArray(reports) || reports.length === 0 || !reports.every(good)) {
				throw new Problem('appraisal', 'evaluation-reports');
			}
		}
	};
};
