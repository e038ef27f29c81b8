/** Whoever has the keys of the pretended TD, which has just started. */
import { NOW } from './now';
import { makeSealedServer } from './sealed-server';

export const HOLDER = await makeSealedServer((NOW + 3600) * 1000);
