import { describe, expect, it } from 'vitest';
import { linkOf, measuredIn, parseLink, type Measured } from '../../src/session/link';
import { failed, simulated, verdict } from '../ui/fixture';

const value = (digit: string) => digit.repeat(96);

const MEASURED: Measured = {
	provider: 'dcap',
	values: { mr_td: value('a'), rtmr_0: value('0'), rtmr_1: value('1'), rtmr_2: value('2') }
};
const LINK = `#v=1&provider=dcap&mrtd=${value('a')}&rtmr0=${value('0')}&rtmr1=${value('1')}&rtmr2=${value('2')}`;

describe('a link for others', () => {
	it('says what was measured, in one form, and is read back', () => {
		expect(linkOf(MEASURED)).toBe(LINK);
		expect(parseLink(LINK)).toEqual(MEASURED);
	});

	it.each([
		['nothing', ''],
		['the sign alone', '#'],
		['no sign', LINK.slice(1)],
		['another version', LINK.replace('v=1', 'v=2')],
		['no version', LINK.replace('v=1&', '')],
		['an unknown member', `${LINK}&enabled=false`],
		['an unknown member in between', LINK.replace('&mrtd', '&policy=x&mrtd')],
		['a member less', LINK.replace(/&rtmr2=.*/, '')],
		['a member twice', `${LINK}&rtmr2=${value('2')}`],
		['another order', LINK.replace(/(&mrtd=\w+)(&rtmr0=\w+)/, '$2$1')],
		['another provider', LINK.replace('dcap', 'evil')],
		['a provider that is on every object', LINK.replace('dcap', 'constructor')],
		['a provider in capitals', LINK.replace('dcap', 'DCAP')],
		['capitals', LINK.replace('aaaa', 'AAAA')],
		['a digit less', LINK.replace('aaaa', 'aaa')],
		['a digit more', LINK.replace('aaaa', 'aaaaa')],
		['no value', LINK.replace(value('a'), '')],
		['an escape', LINK.replace('aaa', '%61')],
		['markup', LINK.replace(value('a'), '<img src=x onerror=alert(1)>')],
		['a line more', `${LINK}\n`],
		['a line before', `\n${LINK}`],
		['very much', `#${'a'.repeat(1_000_000)}`],
		['very many members', `#${'v=1&'.repeat(250_000)}`]
	])('is not read with %s', (_what, fragment) => {
		expect(parseLink(fragment)).toBeNull();
	});
});

describe('what this browser measured', () => {
	const choice = {
		provider: 'dcap',
		address: '',
		path: '',
		keys: '',
		logs: false,
		serverChosen: false
	} as const;
	const fields = { ...MEASURED.values, rtmr_3: value('3') };
	const measured = (status: 'green' | 'amber' | 'red', more: object = { fields, choice }) =>
		measuredIn(verdict(status, status === 'red' ? [failed] : [simulated], more));

	it('is what a good verdict has', () => {
		expect(measured('green')).toEqual(MEASURED);
		expect(measured('amber')).toEqual(MEASURED);
	});

	it('is nothing where a check failed, or where there is no verdict', () => {
		expect(measured('red')).toBeNull();
		for (const kind of ['off', 'pending'] as const) expect(measuredIn({ kind })).toBeNull();
	});

	it('is nothing where a value is missing or has another form, or nobody was chosen', () => {
		for (const bad of [undefined, null, '', 'a', value('A'), `${value('a')}\n`, [value('a'), 1]]) {
			expect(measured('green', { choice, fields: { ...fields, mr_td: bad } })).toBeNull();
		}
		expect(measured('green', { fields })).toBeNull();
	});
});
