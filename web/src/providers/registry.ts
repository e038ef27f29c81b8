import { recordOf } from '../base/record';

/** What the page knows about a provider before its code has come (code.ts); its name is in the catalogues. */
interface Registered {
	/** The built-in address of its service; empty where it has none, null where it asks none. */
	address: string | null;
	/** Where below that address the service takes evidence; an address may be given with it. */
	path: string;
}

const register = <Id extends string>(providers: Record<Id, Registered>) => providers;

/** All providers, in the order of the settings page. */
export const PROVIDERS = register({
	alibaba: {
		address: 'https://attest.cn-beijing.aliyuncs.com',
		path: '/v1/attestation'
	},
	trustee: {
		address: '',
		path: '/attestation'
	},
	dcap: { address: null, path: '' }
});

export type ProviderId = keyof typeof PROVIDERS;

/** Whom to ask where nobody chose. */
export const DEFAULT_PROVIDER: ProviderId = 'alibaba';

export const providerIds = Object.keys(PROVIDERS) as ProviderId[];

export const isProviderId = (value: unknown): value is ProviderId =>
	providerIds.some((id) => id === value);

/** A value for every provider. */
export const perProvider = <Value>(valueOf: (id: ProviderId) => Value) =>
	recordOf(providerIds, valueOf);
