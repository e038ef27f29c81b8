/**
 * The page of `make bench` about sealed requests: the page's own channel and `fetch`, in turns.
 *
 * `measured` is, once there, the median milliseconds of a request of each kind; of as many one after
 * the other as it takes to tell them apart where the browser's clock is coarse. `failed` is why not.
 */
import { createChannel } from '../../web/src/transport/client';
import { readKeyset } from '../../web/src/transport/keyset';
import { poolOf } from '../../web/src/transport/pool';

const [ROUNDS, WARM_UP, BATCH] = [40, 5, 10];
const BODY = JSON.stringify({ question: 'x'.repeat(400) });
const FIELDS = [['content-type', 'application/json']];

const { origin } = location;
const url = `${origin}/echo`;
const median = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];

const plain = () => fetch(url, { method: 'POST', headers: FIELDS, body: BODY });

const openChannel = async () => {
	const { subtle } = crypto;
	const answer = await fetch('/keys');
	const keyset = await readKeyset(subtle, await answer.json());
	const env = { fetch: fetch.bind(window), now: Date.now, api: `${origin}/api/v1`, subtle, origin };
	return createChannel({ ...env, fields: [] }, keyset, poolOf());
};

const batch = async (ask) => {
	const began = performance.now();
	for (let count = 0; count < BATCH; count++) {
		const answer = await ask();
		if ((await answer.text()) !== BODY) throw new Error(`answered with ${answer.status}`);
	}
	return (performance.now() - began) / BATCH;
};

const run = async () => {
	const channel = await openChannel();
	const body = new TextEncoder().encode(BODY);
	const sealed = () => channel.request({ method: 'POST', url, fields: FIELDS, body });
	const times = { sealed: [], plain: [] };
	for (let round = 0; round < WARM_UP + ROUNDS; round++) {
		times.sealed.push(await batch(sealed));
		times.plain.push(await batch(plain));
	}
	return Object.fromEntries(
		Object.entries(times).map(([name, values]) => [name, median(values.slice(WARM_UP))])
	);
};

run().then(
	(measured) => (globalThis.measured = measured),
	(error) => (globalThis.failed = String(error))
);
