// @vitest-environment jsdom
import { expect, it, vi } from 'vitest';
import { STORAGE_KEY } from '../src/session/settings';
import { TrustPage } from '../src/ui/trust-page';

it('the page for auditors stands in its document, in the app’s language and theme', async () => {
	const request = vi.spyOn(globalThis, 'fetch');
	localStorage.setItem(STORAGE_KEY, '{"v":1,"enabled":false}');
	localStorage.setItem('locale', 'zh-CN');
	localStorage.setItem('theme', 'oled-dark');
	vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: () => undefined }));
	const main = document.body.appendChild(document.createElement('main'));
	main.textContent = 'Loading';
	main.dataset.certificate = 'AB:CD';
	await import('../src/auditors');
	const { spoken } = await import('../src/page');
	await spoken;
	expect([...main.childNodes]).toEqual([expect.any(TrustPage)]);
	expect(main.firstChild).toMatchObject({ certificate: 'AB:CD' });
	const root = document.documentElement;
	await vi.waitFor(() => {
		expect([root.lang, root.dir, root.className]).toEqual(['zh-hans', 'ltr', 'dark']);
	});
	expect(document.title).toBe(`${location.host} 的远程证明`);
	expect(request).not.toHaveBeenCalled();
});
