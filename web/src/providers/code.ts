import alibaba from './alibaba';
import dcap from './dcap';
import type { Provider } from './provider';
import type { ProviderId } from './registry';
import trustee from './trustee';

/** Every provider's code: it comes with the verification, and not with the page. */
export const CODE: Readonly<Record<ProviderId, Provider>> = { alibaba, trustee, dcap };
