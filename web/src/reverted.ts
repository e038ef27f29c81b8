/** The script of the page that the worker shows where this origin has lost the kit. */
import { revertedIn } from './i18n/reverted';
import { showReverted } from './transport/reverted';

/** Settles when a database is gone; the worker closes it for that. */
const deleted = (name: string): Promise<void> =>
	new Promise((resolve) => {
		const deleting = indexedDB.deleteDatabase(name);
		deleting.onsuccess = deleting.onerror = () => {
			resolve();
		};
	});

showReverted(document, revertedIn(navigator.languages), async () => {
	await (await navigator.serviceWorker.getRegistration('/'))?.unregister();
	await deleted('tee-sealed');
	location.reload();
});
