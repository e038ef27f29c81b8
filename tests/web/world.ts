/** A pretended outside world: a TD that makes evidence, attestation services, a clock. */
import { createHash, generateKeyPairSync, sign as nodeSign, type KeyObject } from 'node:crypto';
import type { Environment } from '$lib/tee/environment';

export const sha256 = (...parts: Uint8Array[]) =>
	parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

export const base64url = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64url');
export const fill = (length: number, byte: number) => Buffer.alloc(length, byte);

const BODY: Array<[string, number]> = [
	['tcb_svn', 16],
	['mr_seam', 48],
	['mrsigner_seam', 48],
	['seam_attributes', 8],
	['td_attributes', 8],
	['xfam', 8],
	['mr_td', 48],
	['mr_config_id', 48],
	['mr_owner', 48],
	['mr_owner_config', 48],
	['rtmr_0', 48],
	['rtmr_1', 48],
	['rtmr_2', 48],
	['rtmr_3', 48],
	['report_data', 64]
];
const BODY_15: Array<[string, number]> = [
	['tee_tcb_svn2', 16],
	['mr_servicetd', 48]
];

export const SEPT_VE_DISABLE = Buffer.from([0, 0, 0, 0x10, 0, 0, 0, 0]);
/** x87, SSE and AVX-512, as TDs of clouds have them. */
export const XFAM = Buffer.from([0xe7, 0, 0, 0, 0, 0, 0, 0]);

export type Fields = Record<string, Buffer>;

/** Every body field with a value of its own, so that no two can be confused. */
export const someFields = (more: Fields = {}): Fields => ({
	...Object.fromEntries(
		[...BODY, ...BODY_15].map(([name, length], at) => [name, fill(length, 0x11 + at)])
	),
	td_attributes: SEPT_VE_DISABLE,
	xfam: XFAM,
	mr_servicetd: fill(48, 0),
	...more
});

const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);

export interface QuoteOptions {
	version?: number;
	later?: boolean;
	chain?: string;
}

/** A quote in form only: no signature in it is real. */
export const makeQuote = (fields: Fields, options: QuoteOptions = {}): Buffer => {
	const { version = 4, later = false, chain = '' } = options;
	const body = Buffer.concat([
		...BODY.map(([name]) => fields[name]),
		...(later ? BODY_15.map(([name]) => fields[name]) : [])
	]);
	const header = Buffer.concat([
		u16(version),
		u16(2),
		u32(0x81),
		fill(4, 0),
		Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'),
		fill(20, 0)
	]);
	const pem = Buffer.from(chain);
	const inner = Buffer.concat([fill(448, 7), u16(32), fill(32, 9), u16(5), u32(pem.length), pem]);
	const signature = Buffer.concat([fill(128, 5), u16(6), u32(inner.length), inner]);
	return Buffer.concat([
		header,
		...(version === 5 ? [u16(later ? 3 : 2), u32(body.length)] : []),
		body,
		u32(signature.length),
		signature
	]);
};

/** PEM of something that names the simulator, as its certificates do. */
export const simulatorChain = () =>
	['-----BEGIN CERTIFICATE-----', Buffer.from(`${'0'.repeat(60)}SIMULATION Root CA${'0'.repeat(60)}`).toString('base64'), '-----END CERTIFICATE-----', ''].join('\n');

export interface TdOptions extends QuoteOptions {
	fields?: Fields;
	simulated?: boolean;
	ccel?: Uint8Array;
	aael?: string;
	/** Other nonces that the same quote answers, before mine. */
	others?: Buffer[];
}

