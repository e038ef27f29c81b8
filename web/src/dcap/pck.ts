import {
	BOOLEAN,
	ENUMERATED,
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
import type { Certificate } from '../base/x509';
import { refuse } from './steps';

/** The platform that a PCK certificate is about. */
export interface Platform {
	/** Hex, lower case. */
	fmspc: string;
	pceId: string;
	/** SVNs of the 16 SGX TCB components, and of the provisioning certification enclave. */
	components: number[];
	pceSvn: number;
	/** What a certificate of the platform CA says of its machine; others say nothing. */
	flags: PlatformFlags | null;
}

export interface PlatformFlags {
	/** Packages can be added to it. */
	dynamic_platform: boolean;
	/** Intel keeps a copy of its platform keys. */
	cached_keys: boolean;
	/** Simultaneous multithreading is on. */
	smt: boolean;
}

/** 1.2.840.113741.1.13.1, the SGX extension; its members' OIDs begin with it. */
const SGX = '2a864886f84d010d01';
/** Last arcs of its members, in hex; the last two are of a platform CA's certificates only. */
const PPID = '01';
const TCB = '02';
const PCE_ID = '03';
const FMSPC = '04';
const SGX_TYPE = '05';
const INSTANCE_ID = '06';
const CONFIGURATION = '07';
const ALWAYS = 5;
const OF_PLATFORM_CA = 7;
/** The same within the TCB and the configuration. */
const COMPONENTS = 16;
const PCE_SVN = 17;
const CPU_SVN = 18;
const FLAGS = 3;

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
			return refuse('SGX extension');
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
		return refuse(`SGX extension ${arc}`);
	}
	return element;
};

/** What a machine of several packages says of itself. */
const readFlags = (pairs: Map<string, Element>): PlatformFlags => {
	valueOf(pairs, INSTANCE_ID, OCTET_STRING, 16);
	const configuration = readPairs(valueOf(pairs, CONFIGURATION, SEQUENCE), SGX + CONFIGURATION);
	if (configuration.size !== FLAGS) refuse(`SGX extension ${CONFIGURATION}`);
	const isOn = (arc: string) => valueOf(configuration, arc, BOOLEAN).content[0] !== 0;
	return { dynamic_platform: isOn('01'), cached_keys: isOn('02'), smt: isOn('03') };
};

/**
 * Read the SGX extension ("SGX PCK Certificate and CRL Profile Specification", section 1.3.5): all
 * that it has to have, and nothing besides. Throws `internal`.
 */
export const readPlatform = ({ extensions }: Certificate): Platform => {
	const pairs = readPairs(parseDer(extensions.get(SGX) ?? new Uint8Array()), SGX);
	if (pairs.size !== ALWAYS && pairs.size !== OF_PLATFORM_CA) refuse('SGX extension');
	const octets = (arc: string, length: number) =>
		toHex(valueOf(pairs, arc, OCTET_STRING, length).content);
	octets(PPID, 16);
	small(valueOf(pairs, SGX_TYPE, ENUMERATED), 0xff);
	const tcb = readPairs(valueOf(pairs, TCB, SEQUENCE), SGX + TCB);
	if (tcb.size !== CPU_SVN) refuse(`SGX extension ${TCB}`);
	const within = (arc: number) => toHex(Uint8Array.of(arc));
	const svn = (arc: number, max: number) => small(valueOf(tcb, within(arc), INTEGER), max);
	// Levels are judged by the components, as Intel does: this one need not repeat them.
	valueOf(tcb, within(CPU_SVN), OCTET_STRING, 16);
	return {
		pceId: octets(PCE_ID, 2),
		fmspc: octets(FMSPC, 6),
		components: Array.from({ length: COMPONENTS }, (_, at) => svn(at + 1, 0xff)),
		pceSvn: svn(PCE_SVN, 0xffff),
		flags: pairs.size === OF_PLATFORM_CA ? readFlags(pairs) : null
	};
};
