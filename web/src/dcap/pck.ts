import {
	fields,
	INTEGER,
	OCTET_STRING,
	OID,
	parseDer,
	SEQUENCE,
	small,
	type Element
} from '../base/der';
import { toHex } from '../base/encoding';
import { Problem } from '../base/problem';
import type { Certificate } from '../base/x509';

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
/** Last arcs of its members, in hex, and those within the TCB. */
const TCB = '02';
const PCE_ID = '03';
const FMSPC = '04';
const COMPONENTS = 16;
const PCE_SVN = 17;

/** A SEQUENCE of pairs of an OID and a value, by the OID's last arc. */
const readPairs = (element: Element, prefix: string): Map<string, Element> => {
	const found = new Map<string, Element>();
	fields(element);
	for (const item of element.children) {
		const oid = toHex(fields(item).take(OID).content);
		const arc = oid.slice(prefix.length);
		const [value, ...more] = item.children.slice(1);
		// One of two values of the same name could be the one that nobody looked at.
		if (!oid.startsWith(prefix) || !value || more.length > 0 || found.has(arc)) {
			throw new Problem('internal', 'pck-malformed: SGX extension');
		}
		found.set(arc, value);
	}
	return found;
};

/** The value of an arc, which must have this tag and, where it is given, this length in bytes. */
const valueOf = (
	pairs: Map<string, Element>,
	arc: string,
	tag: number,
	length?: number
): Element => {
	const element = pairs.get(arc);
	if (element?.tag !== tag || (length !== undefined && element.content.length !== length)) {
		throw new Problem('internal', `pck-malformed: SGX extension ${arc}`);
	}
	return element;
};

/**
 * Read the SGX extension ("SGX PCK Certificate and CRL Profile Specification", section 1.3.5).
 * Throws `internal`.
 */
export const readPlatform = ({ extensions }: Certificate): Platform => {
	const pairs = readPairs(parseDer(extensions.get(SGX) ?? new Uint8Array()), SGX);
	const octets = (arc: string, length: number) =>
		toHex(valueOf(pairs, arc, OCTET_STRING, length).content);
	const tcb = readPairs(valueOf(pairs, TCB, SEQUENCE), SGX + TCB);
	const svn = (arc: number, max: number) =>
		small(valueOf(tcb, toHex(Uint8Array.of(arc)), INTEGER), max);
	return {
		pceId: octets(PCE_ID, 2),
		fmspc: octets(FMSPC, 6),
		components: Array.from({ length: COMPONENTS }, (_, at) => svn(at + 1, 0xff)),
		pceSvn: svn(PCE_SVN, 0xffff)
	};
};