/** What `GET /tee/quote` answers, from the TD's side. */
export const makeEvidence = (nonce: Buffer, options: TdOptions = {}) => {
	const leaves = [...(options.others ?? []), nonce];
	const { root, path } = tree(leaves, leaves.length - 1);
	const runtimeData = Buffer.from(`{"nonce_root":"${base64url(root)}","v":1}`);
	const digest = createHash('sha384').update(runtimeData).digest();
	const fields = { ...(options.fields ?? someFields()), report_data: Buffer.concat([digest, fill(16, 0)]) };
	return {
		fields,
		document: {
			quote: makeQuote(fields, options).toString('hex'),
			quote_parse: {},
			timestamp: '2026-11-22T00:00:00Z',
			id: 'd9428888-122b-11e1-b85c-61cd3cbb3210',
			status: true as unknown,
			tee: 'tdx' as unknown,
			provider: 'tdx_guest',
			simulated: (options.simulated ?? false) as unknown,
			runtime_data: base64url(runtimeData),
			nonce_proof: {
				leaf_index: leaves.length - 1,
				tree_size: leaves.length,
				path: path.map(base64url)
			},
			cc_eventlog: (options.ccel ? Buffer.from(options.ccel).toString('base64') : null) as unknown,
			aa_eventlog: (options.aael ?? null) as unknown,
			fresh: true
		}
	};
};

/** RFC 9162 section 2.1.1 and 2.1.3.1, straight from their recursive definitions. */
export const tree = (leaves: Buffer[], index: number): { root: Buffer; path: Buffer[] } => {
	if (leaves.length === 1) return { root: sha256(Buffer.of(0), leaves[0]), path: [] };
	let k = 1;
	while (k * 2 < leaves.length) k *= 2;
	const inLeft = index < k;
	const left = tree(leaves.slice(0, k), inLeft ? index : 0);
	const right = tree(leaves.slice(k), inLeft ? 0 : index - k);
	return {
		root: sha256(Buffer.of(1), left.root, right.root),
		path: inLeft ? [...left.path, right.root] : [...right.path, left.root]
	};
};

export interface Signer {
	alg: string;
	kid: string;
	key: KeyObject;
	jwk: JsonWebKey & { kid: string; alg: string; use: string };
}

export const makeSigner = (alg: 'RS256' | 'RS384' | 'ES256', kid = `${alg}-key`): Signer => {
	const pair =
		alg === 'ES256'
			? generateKeyPairSync('ec', { namedCurve: 'P-256' })
			: generateKeyPairSync('rsa', { modulusLength: 2048 });
	const jwk = pair.publicKey.export({ format: 'jwk' }) as JsonWebKey;
	return { alg, kid, key: pair.privateKey, jwk: { ...jwk, kid, alg, use: 'sig' } };
};

const HASHES: Record<string, string> = { RS256: 'sha256', RS384: 'sha384', ES256: 'sha256' };

export const signBytes = (signer: Signer, bytes: Uint8Array): Buffer =>
	nodeSign(HASHES[signer.alg], bytes, { key: signer.key, dsaEncoding: 'ieee-p1363' });

/** A compact JWS; `header` replaces parts of the usual one (undefined removes them). */
export const makeToken = (
	signer: Signer,
	payload: unknown,
	header: Record<string, unknown> = {}
): string => {
	const head = JSON.stringify({ alg: signer.alg, kid: signer.kid, typ: 'JWT', ...header });
	const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
	const signed = `${base64url(head)}.${base64url(body)}`;
	return `${signed}.${base64url(signBytes(signer, Buffer.from(signed)))}`;
};

export const hexFields = (fields: Fields, later = false): Record<string, string> =>
	Object.fromEntries(
		[...BODY, ...(later ? BODY_15 : [])].map(([name]) => [name, fields[name].toString('hex')])
	);

export const NOW = 1_795_000_000;

export const alibabaClaims = (fields: Fields, issuer: string): Record<string, unknown> => ({
	aud: issuer,
	iss: issuer,
	iat: NOW,
	nbf: NOW,
	exp: NOW + 21_600,
	jti: 'f8a1d1a4',
	tee: 'tdx',
	eat_profile: `${issuer}/profile`,
	'evaluation-reports': [{ 'policy-id': 'default', 'policy-hash': '00' }],
	customized_claims: { init_data: null, runtime_data: null },
	'tcb-status': JSON.stringify({
		...Object.fromEntries(
			Object.entries(hexFields(fields)).map(([name, value]) => [`tdx.quote.body.${name}`, value])
		),
		'tdx.td_attributes.debug': false
	})
});

