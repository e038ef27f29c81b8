/**
 * As much of IndexedDB as the kit uses, in memory: one transaction of a database after the other,
 * each kept whole or not at all. The real one is there in the browser suite.
 */

type Values = Map<string, unknown>;

interface Connection extends Record<'createObjectStore' | 'transaction' | 'close', unknown> {
	onversionchange?: () => void;
	onclose?: () => void;
}

/** What a browser keeps, and what becomes of its next transactions. */
export interface PretendedDatabase {
	factory: IDBFactory;
	/** By store. */
	stores: Map<string, Values>;
	/** Connections that were opened. */
	opened: number;
	/** Connections that are open. */
	open: Set<Connection>;
	/** What the next transactions come to: 'lost' is a connection that ended, 'hang' never ends. */
	faults: ('lost' | 'hang' | 'abort')[];
}

interface Pending {
	result?: unknown;
	error: null;
	onsuccess?: () => void;
	onerror?: () => void;
	onupgradeneeded?: () => void;
}

const later = (call: () => void) => setImmediate(call);

export const pretendDatabase = (): PretendedDatabase => {
	/** Ends when the transaction before has. */
	let last: Promise<void> = Promise.resolve();

	const transaction = (name: string) => {
		const fault = there.faults.shift();
		if (fault === 'lost') throw new DOMException('', 'InvalidStateError');
		const before = last;
		let end = (): void => undefined;
		last = fault === 'hang' ? before : new Promise((resolve) => (end = resolve));
		const self: { error: null; oncomplete?: () => void; onabort?: () => void } = { error: null };
		const kept = () => there.stores.get(name) ?? new Map<string, unknown>();
		let changed: Values | undefined;
		let asked = 0;

		const request = (act: (values: Values) => unknown): Pending => {
			const pending: Pending = { error: null };
			asked += 1;
			void before.then(() => {
				later(() => {
					if (fault === 'hang') return;
					changed ??= new Map(kept());
					pending.result = act(changed);
					pending.onsuccess?.();
					asked -= 1;
					later(() => {
						if (asked > 0) return;
						if (fault === 'abort') self.onabort?.();
						else {
							there.stores.set(name, changed ?? new Map<string, unknown>());
							self.oncomplete?.();
						}
						end();
					});
				});
			});
			return pending;
		};
		const store = {
			get: (key: string) => request((values) => structuredClone(values.get(key))),
			put: (value: unknown, key: string) =>
				request((values) => values.set(key, structuredClone(value))),
			delete: (key: string) => request((values) => values.delete(key))
		};
		return Object.assign(self, { objectStore: () => store });
	};

	const open = () => {
		const pending: Pending = { error: null };
		const connection: Connection = {
			createObjectStore: (name: string) => there.stores.set(name, new Map()),
			transaction,
			close: () => there.open.delete(connection)
		};
		later(() => {
			pending.result = connection;
			there.opened += 1;
			there.open.add(connection);
			if (there.stores.size === 0) pending.onupgradeneeded?.();
			pending.onsuccess?.();
		});
		return pending;
	};

	const there: PretendedDatabase = {
		factory: { open } as unknown as IDBFactory,
		stores: new Map(),
		opened: 0,
		open: new Set(),
		faults: []
	};
	return there;
};
