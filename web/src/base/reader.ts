import { toHex } from './encoding';
import { Problem } from './problem';
import type { ReasonCode } from './reasons';

/** A name and a length in bytes. */
export type Layout<Name extends string> = readonly (readonly [Name, number])[];

/** Read forward inside exact bounds; a read past the end throws `code`. */
export const reader = (bytes: Uint8Array<ArrayBuffer>, code: ReasonCode = 'evidence-malformed') => {
	let at = 0;
	const take = (length: number): Uint8Array<ArrayBuffer> => {
		if (length > bytes.length - at) throw new Problem(code, `length at ${at}`);
		const taken = bytes.subarray(at, at + length);
		at += length;
		return taken;
	};
	return {
		take,
		/** All that was read so far. */
		before: () => bytes.subarray(0, at),
		/** Little-endian, up to 4 bytes, unsigned. */
		number: (length: number): number =>
			take(length).reduceRight((sum, byte) => sum * 256 + byte, 0),
		/** Several fields, one after the other, in lower-case hex. */
		fields: <Name extends string>(layout: Layout<Name>) =>
			Object.fromEntries(layout.map(([name, length]) => [name, toHex(take(length))])) as Record<
				Name,
				string
			>,
		/** Throws `code` where something is left. */
		end: (): void => {
			if (at !== bytes.length) throw new Problem(code, 'trailing bytes');
		}
	};
};

export type Reader = ReturnType<typeof reader>;