export const earClaims = (
	fields: Fields,
	more: Record<string, unknown> = {},
	annotated: Record<string, unknown> = {}
): Record<string, unknown> => ({
	eat_profile: 'tag:github.com,2024:confidential-containers/Trustee',
	iat: NOW,
	exp: NOW + 300,
	'ear.verifier-id': { developer: 'nobody', build: '0' },
	submods: {
		cpu0: {
			'ear.status': 'affirming',
			'ear.veraison.annotated-evidence': {
				tdx: { quote: { header: {}, body: hexFields(fields) } },
				...annotated
			},
			...more
		}
	}
});

export interface Call {
	url: string;
	init: RequestInit;
}

export type Answer =
	| { status?: number; text: string }
	| Response
	| 'no connection'
	| 'hang'
	| 'hang in the body';

/** A fetch that answers by the first route whose text the address contains. */
export const fakeFetch = (routes: Record<string, (call: Call) => Answer | Promise<Answer>>) => {
	const calls: Call[] = [];
	const run = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
		const call = { url: String(input), init };
		calls.push(call);
		const route = Object.keys(routes).find((part) => call.url.includes(part));
		const answer = route ? await routes[route](call) : { status: 404, text: 'no such page' };
		if (answer === 'no connection') throw new TypeError('Failed to fetch');
		if (answer === 'hang') return new Promise(() => {});
		if (answer === 'hang in the body') return new Response(new ReadableStream({}));
		if (answer instanceof Response) return answer;
		return new Response(answer.text, { status: answer.status ?? 200 });
	};
	return { fetch: run as typeof fetch, calls };
};

/** A clock that moves only when told to. */
export const fakeClock = (start = NOW * 1000) => {
	let now = start;
	let timers: Array<{ at: number; call: () => void }> = [];
	return {
		now: () => now,
		later: (ms: number, call: () => void) => {
			const timer = { at: now + ms, call };
			timers.push(timer);
			return () => {
				timers = timers.filter((other) => other !== timer);
			};
		},
		waiting: () => timers.length,
		/** Time goes by and no timer notices: the machine sleeps. */
		sleep: (ms: number) => {
			now += ms;
			timers.forEach((timer) => (timer.at += ms));
		},
		/** Go forward, ringing what is due in its order. */
		advance: (ms: number) => {
			const end = now + ms;
			for (;;) {
				const [next] = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
				if (!next) break;
				timers = timers.filter((other) => other !== next);
				now = Math.max(now, next.at);
				next.call();
			}
			now = end;
		}
	};
};

/** Give everything that is under way the chance to go on (crypto runs on other threads). */
export const settle = async (done: () => boolean, turns = 2000): Promise<void> => {
	for (let turn = 0; turn < turns && !done(); turn++) {
		await new Promise((resolve) => setImmediate(resolve));
		if (turn > 50) await new Promise((resolve) => setTimeout(resolve, 1));
	}
	if (!done()) throw new Error('nothing more happens');
};

/** A browser's storage, with what is in it. */
export const fakeStorage = (items = new Map<string, string>()) => ({
	items,
	getItem: (name: string) => items.get(name) ?? null,
	setItem: (name: string, value: string) => void items.set(name, value)
});

let drawn = 0;

export const makeEnvironment = (
	fetch: typeof globalThis.fetch,
	more: Partial<Environment> = {}
): Environment => {
	const clock = fakeClock();
	return {
		fetch,
		now: clock.now,
		later: clock.later,
		random: (length) => createHash('sha512').update(String(drawn++)).digest().subarray(0, length),
		subtle: crypto.subtle,
		memory: fakeStorage(),
		local: () => import('$lib/tee/local'),
		token: () => 'session-token',
		api: '/api/v1',
		...more
	};
};

export const nonceOf = ({ url }: Call): Buffer =>
	Buffer.from(new URL(url, 'http://x').searchParams.get('nonce') ?? '', 'base64url');
