/** An object that has exactly these keys, each with its value. */
export const recordOf = <Key extends string, Value>(
	keys: readonly Key[],
	valueOf: (key: Key) => Value
): Record<Key, Value> =>
	Object.fromEntries(keys.map((key) => [key, valueOf(key)])) as Record<Key, Value>;
