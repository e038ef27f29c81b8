// @vitest-environment jsdom
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { guardFrames, isForeign, rightsOf } from '../../src/guard/frames';
import { guard } from '../../src/guard/guard';
import { isScript } from '../../src/guard/links';

let asked: Promise<void>;
const opened = vi.fn();

// Once: what is put around the browser's own functions stays there.
beforeAll(() => {
	Object.defineProperty(window, 'open', { value: opened, configurable: true, writable: true });
	asked = guard(window);
});
beforeEach(() => {
	document.body.replaceChildren();
});

const ORIGIN = location.origin;
const frame = (attributes: Record<string, string> = {}): HTMLIFrameElement => {
	const made = document.createElement('iframe');
	for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
	return made;
};
const sandboxOf = (element: Element | null) => element?.getAttribute('sandbox');

const GIVEN = 'allow-scripts allow-forms allow-downloads';

describe('a frame', () => {
	it.each([
		[null, GIVEN],
		['', ''],
		['allow-scripts allow-forms allow-same-origin', 'allow-scripts allow-forms'],
		[' allow-scripts\n\tALLOW-SAME-ORIGIN  allow-downloads ', 'allow-scripts allow-downloads'],
		['allow-top-navigation allow-top-navigation-by-user-activation allow-modals', 'allow-modals'],
		['allow-top-navigation-to-custom-protocols allow-popups-to-escape-sandbox', ''],
		['allow-popups', 'allow-popups']
	])('with the rights %j keeps %j of them', (sandbox, rights) => {
		expect(rightsOf(sandbox)).toBe(rights);
	});

	it.each([
		['the text of a page', null, '<p>', true],
		['an empty text', null, '', true],
		['text, whatever its address', 'https://elsewhere.example/', '', true],
		['nothing', null, null, false],
		['an empty address', '', null, false],
		['a blank page', 'about:blank', null, false],
		['a page of this origin', '/c/1', null, true],
		['a page of this origin, in full', `${ORIGIN}/x`, null, true],
		['a page beside this one', 'x', null, true],
		['a file as HTML', '/api/v1/files/1-a/content/html', null, true],
		['a file as it is, such as a PDF', '/api/v1/files/1-a/content#page=2', null, false],
		['something that only sounds like it', '/cache/x?/api/v1/files/1/content', null, true],
		['a way around', '/api/v1/files/a/../../../../cache/content', null, true],
		['the kit’s own frame', '/api/v1/tee/courier?origin=https%3A%2F%2Fx.example', null, false],
		['a page of a site', 'https://elsewhere.example/', null, false],
		['bytes that the page made', `blob:${ORIGIN}/1`, null, true],
		['bytes in the address', 'data:text/html,<p>', null, true],
		['such a path within another', '/cache/x/api/v1/files/1-a/content', null, true],
		['the kit’s frame within another path', '/cache/api/v1/tee/courier', null, true],
		['a path that a server may read as another', '/api/v1/files/1%2Fcontent/content', null, true],
		['a script', 'javascript:alert(1)', null, true],
		['an address that is none', 'https://%', null, true]
	])('of %s', (_what, src, srcdoc, foreign) => {
		expect(isForeign({ src, srcdoc }, document)).toBe(foreign);
	});

	it.each(['sandbox first', 'sandbox last'])('has its rights before its text (%s)', (order) => {
		const rights = { sandbox: 'allow-scripts allow-same-origin' };
		const text = { srcdoc: '<p>' };
		const made = frame(order === 'sandbox first' ? { ...rights, ...text } : { ...text, ...rights });
		expect([sandboxOf(made), made.getAttribute('srcdoc')]).toEqual(['allow-scripts', '<p>']);
	});

	it('gets its rights by properties as well', () => {
		const [text, address] = [frame(), frame()];
		text.srcdoc = '<p>';
		address.src = '/x';
		expect([sandboxOf(text), sandboxOf(address)]).toEqual([GIVEN, GIVEN]);
		expect([text.srcdoc, address.src]).toEqual(['<p>', `${ORIGIN}/x`]);
	});

	it('stays without rights when its sandbox is taken away, until nothing foreign is in it', () => {
		const made = frame({ srcdoc: '<p>', sandbox: 'allow-scripts' });
		made.removeAttribute('sandbox');
		expect(sandboxOf(made)).toBe(GIVEN);
		made.removeAttribute('SRCDOC');
		made.removeAttribute('sandbox');
		expect(sandboxOf(made)).toBeNull();
	});

	it('that becomes foreign loses what it had', () => {
		const made = frame({ src: 'https://elsewhere.example/', sandbox: 'allow-same-origin' });
		expect(sandboxOf(made)).toBe('allow-same-origin');
		made.setAttribute('SRC', '/x');
		expect(sandboxOf(made)).toBe('');
	});

	it.each(['javascript:run()', ' java\nscript:run()'])(
		'gets no script as address: %j',
		(script) => {
			const made = frame({ src: 'https://elsewhere.example/' });
			made.src = script;
			made.setAttribute('src', script);
			expect(made.getAttribute('src')).toBe('https://elsewhere.example/');
			expect(frame({ src: script }).outerHTML).toBe('<iframe></iframe>');
		}
	);

	it('of a site is left as the app wants it', () => {
		const made = frame({ src: 'https://www.youtube.com/embed/1', title: 'x' });
		expect([sandboxOf(made), made.title]).toEqual([null, 'x']);
		made.removeAttribute('title');
		expect(made.title).toBe('');
	});

	it('that is copied keeps its rights, and gets new ones with a new text', () => {
		const template = document.createElement('template');
		template.innerHTML = '<iframe title="Content"></iframe>';
		const copy = document.importNode(template.content, true).firstElementChild;
		expect(sandboxOf(copy)).toBeNull();
		copy?.setAttribute('srcdoc', '<p>');
		expect([sandboxOf(copy), sandboxOf(copy?.cloneNode() as Element)]).toEqual([GIVEN, GIVEN]);
	});

	describe('that gets one text after the other', () => {
		beforeEach(() => {
			vi.useFakeTimers();
			return () => vi.useRealTimers();
		});
		const shown = (made: HTMLIFrameElement) => made.getAttribute('srcdoc');
		const come = (made: HTMLIFrameElement) => made.dispatchEvent(new Event('load'));
		/** A frame in the page, as the app makes one, whose first text has not come. */
		const inPage = () => {
			const made = frame({ srcdoc: '1' });
			document.body.append(made);
			return made;
		};

		it('shows each when the one before has come, and of those that wait the newest', () => {
			const made = inPage();
			for (const text of ['2', '3', '4']) made.setAttribute('srcdoc', text);
			expect(shown(made)).toBe('1');
			come(made);
			expect(shown(made)).toBe('4');
			made.srcdoc = '5';
			expect(shown(made)).toBe('4');
			come(made);
			expect(shown(made)).toBe('5');
			come(made);
			made.srcdoc = '6';
			expect(shown(made)).toBe('6');
		});

		it('does not wait for ever', () => {
			const made = inPage();
			made.srcdoc = '2';
			vi.advanceTimersByTime(499);
			expect(shown(made)).toBe('1');
			vi.advanceTimersByTime(1);
			expect(shown(made)).toBe('2');
		});

		it('does not wait outside the page', () => {
			const made = frame({ srcdoc: '1' });
			made.srcdoc = '2';
			expect(shown(made)).toBe('2');
			document.body.append(made);
			made.srcdoc = '3';
			expect(shown(made)).toBe('2');
			vi.advanceTimersByTime(500);
			expect(shown(made)).toBe('3');
		});

		it('shows nothing when the newest is none', () => {
			const made = inPage();
			made.srcdoc = '2';
			made.removeAttribute('srcdoc');
			come(made);
			expect(shown(made)).toBeNull();
		});

		it('has no rights by what changed while one waited', () => {
			const made = frame({ srcdoc: '' });
			made.removeAttribute('srcdoc');
			document.body.append(made);
			made.srcdoc = '<p>';
			made.setAttribute('sandbox', 'allow-scripts allow-same-origin');
			come(made);
			expect([sandboxOf(made), shown(made)]).toEqual(['allow-scripts', '<p>']);
		});
	});

	describe('that is to show what an address of this origin has', () => {
		const fetched = vi.fn<(address: string) => Promise<Response>>();
		const page = (text: string, type = 'text/html; charset=utf-8') =>
			Promise.resolve(new Response(text, { headers: { 'content-type': type } }));
		const shows = (made: Element | null, text: string | null) =>
			vi.waitFor(() => {
				expect(made?.getAttribute('srcdoc')).toBe(text);
			});
		beforeEach(() => {
			fetched.mockReset();
			vi.stubGlobal('fetch', fetched);
			return () => vi.unstubAllGlobals();
		});

		it('gets it from the page, and asks for nothing by itself', async () => {
			fetched.mockReturnValue(page('<p>file'));
			const made = frame({ src: '/api/v1/files/1/content/html' });
			expect(made.outerHTML).toBe(
				`<iframe sandbox="${GIVEN}" srcdoc="" src="/api/v1/files/1/content/html"></iframe>`
			);
			await shows(made, '<p>file');
			expect(fetched.mock.calls).toEqual([[`${ORIGIN}/api/v1/files/1/content/html`]]);
		});

		it('gets it when it came with markup', async () => {
			fetched.mockReturnValue(page('<p>file'));
			document.body.innerHTML = '<iframe src="/x" sandbox="allow-same-origin"></iframe>';
			expect(sandboxOf(document.body.firstElementChild)).toBe('');
			await shows(document.body.firstElementChild, '<p>file');
		});

		it('shows what is no page as text', async () => {
			fetched.mockReturnValue(page('{"a":"<b>&lt;"}', 'application/json'));
			await shows(frame({ src: '/x' }), '<!doctype html><pre>{"a":"&lt;b>&amp;lt;"}');
		});

		it('is left alone where that is the kit’s own', () => {
			const made = frame({ src: '/api/v1/tee/image#x', sandbox: 'allow-scripts' });
			expect(made.hasAttribute('srcdoc')).toBe(false);
			expect(fetched).not.toHaveBeenCalled();
		});

		it('stays empty where there is no answer', async () => {
			fetched.mockReturnValue(Promise.reject(new TypeError('refused')));
			const made = frame({ src: '/x' });
			await vi.waitFor(() => {
				expect(fetched).toHaveBeenCalledTimes(1);
			});
			expect(made.getAttribute('srcdoc')).toBe('');
		});

		it('shows only what it was told last', async () => {
			const late: ((answer: Response) => void)[] = [];
			fetched.mockImplementation(() => new Promise((resolve) => late.push(resolve)));
			const [other, own, gone] = [frame({ src: '/x' }), frame({ src: '/x' }), frame({ src: '/x' })];
			other.src = 'https://elsewhere.example/';
			expect(other.getAttribute('srcdoc')).toBeNull();
			own.srcdoc = '<p>own';
			gone.removeAttribute('src');
			for (const [at, resolve] of late.entries()) resolve(await page(`<p>${at}`));
			await new Promise((resolve) => setTimeout(resolve, 20));
			const shown = [other, own, gone].map((made) => made.getAttribute('srcdoc'));
			expect(shown).toEqual([null, '<p>own', null]);
		});
	});

	it('leaves other elements alone', () => {
		const image = document.createElement('img');
		image.setAttribute('src', '/x');
		image.removeAttribute('src');
		expect(image.outerHTML).toBe('<img>');
	});

	it('for which the app asked for this origin is told, and no other', async () => {
		const told = vi.fn();
		guardFrames(window, fetch, told);
		frame({ srcdoc: '<p>', sandbox: 'allow-scripts' });
		frame({ src: 'https://elsewhere.example/', sandbox: 'allow-same-origin' });
		expect(told).not.toHaveBeenCalled();
		frame({ srcdoc: '<p>', sandbox: 'allow-scripts allow-same-origin' });
		expect(told).toHaveBeenCalledTimes(1);
		await asked; // by the guard that stood there before
	});
});

