/**
 * The page of `make bench`: this kit's verifier and the two on npm, on the same quote, in turns.
 *
 * `bench(material, rounds)` answers, for each verifier, in milliseconds: how long it took to start,
 * its first verification, and the median of the others.
 */
import { Buffer } from 'buffer';
import { DEFAULT_POLICY } from '../../web/src/policy/policy';
import { verifyQuote } from '../../web/src/dcap/verify';

globalThis.Buffer = Buffer;

const bytes = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];

/** Each: what is ready to be called over and over, and throws unless the quote is accepted. */
const verifiers = {
	async ours({ quote, collateral, rootKey, now }) {
		const raw = bytes(quote);
		return async () => {
			const options = { rootKey: bytes(rootKey), now, policy: DEFAULT_POLICY };
			const { findings, tcb } = await verifyQuote(crypto.subtle, raw, collateral, options);
			const bad = Object.values(findings).find(({ outcome }) => outcome !== 'pass');
			if (bad || tcb?.status !== 'UpToDate') throw new Error(JSON.stringify(bad ?? tcb ?? null));
		};
	},
	async javascript({ quote, flat, root, now }) {
		const { QuoteVerifier } = (await import('@phala/dcap-qvl')).default;
		const verifier = QuoteVerifier.newWithRootCa(Buffer.from(bytes(root)));
		const raw = Buffer.from(bytes(quote));
		return async () => {
			const { status } = await verifier.verify(raw, flat, now);
			if (status !== 'UpToDate') throw new Error(status);
		};
	},
	async wasm({ quote, flat, now, wasm }) {
		const { default: start, js_verify: verify } = await import('@phala/dcap-qvl-web');
		await start({ module_or_path: bytes(wasm) });
		const raw = bytes(quote);
		return async () => {
			const { status } = verify(raw, flat, BigInt(now));
			if (status !== 'UpToDate') throw new Error(status);
		};
	}
};

const timed = async (call) => {
	const began = performance.now();
	await call();
	return performance.now() - began;
};

globalThis.bench = async (material, rounds) => {
	const ready = [];
	for (const [name, make] of Object.entries(verifiers)) {
		let verify;
		const start = await timed(async () => (verify = await make(material)));
		ready.push({ name, verify, start, first: await timed(verify), times: [] });
	}
	for (let round = 0; round < rounds; round++) {
		for (const { verify, times } of ready) times.push(await timed(verify));
	}
	return Object.fromEntries(
		ready.map(({ name, start, first, times }) => [name, { start, first, median: median(times) }])
	);
};
