/** Requests say which statement of the server they are meant for, and hear where that has changed. */
import { SealedError } from './errors';

const FIELD = 'tee-statement';

type Fields = readonly (readonly [name: string, value: string])[];

/** A request's fields with this one, whatever the app says there. */
export const meantFor = (statement: string, fields: Fields): [string, string][] => [
	...fields
		.filter(([name]) => name.toLowerCase() !== FIELD)
		.map(([name, value]): [string, string] => [name, value]),
	[FIELD, statement]
];

/** Throws `statement-changed` where it is the kit's answer that says so, and not one of the app's. */
export const refuseChange = async (answer: Response): Promise<void> => {
	if (answer.status !== 409) return;
	const told: unknown = await answer
		.clone()
		.json()
		.catch(() => null);
	const { code } = Object(told) as { code?: unknown };
	if (code === 'statement-changed') throw new SealedError(code, '', 409);
};
