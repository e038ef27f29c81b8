// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watchViolations } from '../../src/guard/violations';

const EVIL = 'https://evil.example/?q=words';
const hear = vi.fn();
/** What the app hears of the image. */
const failed = vi.fn();

const violate = (effectiveDirective: string, blockedURI: string) => {
	const event = new Event('securitypolicyviolation', { bubbles: true });
	document.dispatchEvent(Object.assign(event, { effectiveDirective, blockedURI }));
	return event;
};
const fail = (src: string) => {
	const image = document.body.appendChild(document.createElement('img'));
	image.src = src;
	image.addEventListener('error', failed);
	image.dispatchEvent(new Event('error'));
};

watchViolations(window, hear);
beforeEach(() => {
	hear.mockClear();
	failed.mockClear();
});
afterEach(() => {
	document.body.replaceChildren();
});

describe('violations', () => {
	it('are handed on', () => {
		const event = violate('connect-src', EVIL);
		expect(hear.mock.calls).toEqual([[event]]);
	});

	it('keep from the app that a blocked image failed, and only that', () => {
		fail(EVIL);
		expect(failed).toHaveBeenCalledTimes(1);
		violate('connect-src', EVIL);
		fail(EVIL);
		expect(failed).toHaveBeenCalledTimes(2);
		violate('img-src', EVIL);
		fail(EVIL);
		fail(`${EVIL}#part`);
		expect(failed).toHaveBeenCalledTimes(2);
		fail('https://good.example/');
		fail('/own.png');
		expect(failed).toHaveBeenCalledTimes(4);
	});

	it('let the app hear of an own image that leads elsewhere', () => {
		violate('img-src', `${location.origin}/picture`);
		fail('/picture');
		expect(failed).toHaveBeenCalledTimes(1);
	});

	it('are remembered up to a number', () => {
		for (let i = 0; i < 1000; i++) violate('img-src', `${EVIL}${i}`);
		fail(`${EVIL}999`);
		expect(failed).toHaveBeenCalledTimes(1);
		expect(hear).toHaveBeenCalledTimes(1000);
	});
});
