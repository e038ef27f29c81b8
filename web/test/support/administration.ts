/** What a pretended server tells administrators. */
import { GROUPS, type Row } from '../../src/session/administration';

type Facts = Pick<Row, 'kind'> & Partial<Row>;

const PROVIDERS = ['alibaba', 'trustee', 'dcap'];

/** As in the server's table, as far as it matters to a page. */
const KINDS: Record<string, Facts> = {
	providers: { kind: 'words', choices: PROVIDERS, default: PROVIDERS.join(',') },
	default_provider: { kind: 'word', choices: PROVIDERS, default: 'alibaba' },
	alibaba_url: { kind: 'address' },
	trustee_url: { kind: 'address' },
	alibaba_keys: { kind: 'keys' },
	trustee_keys: { kind: 'keys' },
	relay: { kind: 'words', choices: ['alibaba', 'trustee'] },
	policy: { kind: 'policy' },
	pccs_url: { kind: 'address', default: 'https://pcs.example' },
	pccs_update: { kind: 'word', choices: ['early', 'standard'] },
	enforcement: { kind: 'word', choices: ['off', 'warn', 'block'], default: 'warn' },
	sealed: {
		kind: 'word',
		choices: ['off', 'offered', 'required'],
		default: 'offered',
		restart: true
	},
	statement: { kind: 'word', choices: ['on', 'off'], default: 'on', restart: true },
	quote_public: { kind: 'word', choices: ['true', 'false'], default: 'false' },
	quote_limit_user: { kind: 'limit', default: '120/minute' },
	quote_limit_address: { kind: 'limit', default: '120/minute' },
	quote_limit_public: { kind: 'limit', default: '1200/minute' },
	page_sources: { kind: 'origins', restart: true }
};

const SECONDS: Facts = {
	kind: 'seconds',
	default: '10',
	form: 'a number of seconds between 0 and 120'
};

export const settingRow = (name: string, more: object = {}): Row => {
	const facts = KINDS[name] ?? SECONDS;
	const text = facts.default ?? '';
	return {
		value: text,
		initial: text,
		default: text,
		stored: false,
		fixed: false,
		variable: `TEE_${name.toUpperCase()}`,
		form: '',
		choices: [],
		restart: false,
		pending: false,
		...facts,
		...more
	};
};

/** The answer of `GET /admin/settings`, with changes of rows. */
export const settingsDocument = (
	rows: Record<string, object> = {},
	version = 'v1',
	problem: object | null = null
) => ({
	v: 1,
	version,
	problem,
	settings: Object.fromEntries(
		Object.values(GROUPS)
			.flat()
			.map((name) => [name, settingRow(name, rows[name])])
	),
	errors: {}
});
