/**
 * The link that auditors share (docs/auditors.md): what whoever made it had measured, after the `#` of
 * an address, which browsers send to nobody. It is compared and shown; it decides nothing.
 */
import { recordOf } from '../base/record';
import { BOOT } from '../evidence/boot';
import { isProviderId, type ProviderId } from '../providers/registry';
import type { State } from './session';

/** What somebody measured, and who checked the evidence for them. */
export interface Measured {
	provider: ProviderId;
	values: Record<(typeof BOOT)[number], string>;
}

const memberOf = (name: string): string => name.replace('_', '');

/** The one form that there is: these members, in this order, and no others; 48 bytes each, in hex. */
const FORM = new RegExp(
	`^#v=1&provider=([a-z]{1,16})${BOOT.map((name) => `&${memberOf(name)}=([\\da-f]{96})`).join('')}$`
);

/** What the fragment of an address says, or null where it is not one that `linkOf` makes. */
export const parseLink = (fragment: string): Measured | null => {
	const [, provider, ...found] = FORM.exec(fragment) ?? [];
	if (!isProviderId(provider)) return null;
	return { provider, values: recordOf(BOOT, (name) => found[BOOT.indexOf(name)] ?? '') };
};

/** The fragment that says this. */
export const linkOf = ({ provider, values }: Measured): string =>
	`#v=1&provider=${provider}${BOOT.map((name) => `&${memberOf(name)}=${values[name]}`).join('')}`;

/**
 * What this browser measured by itself; null where that did not pass its checks, or not yet. Only what a
 * link can say is in it.
 */
export const measuredIn = (state: State): Measured | null => {
	if (state.kind !== 'done' || state.verdict.status === 'red') return null;
	const { choice, fields } = state.verdict;
	const values = recordOf(BOOT, (name) => String(fields[name]));
	return choice ? parseLink(linkOf({ provider: choice.provider, values })) : null;
};
