/** A page like open-webui's: what the loader looks at, and no more. */

/** From now on, observers of the document: returns what ends them all, with their test. */
export const collectObservers = () => {
	const observers: MutationObserver[] = [];
	const Original = MutationObserver;
	globalThis.MutationObserver = class extends Original {
		constructor(callback: MutationCallback) {
			super(callback);
			observers.push(this);
		}
	};
	return () => {
		globalThis.MutationObserver = Original;
		for (const observer of observers) observer.disconnect();
	};
};

export const element = (tag: string, attributes: Record<string, string> = {}): HTMLElement => {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
	return made;
};

const within = (...chain: HTMLElement[]): HTMLElement => {
	chain.reduce((outer, inner) => outer.appendChild(inner));
	return chain[0] as HTMLElement;
};

/** The chat with its message box, as open-webui draws it anew for each chat. */
export const makeChat = () => {
	const chat = element('div', { id: 'chat-container' });
	const messages = element('div', { id: 'messages-container' });
	const form = element('form');
	const box = element('div', { id: 'message-input-container' });
	const input = element('div', { id: 'chat-input' });
	const row = element('div', { class: 'self-end flex space-x-1 mr-1 shrink-0' });
	row.append(element('button', { id: 'voice-input-button' }));
	form.append(box);
	box.append(input, row);
	chat.append(messages, form);
	return { chat, messages, form, input, row };
};

/** The General tab of the settings, as from 0.6 on. */
export const makeSettings = () => {
	const tab = element('div', { id: 'tab-general' });
	const first = element('div');
	within(tab, element('div', { class: 'overflow-y-scroll' }), first);
	return { tab, first };
};

/** The General tab of the administrators' settings. */
export const makeAdmin = () => {
	const form = element('form');
	const scrolled = element('div', { class: 'mt-0.5 overflow-y-scroll' });
	const help = element('a', { href: 'https://discord.gg/5rJgQTnV4s' });
	within(form, scrolled, element('div'), help);
	return { form, scrolled };
};

export const placesIn = (root: ParentNode, name = 'badge'): HTMLElement[] => [
	...root.querySelectorAll<HTMLElement>(`[data-tee-place="${name}"]`)
];
