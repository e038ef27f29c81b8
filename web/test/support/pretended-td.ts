/** A pretended TD: quotes and evidence that are good in form, with every byte up to the test. */
import { base64url, bits, fill, sha256, sha384, u16, u32, type Bytes } from './bytes';
import { HOLDER } from './holder';
import { must } from './must';

const BODY = [
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
] as const;
/** What a TDX 1.5 body has after those. */
const BODY_15 = [
	['tee_tcb_svn2', 16],
	['mr_servicetd', 48]
] as const;
/** And what an extended one has after those. */
const BODY_15_EXTENDED = [
	['vmid', 1],
	['td_id', 32],
	['devinfo', 48],
	['init_server_td_hash', 48],
	['init_server_td_attr', 8],
	['init_cpu_svn', 16],
	['init_tee_tcb_svn', 16],
	['init_tee_fmspc', 12],
	['curr_server_td_hash', 48],
	['curr_server_td_attr', 8]
] as const;
const ALL = [...BODY, ...BODY_15, ...BODY_15_EXTENDED];
/** Of a nested guest, or of a service TD: such a TD is one of a kind, unless they are zero. */
const isZero = (name: FieldName): boolean => /^vmid$|servicetd|server_td/.test(name);

export type FieldName = (typeof ALL)[number][0];
export type Fields = Record<FieldName, Bytes>;

/** Of the fields that every body has. */
export const fieldNames: readonly FieldName[] = BODY.map(([name]) => name);

export const SEPT_VE_DISABLE = bits(28);
/** x87, SSE and AVX-512, as TDs of clouds have them. */
export const XFAM = bits(0, 1, 2, 5, 6, 7);

/** Every body field with a value of its own, so that no two can be confused; zero where it must. */
export const someFields = (more: Partial<Fields> = {}): Fields => ({
	...(Object.fromEntries(
		ALL.map(([name, length], at) => [name, fill(length, 0x11 + at)])
	) as Fields),
	td_attributes: SEPT_VE_DISABLE,
	xfam: XFAM,
	...(Object.fromEntries(
		ALL.flatMap(([name, length]) => (isZero(name) ? [[name, fill(length, 0)]] : []))
	) as Partial<Fields>),
	...more
});

type Later = boolean | 'extended';

/** What a body has, by `QuoteOptions.later`. */
const layoutOf = (later: Later) => [
	...BODY,
	...(later ? BODY_15 : []),
	...(later === 'extended' ? BODY_15_EXTENDED : [])
];

export const hexFields = (fields: Fields, later: Later = false): Record<string, string> =>
	Object.fromEntries(layoutOf(later).map(([name]) => [name, fields[name].toString('hex')]));

export interface QuoteOptions {
	version?: number;
	/** With a TDX 1.5 body, or an extended one. */
	later?: Later;
	chain?: string;
}

/** A quote in form only: no signature in it is real. */
export const makeQuote = (fields: Fields, options: QuoteOptions = {}): Bytes => {
	const { version = 4, later = false, chain = '' } = options;
	const body = Buffer.concat(layoutOf(later).map(([name]) => fields[name]));
	const type = later === 'extended' ? 4 : later ? 3 : 2;
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
		...(version === 5 ? [u16(type), u32(body.length)] : []),
		body,
		u32(signature.length),
		signature
	]);
};

/** PEM of something that names the simulator, as its certificates do. */
export const simulatorChain = (): string => {
	const content = `${'0'.repeat(60)}SIMULATION Root CA${'0'.repeat(60)}`;
	return [
		'-----BEGIN CERTIFICATE-----',
		Buffer.from(content).toString('base64'),
		'-----END CERTIFICATE-----',
		''
	].join('\n');
};

/** RFC 9162 section 2.1.1 and 2.1.3.1, straight from their recursive definitions. */
export const tree = (
	leaves: readonly Uint8Array[],
	index: number
): { root: Bytes; path: Bytes[] } => {
	if (leaves.length === 1) return { root: sha256(Buffer.of(0), must(leaves[0])), path: [] };
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

export interface TdOptions extends QuoteOptions {
	fields?: Fields;
	simulated?: boolean;
	ccel?: Uint8Array;
	aael?: string;
	/** Other nonces that the same quote answers, before mine. */
	others?: Bytes[];
	/** What it binds and shows: `HOLDER`'s where nothing else is said; null: nothing (version 1). */
	keyset?: object | null;
	statement?: object;
	/** What it shows in their place. */
	shown?: { keyset?: unknown; statement?: unknown };
}

/** Of a document whose members are written in the order of their names. */
const digestOf = (document: object): string => {
	const text = JSON.stringify(document, (_name, value: unknown) =>
		typeof value === 'object' && value !== null && !Array.isArray(value)
			? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
			: value
	);
	return base64url(sha256(Buffer.from(text)));
};

/** The exact bytes that the quote is over, and what the evidence shows of what they bind. */
const bind = (root: Bytes, options: TdOptions) => {
	const { keyset = HOLDER.keyset, statement = { v: 1 } } = options;
	const nonce_root = base64url(root);
	if (keyset === null) {
		return {
			runtimeData: Buffer.from(`{"nonce_root":"${nonce_root}","v":1}`),
			shown: options.shown
		};
	}
	const [keys, stated] = [digestOf(keyset), digestOf(statement)];
	const members = { keys, nonce_root, statement: stated, v: 2 };
	return {
		runtimeData: Buffer.from(JSON.stringify(members)),
		shown: { keyset, statement, ...options.shown }
	};
};

/** What `GET /tee/quote` answers, from the TD's side. */
export const makeEvidence = (nonce: Uint8Array, options: TdOptions = {}) => {
	const leaves = [...(options.others ?? []), nonce];
	const { root, path } = tree(leaves, leaves.length - 1);
	const { runtimeData, shown } = bind(root, options);
	const report_data = Buffer.concat([sha384(runtimeData), fill(16, 0)]);
	const fields: Fields = { ...(options.fields ?? someFields()), report_data };
	return {
		fields,
		document: {
			quote: makeQuote(fields, options).toString('hex'),
			quote_parse: {},
			timestamp: '2026-11-22T00:00:00Z',
			id: 'd9428888-122b-11e1-b85c-61cd3cbb3210',
			status: true,
			tee: 'tdx',
			provider: 'tdx_guest',
			simulated: options.simulated ?? false,
			runtime_data: base64url(runtimeData),
			nonce_proof: {
				leaf_index: leaves.length - 1,
				tree_size: leaves.length,
				path: path.map(base64url)
			},
			cc_eventlog: options.ccel ? Buffer.from(options.ccel).toString('base64') : null,
			aa_eventlog: options.aael ?? null,
			fresh: true,
			...shown
		}
	};
};
