type Original = (...args: unknown[]) => unknown;

/** Stands in for a browser's own function: it gets the object, the arguments and the original. */
export type Around = (self: unknown, args: unknown[], original: Original) => unknown;

/** Put a function around a method or, where the property has one, a setter. */
export const around = (holder: object, name: string, wrapper: Around): void => {
	const descriptor = Object.getOwnPropertyDescriptor(holder, name) ?? {};
	const part = 'set' in descriptor ? 'set' : 'value';
	const original = Reflect.get(descriptor, part) as Original | undefined;
	if (!original) return; // this browser has no such thing
	const inserted = function (this: unknown, ...args: unknown[]): unknown {
		return wrapper(this, args, original);
	};
	Object.defineProperty(holder, name, { ...descriptor, [part]: inserted });
};
