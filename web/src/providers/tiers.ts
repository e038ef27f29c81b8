/** A claim of a trustworthiness vector (draft-ietf-rats-ar4si, section 2.3): `hardware 97`. */
export type TrustClaim = readonly [name: string, value: number];

/** The tier of a claim's value (draft-ietf-rats-ar4si, section 2.3.2). */
export const tierOf = (value: number) => {
	if (value >= -1 && value <= 1) return 'none';
	if (value >= -32 && value < 32) return 'affirming';
	return value >= -96 && value < 96 ? 'warning' : 'contraindicated';
};

/** A verdict with the claims that it rests on, as the detail of a check. */
export const writeVerdict = (status: string, claims: readonly TrustClaim[]): string => {
	const texts = new Set(claims.map(([name, value]) => `${name} ${value}`));
	return texts.size > 0 ? `${status}: ${[...texts].join(', ')}` : status;
};

/** The claims in such a detail; none in any other text. */
export const claimsIn = (detail: string): TrustClaim[] => {
	const [, list = ''] = /^[a-z]+: ((?:[a-z][a-z-]* -?\d{1,3}(?:, |$))+)$/.exec(detail) ?? [];
	return Array.from(list.matchAll(/([a-z-]+) (-?\d+)/g), ([, name = '', value]) => [
		name,
		Number(value)
	]);
};