/** Markup, and what is left of it. */
const CASES: [string, string][] = [
	['<img src="x" onerror="run()">', '<img src="x">'],
	['<svg/onload=run()><path d="M0 0"/></svg>', '<svg><path d="M0 0"></path></svg>'],
	['<p title="a"ONCLICK = run()>x</p>', '<p title="a">x</p>'],
	['<script>run()</script><b>x</b>', '<b>x</b>'],
	['<svg><script href="x"></script></svg>', '<svg></svg>'],
	['<a href="javascript:run()">x</a>', '<a>x</a>'],
	['<a href=" java\nscript\t:run()">x</a>', '<a>x</a>'],
	['<a href="&#106;avascript&colon;run()">x</a>', '<a>x</a>'],
	['<a href="j&#x61;v&Tab;ascript:run()">x</a>', '<a>x</a>'],
	['<svg><a xlink:href="javascript:run()">x</a></svg>', '<svg><a>x</a></svg>'],
	[
		'<svg><a><animate attributeName="href" values="javascript:run()"/><set attributeName="xlink:href"/>x</a></svg>',
		'<svg><a>x</a></svg>'
	],
	[
		'<svg><use href="/f#x"></use><use href="#x"></use></svg>',
		'<svg><use></use><use href="#x"></use></svg>'
	],
	[
		'<form action="javascript:run()"><button formaction="javascript:run()"></button></form>',
		'<form><button></button></form>'
	],
	['<link rel=preconnect href=https://words.evil.example>', '<link>'],
	['<p><LINK REL="icon preconnect" href="//words.evil.example"></p>', '<p><link></p>'],
	['<link rel="icon" href="/\t/words.evil.example">', '<link rel="icon">'],
	['<meta name=referrer content=unsafe-url>', '<meta content="unsafe-url">'],
	['<template><meta name="Referrer"></template>', '<template><meta></template>'],
	['<object data="/f"></object><embed src="/f"><b>x</b>', '<b>x</b>'],
	['<base href="https://e.example/"><meta http-equiv="refresh" content="0"><b>x</b>', '<b>x</b>'],
	[
		'<iframe srcdoc="<script>run()</script>"></iframe>',
		`<iframe srcdoc="<script>run()</script>" sandbox="${GIVEN}"></iframe>`
	],
	[
		'<iframe src="/f" onload="run()" sandbox="allow-same-origin"></iframe>',
		'<iframe src="/f" sandbox="" srcdoc=""></iframe>'
	],
	[
		'<form onclick="run()"><input name="attributes"><input name="getAttribute"><input name="removeAttribute"></form>',
		'<form><input name="attributes"><input name="getAttribute"><input name="removeAttribute"></form>'
	],
	['<style>[data-tee-place] { display: none }</style><b>x</b>', '<b>x</b>'],
	['<p>x<STYLE media=all>* { display: none }</STYLE></p>', '<p>x</p>'],
	['<template><style></style></template>', '<template></template>'],
	['<link rel="stylesheet" href="/f.css">', '<link href="/f.css">'],
	[
		'<svg><style>.spinner { opacity: 1 }</style></svg>',
		'<svg><style>.spinner { opacity: 1 }</style></svg>'
	],
	['<template><img onerror="run()"></template>', '<template><img></template>'],
	['<p title="<img src=x onerror=run()>">x</p>', '<p title="<img src=x onerror=run()>">x</p>']
];

