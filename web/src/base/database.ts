/** One table of one database in this browser (IndexedDB), whose keys are names. */
export interface Table {
	/** Asked for late: where IndexedDB is forbidden, even its name throws. */
	factory: () => IDBFactory;
	database: string;
	store: string;
}

/** What a request of IndexedDB ends with. */
export const resultOf = <T>(request: IDBRequest<T>): Promise<T> =>
	new Promise((resolve, reject) => {
		request.onsuccess = () => {
			resolve(request.result);
		};
		request.onerror = () => {
			reject(new Error(request.error?.name));
		};
	});

/** Settles when a transaction is kept, or is not going to be. */
const endOf = (transaction: IDBTransaction): Promise<void> =>
	new Promise((resolve, reject) => {
		transaction.oncomplete = () => {
			resolve();
		};
		transaction.onabort = () => {
			reject(new Error(transaction.error?.name));
		};
	});

/** Open a table's database, which is made where it is not there; rejects where nothing is kept. */
export const openDatabase = ({ factory, database, store }: Table): Promise<IDBDatabase> => {
	const opening = factory().open(database, 1);
	opening.onupgradeneeded = () => {
		opening.result.createObjectStore(store);
	};
	return resultOf(opening);
};

/** Do something with a store in one transaction, which no other one of this origin comes between. */
export const within = async <T>(
	database: IDBDatabase,
	store: string,
	mode: IDBTransactionMode,
	act: (store: IDBObjectStore) => Promise<T>
): Promise<T> => {
	const transaction = database.transaction(store, mode);
	const [result] = await Promise.all([act(transaction.objectStore(store)), endOf(transaction)]);
	return result;
};

/** The same with a table whose database is open no longer than that takes. */
export const transact = async <T>(
	table: Table,
	mode: IDBTransactionMode,
	act: (store: IDBObjectStore) => Promise<T>
): Promise<T> => {
	const database = await openDatabase(table);
	try {
		return await within(database, table.store, mode, act);
	} finally {
		database.close();
	}
};
