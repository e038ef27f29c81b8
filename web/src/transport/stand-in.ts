/** One object answers in another's place, so that what the page made stays what it is. */

/** Something of the browser's own: an object, or one that is made to be one. */
export type Page = Window & typeof globalThis;

type Original = (...args: unknown[]) => unknown;
type Around = (self: object, args: unknown[], original: Original) => unknown;

/**
 * Whatever is asked of an object that has a stand-in, the stand-in answers, by the same name; what it
 * has not, and all other objects, are as before.
 *
 * @param prototype That of the objects; it is changed.
 * @param of The stand-in of an object, if it has one.
 */
export const divert = (prototype: object, of: (self: object) => object | undefined): void => {
	for (const [name, native] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
		if (name === 'constructor') continue;
		const standIn = (self: object): object | undefined => {
			const found = of(self);
			return found && name in found ? found : undefined;
		};
		const [get, set, call] = ['get', 'set', 'value'].map((part): unknown =>
			Reflect.get(native, part)
		) as (Original | undefined)[];
		const changed: PropertyDescriptor = { ...native };
		if (get) {
			changed.get = function (this: object): unknown {
				const instead = standIn(this);
				return instead ? Reflect.get(instead, name) : Reflect.apply(get, this, []);
			};
		}
		if (set) {
			changed.set = function (this: object, value: unknown) {
				const instead = standIn(this);
				if (instead) Reflect.set(instead, name, value);
				else Reflect.apply(set, this, [value]);
			};
		}
		if (typeof call === 'function') {
			changed.value = function (this: object, ...args: unknown[]): unknown {
				const instead = standIn(this);
				return instead
					? Reflect.apply(Reflect.get(instead, name) as Original, instead, args)
					: Reflect.apply(call, this, args);
			};
		}
		if (get || set || typeof call === 'function') Object.defineProperty(prototype, name, changed);
	}
};

/** Put a function around one of the browser's own, where this browser has it. */
export const around = (holder: object, name: string, wrapper: Around): void => {
	const native = Object.getOwnPropertyDescriptor(holder, name);
	if (typeof native?.value !== 'function') return;
	const original = native.value as Original;
	const value = function (this: object, ...args: unknown[]): unknown {
		return wrapper(this, args, original);
	};
	Object.defineProperty(holder, name, { ...native, value });
};

/**
 * Have a class make other objects of itself where it would connect: they are instances of it, and of
 * what is derived from it, and have its constants.
 *
 * @param make Makes one, from a blank one, or returns undefined for the browser's own.
 */
export const construct = (
	page: Page,
	name: 'WebSocket' | 'EventSource',
	make: (args: unknown[], blank: () => EventTarget) => EventTarget | undefined
): void => {
	const native = page[name] as (new (...args: never[]) => object) | undefined;
	if (!native) return; // this browser has no such thing
	const { EventTarget } = page;
	const value = new Proxy(native, {
		construct: (target, args: never[], newTarget: new () => EventTarget): object =>
			make(args, () => Reflect.construct(EventTarget, [], newTarget)) ??
			Reflect.construct(target, args, newTarget)
	});
	const changed = { value, writable: true, configurable: true };
	Object.defineProperty(page, name, changed);
	// Nobody gets at the browser's own by an instance.
	Object.defineProperty(native.prototype, 'constructor', changed);
};

/** Give a stand-in the properties `on...` of what it stands for. */
export const handlers = (standIn: object, target: EventTarget, types: readonly string[]): void => {
	for (const type of types) {
		let handler: unknown = null;
		let listening = false;
		Object.defineProperty(standIn, `on${type}`, {
			get: () => handler,
			set(value: unknown) {
				handler = typeof value === 'function' ? value : null;
				if (listening) return;
				listening = true;
				target.addEventListener(type, (event) => {
					if (typeof handler === 'function') Reflect.apply(handler, target, [event]);
				});
			}
		});
	}
};
