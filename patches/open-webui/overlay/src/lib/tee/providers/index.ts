/**
 * The registry, as far as the page itself needs it: names and built-in addresses. The code of each
 * is in a file of its own, listed in `all.ts`, and comes when attestation is on.
 */
export const PROVIDERS = {
	alibaba: {
		name: 'Alibaba Cloud',
		address: 'https://attest.cn-beijing.aliyuncs.com'
	},
	trustee: { name: 'CoCo Trustee', address: '' },
	dcap: { name: 'In this browser', address: '' }
};

export type ProviderId = keyof typeof PROVIDERS;

/** In the order of the settings page; the first one is the default. */
export const providerIds = Object.keys(PROVIDERS) as ProviderId[];
