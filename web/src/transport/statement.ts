/** Requests say which statement of the server they are meant for, and hear where that has changed. */
import { SealedError } from './errors';

/** A request's field, and that of an answer which says that the statement has changed. */
export const STATEMENT = 'tee-statement';

type Fields = readonly (readonly [name: string, value: string])[];

/** A request's fields with this one, whatever the app says there. */
export const meantFor = (statement: string, fields: Fields): [string, string][] => [
	...fields
		.filter(([name]) => name.toLowerCase() !== STATEMENT)
		.map(([name, value]): [string, string] => [name, value]),
	[STATEMENT, statement]
];

/** Throws `statement-changed` where that is what the kit answers, and not the app. */
export const refuseChange = ({ status, headers }: Response): void => {
	if (status === 409 && headers.has(STATEMENT)) throw new SealedError('statement-changed');
};
