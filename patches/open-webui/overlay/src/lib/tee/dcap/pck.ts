import { toHex } from '../encoding';
import { Problem } from '../problem';
import { fields, INTEGER, OCTET_STRING, OID, parseDer, SEQUENCE, small, type Element } from './der';
import type { Certificate } from './x509';

/** The platform that a PCK certificate is about. */
export interface Platform {
	/** Hex, lower case. */
	fmspc: string;
	pceId: string;
	/** SVNs of the 16 SGX TCB components, and of the provisioning certification enclave. */
	components: number[];
	pceSvn: number;
}

/** 1.2.840.113741.1.13.1, the SGX extension; its members' OIDs begin with it. */
const SGX = '2a864886f84d010d01';

/** A SEQUENCE of pairs of an OID and a value, by the OID's last arc. */
const readPairs = (element: Element, prefix: string): Map<string, Element> => {
	const found = new Map<string, Element>();
	fields(element);
	for (const item of element.children) {
		const pair = fields(item);
		const oid = toHex(pair.take(OID).content);
		const arc = oid.slice(prefix.length);
		const [value, ...more] = item.children.slice(1);
		// One of two values of the same name could be the one that nobody looked at.
		if (!oid.startsWith(prefix) || !value || more.length || found.has(arc)) {
			throw new Problem('internal', 'pck-malformed: SGX extension');
		}
		found.set(arc, value);
	}
	return found;
};

/**
 * Read the SGX extension ("SGX PCK Certificate and CRL Profile Specification", section 1.3.5).
 * Throws `internal`.
 */
export const readPlatform = ({ extensions }: Certificate): Platform => {
	const value = (pairs: Map<string, Element>, arc: string, tag: number, length?: number): Element => {
		const element = pairs.get(arc);
		if (element?.tag !== tag || (length && element.content.length !== length)) {
			throw new Problem('internal', `pck-malformed: SGX extension ${arc}`);
		}
		return element;
	};
	const pairs = readPairs(parseDer(extensions.get(SGX) ?? new Uint8Array()), SGX);
	const octets = (arc: string, length: number) =>
		toHex(value(pairs, arc, OCTET_STRING, length).content);
	const tcb = readPairs(value(pairs, '02', SEQUENCE), `${SGX}02`);
	const svn = (arc: number, max: number) =>
		small(value(tcb, toHex(Uint8Array.of(arc)), INTEGER), max);
	return {
		pceId: octets('03', 2),
		fmspc: octets('04', 6),
		components: Array.from({ length: 16 }, (_, at) => svn(at + 1, 0xff)),
		pceSvn: svn(17, 0xffff)
	};
};