/** The same text whatever a serialiser escapes in attributes. */
const text = (root: Element) => root.innerHTML.replace(/&lt;/g, '<').replace(/&gt;/g, '>');

describe('markup', () => {
	it.each(CASES)('%s', (markup, left) => {
		document.body.innerHTML = markup;
		expect(text(document.body)).toBe(left);
	});

	it('is left alone where nothing in it runs', () => {
		const harmless =
			'<p class="katex">a &amp; b</p><pre><code class="hljs">on = 1; &lt;script&gt;</code></pre><table><tbody><tr><td>x</td></tr></tbody></table><!---->';
		document.body.innerHTML = harmless;
		expect(document.body.innerHTML).toBe(harmless);
	});

	it('is left alone where the app fills its head from templates', () => {
		const head =
			'<link crossorigin="anonymous" rel="icon"> <meta name="apple-mobile-web-app-title"> <meta name="description"> <link rel="search" type="application/opensearchdescription+xml" href="/opensearch.xml" crossorigin="use-credentials"><meta name="robots" content="noindex,nofollow">';
		const template = document.createElement('template');
		template.innerHTML = head;
		expect(template.innerHTML).toBe(head);
	});

	it('is handed on as one argument, however many nodes it has', () => {
		const put = vi.spyOn(document.body, 'replaceChildren');
		document.body.innerHTML = `${'x<br>'.repeat(100)}<img onerror="run()">`;
		const counts = put.mock.calls.map((nodes) => nodes.length);
		put.mockRestore();
		expect(counts).toEqual([1]);
		expect(document.body.childNodes.length).toBe(201);
	});

	const EVIL = '<b>x</b><img onerror="run()">';
	const GOOD = '<b>x</b><img>';

	it('comes by each way without what runs', () => {
		const way = (put: (target: HTMLElement) => void) => {
			document.body.replaceChildren(document.createElement('p'));
			put(document.body.firstElementChild as HTMLElement);
			return document.body.innerHTML;
		};
		expect(way((target) => (target.outerHTML = EVIL))).toBe(GOOD);
		const at = (position: InsertPosition) =>
			way((target) => {
				target.insertAdjacentHTML(position, EVIL);
			});
		expect([at('beforebegin'), at('afterend')]).toEqual([`${GOOD}<p></p>`, `<p></p>${GOOD}`]);
		expect([at('afterbegin'), at('beforeend')]).toEqual(Array(2).fill(`<p>${GOOD}</p>`));
		expect(() => at('constructor' as InsertPosition)).toThrow(DOMException);
		const fragment = (target: HTMLElement) => {
			const range = document.createRange();
			range.selectNodeContents(target);
			target.append(range.createContextualFragment(`${EVIL}<script>run()</script>`));
		};
		expect(way(fragment)).toBe(`<p>${GOOD}</p>`);
		const shadow = document.createElement('div').attachShadow({ mode: 'open' });
		shadow.innerHTML = EVIL;
		expect(shadow.innerHTML).toBe(GOOD);
		const template = document.createElement('template');
		template.innerHTML = EVIL;
		expect([template.innerHTML, template.childNodes.length]).toEqual([GOOD, 0]);
	});

	it('has the kind of its place', () => {
		const body = document.createElement('tbody');
		body.innerHTML = '<tr onclick="run()"><td>x</td></tr>';
		expect(body.innerHTML).toBe('<tr><td>x</td></tr>');
		const style = document.createElement('style');
		style.innerHTML = '/* <script> */';
		expect(style.textContent).toBe('/* <script> */');
		const area = document.createElement('textarea');
		area.innerHTML = '&lt;img onerror=x&gt; &#39;';
		expect(area.value).toBe("<img onerror=x> '");
		const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
		drawing.innerHTML = '<path onclick="run()"/>';
		expect(drawing.firstElementChild?.namespaceURI).toBe(drawing.namespaceURI);
	});

	it('may be an object, or nothing', () => {
		const policy = { toString: () => EVIL };
		document.body.innerHTML = policy as unknown as string;
		expect(document.body.innerHTML).toBe(GOOD);
		document.body.innerHTML = null as unknown as string;
		expect(document.body.innerHTML).toBe('');
	});
});

describe('a link', () => {
	it.each([
		['javascript:run()', true],
		['\u0001 JAVA\tSCRIPT:run()', true],
		['https://x.example/javascript:', false],
		['javascript', false],
		['', false]
	])('%j runs: %s', (address, runs) => {
		expect(isScript(address)).toBe(runs);
	});

	it.each([
		['javascript:run()', true],
		['#x', false]
	])('to %s is followed only where nothing runs', (href, prevented) => {
		const link = document.createElement('a');
		link.setAttribute('href', href);
		const inner = link.appendChild(document.createElement('b'));
		document.body.append(link);
		link.addEventListener('click', (event) => {
			event.stopImmediatePropagation();
		});
		for (const type of ['click', 'auxclick']) {
			const click = new MouseEvent(type, { bubbles: true, cancelable: true, composed: true });
			inner.dispatchEvent(click);
			expect(click.defaultPrevented).toBe(prevented);
		}
	});

	it('opens no window with a script', () => {
		expect(window.open('javascript:run()')).toBeNull();
		expect(opened).not.toHaveBeenCalled();
		window.open('/x', '_blank');
		expect(opened).toHaveBeenCalledWith('/x', '_blank');
	});
});
