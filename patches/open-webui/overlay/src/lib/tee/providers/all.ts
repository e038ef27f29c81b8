import type { ProviderId } from '.';
import alibaba from './alibaba';
import dcap from './dcap';
import type { Provider } from './provider';
import trustee from './trustee';

/** The code of every provider; a registered one that is missing here does not compile. */
export const all: Record<ProviderId, Provider> = { alibaba, trustee, dcap };
