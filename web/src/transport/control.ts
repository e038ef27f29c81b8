/** The page's side of the service worker: it is registered, controls the page, and stays. */
import type { Environment } from '../base/environment';
import { CLAIM, type Claimed } from './claim';

/** Milliseconds in which a worker comes, or counts as not there. */
export const PATIENCE = 15_000;

/** Whether the worker has the page, or why it has not. */
export type Control =
	| {
			kind: 'controlled';
			/**
			 * Whether this document stands in for the one that the person went to, which could not be
			 * asked for before there was a permission.
			 */
			standIn: Promise<boolean>;
	  }
	/**
	 * What the browser itself loads passes by the seal, without cookies or token, so that the app
	 * refuses it: pictures and downloads are missing. What the page's code asks for is sealed.
	 */
	| {
			kind: 'none';
			/** Such as in some private windows and by plain HTTP; refused by the browser; in time. */
			why: 'no-workers' | 'refused' | 'late';
	  };

/** What of the browser's own is used. */
export type Container = Pick<
	ServiceWorkerContainer,
	| 'controller'
	| 'register'
	| 'getRegistration'
	| 'getRegistrations'
	| 'addEventListener'
	| 'removeEventListener'
>;

const NONE = { kind: 'none' } as const;

/** Take a worker's `unregister` from all who do not have the person's word, and return it. */
const keep = (registration: ServiceWorkerRegistration): (() => Promise<boolean>) => {
	const unregister = registration.unregister.bind(registration);
	registration.unregister = () => Promise.resolve(true);
	return unregister;
};

/** The worker at one address, for all pages of this origin. */
export class WorkerControl {
	/** The browser's own, from before they are hidden. */
	readonly #register: Container['register'];
	readonly #registrations: Container['getRegistrations'];
	#release: (() => Promise<boolean>) | undefined;

	/**
	 * @param container Undefined where the browser has no workers.
	 * @param address Where the script is, whatever its version.
	 */
	constructor(
		private readonly container: Container | undefined,
		private readonly address: string,
		private readonly later: Environment['later']
	) {
		this.#register =
			container?.register.bind(container) ?? (() => Promise.reject(new Error('no-workers')));
		this.#registrations =
			container?.getRegistrations.bind(container) ?? (() => Promise.resolve([]));
		if (container) this.#hide(container);
	}

	/** Register the worker and wait until it controls this page, or cannot. */
	async take(patience = PATIENCE): Promise<Control> {
		const { container, address } = this;
		if (!container) return { ...NONE, why: 'no-workers' };
		const registering = this.#register(address, { scope: '/', updateViaCache: 'none' }).then(
			(registration) => {
				this.#release ??= keep(registration);
				return registration;
			}
		);
		if (this.#isOurs(container.controller)) {
			registering.catch(() => undefined); // it is asked for an update only
			return { kind: 'controlled', standIn: this.#claim(container.controller) };
		}
		return new Promise((resolve) => {
			const end = () => {
				cancel();
				container.removeEventListener('controllerchange', look);
			};
			const fail = (why: 'late' | 'refused') => {
				end();
				resolve({ ...NONE, why });
			};
			const look = () => {
				const { controller } = container;
				if (!this.#isOurs(controller)) return;
				end();
				resolve({ kind: 'controlled', standIn: this.#claim(controller) });
			};
			const cancel = this.later(patience, () => {
				fail('late');
			});
			container.addEventListener('controllerchange', look);
			registering.then(
				(registration) => {
					// One that is active leaves a page alone that was reloaded past it.
					void this.#claim(registration.active);
					look();
				},
				() => {
					fail('refused');
				}
			);
		});
	}

	/** By the person's word: this browser forgets the origin, and the worker goes. */
	async release(): Promise<void> {
		const ours = (await this.#registrations()).find((one) => this.#isBehind(one));
		if (ours) this.#release ??= keep(ours);
		await this.#release?.();
	}

	#isBehind({ active, waiting, installing }: ServiceWorkerRegistration): boolean {
		return [active, waiting, installing].some((worker) => this.#isOurs(worker));
	}

	#isOurs(worker: ServiceWorker | null | undefined): worker is ServiceWorker {
		return worker?.scriptURL === this.address;
	}

	/** Ask a worker for control; whether this document stands in for another. */
	#claim(worker: ServiceWorker | null): Promise<boolean> {
		return new Promise((resolve) => {
			if (!worker) {
				resolve(false);
				return;
			}
			const cancel = this.later(PATIENCE, () => {
				resolve(false);
			});
			const { port1, port2 } = new MessageChannel();
			port1.onmessage = ({ data }: MessageEvent<Partial<Claimed> | null>) => {
				cancel();
				port1.close();
				resolve(data?.standIn === true);
			};
			worker.postMessage(CLAIM, [port2]);
		});
	}

	/**
	 * Newer versions of open-webui unregister every worker at an update. Ours they do not see; and as
	 * one of theirs would take its place, there is none.
	 */
	#hide(container: Container): void {
		const one = container.getRegistration.bind(container);
		container.getRegistrations = async () =>
			(await this.#registrations()).filter((registration) => !this.#isBehind(registration));
		container.getRegistration = async (url) => {
			const registration = await one(url);
			return registration && !this.#isBehind(registration) ? registration : undefined;
		};
		container.register = () => Promise.reject(new DOMException('', 'SecurityError'));
	}
}
