// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createBlocked, MINDED_MAX } from '../../src/ui/blocked';
import { collectObservers } from '../loader/app';

const EVIL = 'https://evil.example/?q=words';

let covered: [string, string][];
let told: [string, string][];
let endObservers: () => void;
let hear: (violation: SecurityPolicyViolationEvent) => void;

const violation = (effectiveDirective: string, blockedURI: string, disposition = 'enforce') => {
	hear({ effectiveDirective, blockedURI, disposition } as SecurityPolicyViolationEvent);
};
const image = (src: string, root: Element = document.body, alt = '') => {
	const element = Object.assign(document.createElement('img'), { src, alt });
	root.append(element);
	return element;
};
const covers = () => [...document.querySelectorAll('i')];
const settle = () => vi.advanceTimersByTimeAsync(100);

beforeEach(() => {
	vi.useFakeTimers();
	document.body.className = 'markdown-prose';
	endObservers = collectObservers();
	covered = [];
	told = [];
	hear = createBlocked(document, {
		cover: (address, alt) => {
			covered.push([address, alt]);
			return document.createElement('i');
		},
		tell: (directive, origin) => told.push([directive, origin])
	});
});
afterEach(() => {
	endObservers();
	vi.useRealTimers();
	document.body.replaceChildren();
	document.body.className = '';
});

describe('an outside image', () => {
	it('is unseen, and something else stands behind it', () => {
		const element = image(`${EVIL}#part`, document.body, 'words');
		const other = image('https://good.example/');
		violation('img-src', EVIL);
		expect(covered).toEqual([[EVIL, 'words']]);
		expect(element.style.display).toBe('none');
		expect(element.nextSibling).toBe(covers()[0]);
		expect(other.style.display).toBe('');
		violation('img-src', EVIL);
		expect(covered).toHaveLength(1);
		expect(told).toEqual([]);
	});

	it('takes the app’s button around it along', () => {
		const button = document.body.appendChild(document.createElement('button'));
		image(EVIL, button);
		violation('img-src', EVIL);
		expect(button.style.display).toBe('none');
		expect(button.nextSibling).toBe(covers()[0]);
	});

	it('leaves a button that says something where it is', () => {
		const button = document.body.appendChild(document.createElement('button'));
		const element = image(EVIL, button);
		button.append('Open');
		violation('img-src', EVIL);
		expect([button.style.display, element.style.display]).toEqual(['', 'none']);
		expect(button.nextSibling).toBe(covers()[0]);
	});

	it('outside of what people and models wrote is left to the app', () => {
		document.body.className = '';
		const button = document.body.appendChild(document.createElement('button'));
		const element = image(EVIL, button);
		violation('img-src', EVIL);
		expect([button.style.display, element.style.display]).toEqual(['', '']);
		expect(covers()).toEqual([]);
	});

	it('is asked for by HTTPS, as browsers do', () => {
		image('http://evil.example/a');
		violation('img-src', 'http://evil.example/a');
		expect(covered).toEqual([['https://evil.example/a', '']]);
	});

	it('is found when it comes later, or once more', async () => {
		violation('img-src', EVIL);
		expect(covered).toEqual([]);
		image(EVIL);
		await settle();
		const again = image(EVIL);
		await settle();
		expect(covered).toHaveLength(2);
		expect(again.style.display).toBe('none');
	});

	it('leaves nothing behind when the app removes or changes it', async () => {
		const [gone, changed] = [image(EVIL), image(EVIL)];
		violation('img-src', EVIL);
		expect(covers()).toHaveLength(2);
		gone.remove();
		changed.src = '/own.png';
		await settle();
		expect(covers()).toHaveLength(0);
		expect(changed.style.display).toBe('');
	});

	it('is covered again when the app removes what stands there', async () => {
		image(EVIL);
		violation('img-src', EVIL);
		covers()[0]?.remove();
		await settle();
		expect(covers()).toHaveLength(1);
	});

	it('is one of so many at most', async () => {
		for (let i = 0; i < MINDED_MAX + 50; i++) image(EVIL);
		violation('img-src', EVIL);
		expect(covers()).toHaveLength(MINDED_MAX);
		for (let i = 0; i < 1000; i++) violation('img-src', `${EVIL}${i}`);
		image(`${EVIL}999`);
		await settle();
		expect(covers()).toHaveLength(MINDED_MAX);
	});
});

describe('anything else', () => {
	it('is told once for each origin', () => {
		violation('connect-src', 'https://a.example/v1/models');
		violation('connect-src', 'https://a.example/v1/chat');
		violation('frame-src', 'https://b.example:8443/');
		violation('connect-src', 'wss://a.example/');
		expect(told).toEqual([
			['connect-src', 'https://a.example'],
			['frame-src', 'https://b.example:8443'],
			['connect-src', 'wss://a.example']
		]);
	});

	it.each([
		['script-src', 'inline'],
		['script-src', 'eval'],
		['script-src', ''],
		['img-src', 'data'],
		['img-src', `${location.origin}/redirect`],
		['frame-src', 'javascript:alert(1)']
	])('is no matter without an origin elsewhere: %s %s', (directive, blocked) => {
		violation(directive, blocked);
		expect([told, covered]).toEqual([[], []]);
	});

	it('is no matter where a policy only reports', () => {
		image(EVIL);
		violation('img-src', EVIL, 'report');
		violation('connect-src', EVIL, 'report');
		expect([told, covered]).toEqual([[], []]);
	});

	it('is not told for ever', () => {
		for (let i = 0; i < 1000; i++) violation('connect-src', `https://h${i}.example/`);
		expect(told).toHaveLength(20);
	});
});
