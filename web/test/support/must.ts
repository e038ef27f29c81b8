/** A value that the test knows to be there. */
export const must = <T>(value: T | null | undefined): T => {
	if (value === null || value === undefined) throw new Error('not there');
	return value;
};
