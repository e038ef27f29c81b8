import type { Carrier } from './carrier';
import { isWithin, resolve } from './exchange';
import { around, type Page } from './stand-in';
import { takeOver } from './take-over';

/** Fields as one text: the name of a file stands for it. */
const pairsOf = (data: FormData): [string, string][] =>
	[...data].map(([name, value]) => [name, typeof value === 'string' ? value : value.name]);

/**
 * Forms that are posted to this origin go sealed. Those that ask (`GET`) are navigations like links:
 * the worker has them.
 */
export const wrapForms = (page: Page, carrier: Carrier): void => {
	const { HTMLFormElement, HTMLElement, Element, FormData, URLSearchParams } = page;

	/** What sends a form if it is one to be sealed, or undefined. */
	const sealing = (form: unknown, button: unknown): ((plain: () => void) => void) | undefined => {
		if (!(form instanceof HTMLFormElement)) return undefined;
		const submitter = button instanceof HTMLElement ? button : null;
		/** By the browser's own function: a form's fields stand in for the form's own by their names. */
		const attribute = (element: Element | null, name: string): string | null =>
			element && Element.prototype.getAttribute.call(element, name);
		const said = (name: string): string =>
			attribute(submitter, `form${name}`) ?? attribute(form, name) ?? '';

		const url = resolve(page, said('action') || page.location.href);
		const isPost = said('method').toLowerCase() === 'post';
		if (!isPost || !isWithin(page, 'POST', url)) return undefined;
		return (plain) => {
			const data = new FormData(form, submitter);
			const type = said('enctype').toLowerCase();
			const body =
				type === 'multipart/form-data'
					? data
					: type === 'text/plain'
						? pairsOf(data)
								.map(([name, value]) => `${name}=${value}\r\n`)
								.join('')
						: new URLSearchParams(pairsOf(data));
			const posting = { url, body, target: said('target') || '_self', plain };
			carrier
				.more()
				.then(({ post }) => post(page, carrier, posting))
				.catch(carrier.failed);
		};
	};

	const own = Object.getOwnPropertyDescriptor(HTMLFormElement.prototype, 'submit');
	const submit = (form: HTMLFormElement): void => {
		Reflect.apply(own?.value as () => void, form, []);
	};
	page.addEventListener(
		'submit',
		(event) => {
			const send = sealing(event.target, event.submitter);
			if (!send) return;
			takeOver(event, carrier.later, () => {
				send(() => {
					submit(event.target as HTMLFormElement);
				});
			});
		},
		{ capture: true }
	);
	around(HTMLFormElement.prototype, 'submit', (self, args, original) => {
		const plain = () => {
			Reflect.apply(original, self, args);
		};
		const send = sealing(self, null);
		if (send) send(plain);
		else plain();
	});
};
