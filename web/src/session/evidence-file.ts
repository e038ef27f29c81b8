import { toBase64url } from '../base/encoding';
import type { Environment } from '../base/environment';
import type { JsonObject } from '../base/json';
import type { Evidence } from '../evidence/evidence';

/**
 * Evidence as `cczoo-verify --evidence FILE` reads it (verifier/evidence_file.py): the server's answer
 * as it came, and the nonce that it answers. Nothing signs address and time.
 */
export interface SavedEvidence {
	format: 1;
	evidence: JsonObject;
	nonce: string;
	url: string;
	/** RFC 3339. */
	fetched: string;
}

/** This server's address, as `cczoo-verify` takes it. */
export const serverAddress = ({ api, origin }: Environment): string =>
	new URL(api, origin).href.replace(/\/api\/v1$/, '');

export const savedEvidence = (
	env: Environment,
	nonce: Uint8Array<ArrayBuffer>,
	{ document }: Evidence
): SavedEvidence => ({
	format: 1,
	evidence: document,
	nonce: toBase64url(nonce),
	url: serverAddress(env),
	fetched: new Date(env.now()).toISOString()
});
