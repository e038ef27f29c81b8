import type { CheckId, Status } from '../base/checks';
import type { Advice, ReasonCode } from '../base/reasons';
import type { Reached, Step } from '../base/steps';
import type { READING, StoreName } from '../evidence/statement';
import type { Chosen, NoteCode } from '../policy/notes';
import type { ProviderId } from '../providers/registry';
import type { Group, SettingName, Told } from '../session/administration';
import type { Values } from '../session/memory';
import type { Difference } from '../session/workload-memory';
import { BROKEN } from './broken';

/** What other parts of the page name; a code of theirs that has no text here does not compile. */
type Named =
	| `${'state' | 'summary'}.${Status | 'off' | 'pending' | 'changed' | 'simulated' | 'unavailable'}`
	| `outcome.${Reached}`
	| `reached.${Reached}`
	| `field.${keyof Values}`
	| `check.${CheckId}`
	| `step.${Step}`
	| `provider.${ProviderId}`
	| `note.${NoteCode}`
	| `chosen.${Chosen['code']}`
	| `difference.${Difference['code']}`
	| `store.${StoreName}`
	| `people.${(typeof READING)[number]}`
	| `reason.${ReasonCode}`
	| `advice.${Advice}`
	| `admin.group.${Group}`
	| `admin.${SettingName | Told['kind']}`;

/** The English catalogue, and with that the list of all texts. */
const en = {
	'state.off': 'Remote attestation is off',
	'state.pending': 'Checking this server…',
	'state.green': 'Verified: a genuine Intel TDX trust domain answered',
	'state.amber': 'Verified, with warnings',
	'state.changed': 'Verified, but not as it was before',
	'state.simulated': 'Simulated TD: no hardware protection',
	'state.red': 'Not verified',
	'state.unavailable': 'Could not be checked now',

	'notice.changed': 'This server’s check has changed: {0}',
	'notice.close': 'Close',

	'summary.dcap': 'This browser, by documents that Intel signed,',
	'summary.service': 'The attestation service {0} ({1})',
	'summary.checked': '{0} checked this on {1}; it holds until {2}.',
	'summary.tried': 'Last tried on {0}.',
	'summary.off': 'Nothing is checked here: nothing proves who reads what you write.',
	'summary.pending': 'Nothing is proved yet.',
	'summary.green':
		'A genuine Intel TDX trust domain answered, and only it can read what you send to it.',
	'summary.elsewhere':
		'A genuine Intel TDX trust domain answered, but the model in use may run outside of it: your words then leave it.',
	'summary.amber': 'It answered as a trust domain does, but not all of that is proved: see below.',
	'summary.changed':
		'It answered as a trust domain does, but it is not as this browser remembers it.',
	'summary.simulated':
		'This is a simulation: no hardware protects what you write, whatever else passes.',
	'summary.red': 'A check failed: nothing proves who reads what you write.',
	'summary.unavailable':
		'The check could not be made. That says nothing of this server, good or bad.',

	copy: 'Copy',
	'copy.done': 'Copied: {0}',
	'copy.selected': 'It is selected now: copy it by your keyboard or menu.',

	'compared.since': 'as on {0}',
	'compared.expected': 'as expected',
	'compared.changed': 'changed',

	'field.mr_td': 'Firmware that it starts with',
	'field.rtmr_0': 'Set-up of the machine',
	'field.rtmr_1': 'Boot loader and kernel',
	'field.rtmr_2': 'Start of the operating system',
	'field.rtmr_3': 'What was loaded since then',
	'field.mr_seam': 'Intel’s TDX module',
	'field.mrsigner_seam': 'Signer of the TDX module',
	'field.mr_config_id': 'Configuration named by its owner',
	'field.mr_owner': 'Owner',
	'field.mr_owner_config': 'Configuration of the owner',
	'field.td_attributes': 'Attributes of the trust domain',
	'field.xfam': 'Processor features',
	'field.mr_servicetd': 'Service domains bound to it',
	'field.simulated': 'Simulation',

	'panel.recheck': 'Check again',
	'panel.enable': 'Switch on',
	'panel.changed': 'What has changed',
	'panel.accept': 'Accept these measurements from now on',
	'panel.accept.ask':
		'This browser then takes the server as it is now for the expected one. You accept: {0}.',
	'panel.accept.yes': 'Accept',
	'panel.steps': 'What was checked',
	'panel.fields': 'Measurements',
	'panel.told': 'What else was told',
	'panel.outside': 'Check from your own machine',
	'panel.outside.how': 'Where cczoo-verify is installed, run:',
	'panel.outside.keys': 'Save the keys that you pinned as {0} there first.',
	'panel.evidence': 'Download the evidence, which it takes, too',
	'panel.events': 'Event logs',
	'panel.events.proof':
		'✓ marks what the quote proves was measured. All else is this machine’s own word.',
	'panel.events.proven': 'proven:',
	'panel.workload': 'What runs there',
	'panel.measured': 'What was measured',
	'panel.measured.proof': 'Proven: the quote’s register has all of it.',
	'panel.measured.word': 'This server’s own word: no log that the quote proves has it.',
	'panel.more': '{0} more are not shown.',
	'panel.renewal': 'The result could not be renewed.',
	'panel.again': 'Trying again at {0}.',
	'panel.trying': 'Trying again now…',
	'panel.holds': 'The result on show holds until {0}.',
	'panel.settings': 'Settings',
	'panel.rights':
		'This open-webui would give what a model wrote all rights of this page; the badge took them away. If Settings, Interface has “iframe Sandbox Allow Same Origin” or “Terminal Preview Allow Same Origin” on, switch it off.',
	'panel.unsealed':
		'Requests of this browser to this server were sealed before. If its administrator has switched that off for good, you can go on without; if you do not know, do not.',
	'panel.forget': 'Forget that they were sealed',
	'panel.stricter':
		'This server asked for more before, and this browser goes on by that. It asked to: {0}.',
	'panel.relax': 'Go by what it asks now: {0}',
	'panel.note':
		'What no badge proves: that this page itself is right. It comes from the machine being checked, or from whoever changed it on its way. cczoo-verify checks from your own machine.',

	'panel.tee': 'See and share this on a page of its own',

	'gate.failed': 'This server was not verified. Shall what you write go to it all the same?',
	'gate.warned':
		'This server was verified with warnings, or could not be verified now. Shall what you write go to it?',
	'gate.sealed': 'It then goes sealed to whoever holds the key that this server names.',
	'gate.plain': 'It then goes unsealed: whoever passes it on can read it.',
	'gate.confirm': 'Go on',
	'gate.refused': 'The connection to this server is closed',
	'gate.waits': 'What you send waits until this server is verified. It has not left yet.',
	'gate.despite.failed':
		'You chose to go on: this server was not verified, and what you write goes to it.',
	'gate.despite.warned':
		'You chose to go on: this server was verified with warnings, or could not be verified now, and what you write goes to it.',

	'image.blocked': 'An image from {0} was not loaded.',
	'image.load': 'Load this image',
	'image.note': 'Its address, which may hold words of this chat, then goes to {0}.',
	'image.failed': 'The image could not be loaded.',

	'outcome.pass': 'passed',
	'outcome.warn': 'warning',
	'outcome.fail': 'failed',
	'outcome.skipped': 'skipped',
	'outcome.not-reached': 'not reached',

	'reached.pass': 'proved',
	'reached.warn': 'with warnings',
	'reached.fail': 'failed',
	'reached.skipped': 'not proved',
	'reached.not-reached': 'not reached',

	'step.machine': 'This machine is genuine',
	'step.software': 'It runs what you expect',
	'step.words': 'Only it can read your words',

	'check.colon': ': ',
	'check.secure-context': 'Secure page',
	'check.evidence-format': 'Evidence of this server',
	'check.nonce-binding': 'Evidence made for this page',
	'check.key-binding': 'Key of the sealed connection',
	'check.event-log': 'Event logs',
	'check.workload': 'What runs there',
	'check.token-signature': 'Signature of the attestation service',
	'check.token-claims': 'What the attestation service vouches for',
	'check.quote-signature': 'Signature of the hardware',
	'check.collateral': 'What Intel says of the platform',
	'check.tcb-status': 'State of the firmware',
	'check.td-attributes': 'Protection of the trust domain',
	'check.reference-values': 'Expected measurements',
	'check.appraisal': 'Verdict of the attestation service',
	'check.settings': 'Your settings in this browser',
	'check.not-simulated': 'Real hardware',

	'reason.not-run': 'An earlier check failed.',
	'reason.not-offered': 'Not checked by this page.',
	'reason.internal': BROKEN.en,
	'reason.offline': 'You are offline.',
	'reason.bad-address':
		'The service needs an https:// or http:// address without user, query and fragment.',
	'reason.http-unpinned':
		'Over plain http:// a service is asked only where its keys are pinned; pin them, or write https://.',
	'reason.keys-malformed': 'These are no public keys (JWK Set) and no certificates (PEM).',
	'reason.policy-malformed': 'This is no appraisal policy; wrong member:',
	'reason.insecure': 'Without HTTPS the browser cannot check anything.',
	'reason.quote-unreachable': 'This server did not answer.',
	'reason.server-down':
		'This server did not answer, something in front of it did: it is down or just starting.',
	'reason.signed-out':
		'This server gives evidence only to who is signed in, and you are not, or no longer.',
	'reason.not-allowed':
		'This server did not let you have its evidence: your account may not be approved yet.',
	'reason.too-many': 'This server is asked too often at the moment.',
	'reason.quote-refused': 'This server gave no quote.',
	'reason.tdx-not-available': 'This server does not run in an Intel TDX trust domain.',
	'reason.evidence-malformed': 'This server’s answer holds no intact Intel TDX quote.',
	'reason.nonce': 'The quote was not made for this page: it may be old or foreign.',
	'reason.key-none':
		'The quote binds no key: whoever passes this server’s answers on reads what you send.',
	'reason.key-mismatch': 'The quote was not made for the keys that this server shows.',
	'reason.keyset-expired': 'The keys that the quote binds have ended; is your clock right?',
	'reason.keyset-life':
		'The keys that the quote binds are to live longer than an hour; is your clock right?',
	'reason.clock-differs':
		'What counts for a time does not count now, and this computer’s clock and this server’s differ (yours / the server’s):',
	'reason.key-silent':
		'Nobody here holds the key that the quote binds: somebody is between you and the trust domain, or several servers share this address.',
	'reason.not-stated': 'This server does not state what runs on it.',
	'reason.statement-mismatch':
		'What this server states of what runs on it is not what the quote binds, or cannot be read:',
	'reason.statement-withheld':
		'What runs on this server is told only to its users, and goes only where nothing warns that you have not confirmed.',
	'reason.statement-changed': 'What this server states of what runs on it has just changed.',
	'reason.measured-mismatch': 'What this server states as measured is not what its event log says.',
	'reason.log-withheld':
		'This server says that it logged what it measured, and shows no log that leads to the quote.',
	'reason.release-missing':
		'The policy takes what may run here from a signed release, and no release was filled in.',
	'reason.release-expired':
		'The release has ended by which the policy knows what may run here; fill in a newer one:',
	'reason.workload-policy': 'What runs on this server is not what the policy asks for:',
	'reason.unlisted-function':
		'A function or tool that no policy lists runs on this server, and could read its keys.',
	'reason.workload-changed': 'What runs on this server is not what it was:',
	'reason.own-word':
		'This is the server’s own word: no reference values cover what it was started from.',
	'reason.service-unreachable': 'The attestation service did not answer.',
	'reason.service-silent':
		'The attestation service did not answer this page: it is down or out of reach, or it does not let this site ask it (CORS). A browser does not say which.',
	'reason.service-down': 'The attestation service is down, or overloaded.',
	'reason.service-keeps-out':
		'The attestation service, or something in front of it, lets nobody in who has not signed in there.',
	'reason.service-too-many': 'The attestation service is asked too often at the moment.',
	'reason.service-kind':
		'Something answers at this address, but not an attestation service of the chosen kind.',
	'reason.service-address': 'There is no attestation service at this address.',
	'reason.service-broken':
		'The attestation service could not judge the evidence; that says nothing about this server.',
	'reason.service-rejected': 'The attestation service refused the evidence.',
	'reason.no-relay':
		'The browser may not ask this attestation service, and this server passes evidence on to no other address than:',
	'reason.keys-unreachable': 'The attestation service gave no keys.',
	'reason.keys-silent':
		'The attestation service gave this page no keys: it is not at this address, it is down or out of reach, it does not let this site read them (CORS), or it publishes none. A browser does not say which.',
	'reason.keys-needed':
		'The browser cannot have the attestation service’s keys, so nothing was sent to it: pin them.',
	'reason.key-changed':
		'Another key than the pinned one signed the token. A Trustee without a signer of its own makes one at each start: pin the new one only if you know that it was started anew.',
	'reason.logs-unmerged':
		'The event logs did not go along: they cannot be made into one log that a service replays.',
	'reason.token-malformed': 'The attestation service gave no acceptable token.',
	'reason.token-forged': 'The token is not signed by the attestation service.',
	'reason.server-chosen':
		'This server chose the attestation service; confirm the address in Settings to trust it.',
	'reason.token-claim': 'The token is about another quote or service.',
	'reason.token-time': 'The token is expired or not valid yet; is your clock right?',
	'reason.appraisal': 'The attestation service does not fully approve.',
	'reason.collateral-expired':
		'By the attestation service’s own word, what it judged the platform by has expired:',
	'reason.not-told':
		'The attestation service does not tell, in a form that counts, what has to be known:',
	'reason.quote-signature': 'The quote is not signed by a genuine TDX platform.',
	'reason.collateral': 'What Intel says about the platform is missing, forged or out of date.',
	'reason.tcb-status': 'The platform needs an update.',
	'reason.td-attributes': 'The TD attributes are not safe.',
	'reason.no-service': 'No attestation service is asked.',
	'reason.tcb-advisory': 'The policy does not tolerate an advisory.',
	'reason.tcb-old': 'The platform’s TCB is older than the policy allows.',
	'reason.tcb-relaunch':
		'This TD was started under old firmware; the host is updated: restart the TD.',
	'reason.tcb-grace': 'The platform needs an update; the policy bears it until:',
	'reason.platform-refused': 'The policy refuses what the platform says of itself:',
	'reason.tcb-evaluation':
		'The platform was judged by an older edition of Intel’s TCB data than the policy asks for.',
	'reason.service-td-unknown':
		'A quote of this kind does not tell whether a service TD is bound to this TD.',
	'reason.reference-values': 'The measurements are not the expected ones.',
	'reason.first-use': 'Remembered from now on.',
	'reason.not-remembered': 'Nothing is remembered before you have confirmed the settings.',
	'reason.unchanged': 'Unchanged since',
	'reason.changed': 'The measurements have changed since',
	'reason.memory': 'This browser’s memory of the measurements is damaged or not available.',
	'reason.settings-storage': 'This browser does not let the page read your settings.',
	'reason.settings-unreadable':
		'Your stored settings cannot be read. What you chose (switch, service, address, keys, policy) is lost, and nothing was asked in its place.',
	'reason.settings-gone':
		'Your stored settings are gone. What you chose (switch, service, address, keys, policy) is lost, and nothing was asked in its place.',
	'reason.settings-off': 'Something other than this page’s own form switched the check off.',
	'reason.settings-foreign': 'Something other than this page’s own form changed what is stored.',
	'reason.settings-unmarked':
		'An older version, or something other than this page’s own form, stored this.',
	'reason.settings-others':
		'Nobody is signed in, and what is set here was set by somebody who was.',
	'reason.settings-differ':
		'The settings that hold on this page are not the stored ones; reload it.',
	'reason.marks':
		'This browser window keeps no marks (is it private?): a change of your settings from outside would not be noticed.',
	'reason.no-log': 'The server sent no event log.',
	'reason.log-malformed': 'An event log cannot be read.',
	'reason.log-differs': 'The event logs do not lead to the measured registers.',
	'reason.log-unexplained': 'No event log accounts for all that is in:',
	'reason.collateral-unreachable': 'This server gave no collateral for the quote.',
	'reason.collateral-older':
		'Intel’s TCB data is of an older edition than this browser has seen for this kind of platform:',
	'reason.collateral-grace':
		'Part of what Intel says about the platform has ended; the policy bears it until:',
	'reason.collateral-memory':
		'This browser cannot tell whether it has seen a newer edition of Intel’s TCB data.',
	'reason.root': 'Another root than Intel’s vouches for the evidence.',
	'reason.simulated': 'The evidence is simulated: for demonstrations only.',

	'trust.none': 'no verdict',
	'trust.affirming': 'good',
	'trust.warning': 'with reservations',
	'trust.contraindicated': 'not to be trusted',
	'trust.*.-1': 'the verifier failed',
	'trust.*.0': 'nothing is said',
	'trust.*.1': 'unexpected evidence',
	'trust.*.99': 'a cryptographic check failed',
	'trust.instance-identity.96': 'recognised, but not to be trusted',
	'trust.instance-identity.97': 'not recognised',
	'trust.configuration.32': 'it has known weaknesses',
	'trust.configuration.36': 'the verifier does not know all of it',
	'trust.configuration.96': 'it has unacceptable weaknesses',
	'trust.executables.32': 'recognised, with known weaknesses',
	'trust.executables.33': 'not all that runs is recognised',
	'trust.executables.96': 'something runs that must not',
	'trust.file-system.32': 'not all files are recognised',
	'trust.file-system.96': 'there are files that must not be there',
	'trust.hardware.32': 'genuine, with known weaknesses',
	'trust.hardware.96': 'genuine, but not to be trusted',
	'trust.hardware.97': 'not recognised',
	'trust.runtime-opaque.32': 'memory is isolated, but not encrypted',
	'trust.runtime-opaque.96': 'memory can be seen from outside',
	'trust.storage-opaque.32': 'secrets are encrypted, but not under keys of hardware',
	'trust.storage-opaque.96': 'secrets are stored unencrypted',
	'trust.sourced-data.32': 'some sources are not fully trusted',
	'trust.sourced-data.96': 'some sources must not be trusted',

	'advice.accept': 'If you know why, accept them below; if not, send nothing confidential.',
	'advice.kept': 'If you did not do that, send nothing confidential before you have looked at it.',
	'advice.others':
		'If these settings are yours, look at them and confirm them. If not, start anew: that holds for this page only.',
	'advice.storage':
		'Let this site store data in your browser, or use a window that is not private.',
	'advice.settings': 'See Settings › General › Remote attestation.',
	'advice.retry': 'Check again in a moment; send nothing confidential until then.',
	'advice.grace': 'That is so for a time only: tell the administrator of this server.',
	'advice.wait': 'This page goes on trying; send nothing confidential until it is verified.',
	'advice.nothing': 'There is nothing to do.',
	'advice.slow':
		'Wait: this page asks again by itself as soon as it may. Send nothing confidential until then.',
	'advice.online':
		'Connect to a network: this page then checks again by itself. Send nothing confidential until then.',
	'advice.https':
		'Open this site by an address that begins with https://. If there is none, send nothing confidential, and tell the administrator of this server: python -m cczoo_backend --https brings one.',
	'advice.clock':
		'Compare this computer’s date and time with a clock that you trust, and set it if it is wrong. If it is right, leave it: send nothing confidential, and tell the administrator of this server.',
	'advice.address':
		'Compare the address with the one that whoever runs the service gives: see Settings › General › Remote attestation.',
	'advice.pin':
		'Compare the address with the one that whoever runs the service gives, ask for its keys, and pin them: see Settings › General › Remote attestation. If it is only down, this page goes on trying.',
	'advice.lost':
		'Look at what is stored, then put back what this page stored last, or start anew. If you did not delete or change it, send nothing confidential before.',
	'advice.admit':
		'Ask the administrator of this server to let you in; send nothing confidential until this page is verified.',
	'advice.silent':
		'Open the service’s address in a new tab. If something answers there, the service does not let this site ask it: whoever runs it has to allow that (CORS), or the administrator of this server has to pass evidence on (TEE_RELAY). If nothing answers, it is down, or the address is wrong: see Settings › General › Remote attestation.',
	'advice.operator':
		'Tell whoever runs the service, or choose another one: see Settings › General › Remote attestation.',
	'advice.update':
		'Tell the administrator of this server that the machine’s firmware needs the update (“4 < 6” is a part that has version 4 and needs 6); send nothing confidential until then.',
	'advice.restart':
		'Tell the administrator of this server to restart the TD; send nothing confidential until then.',
	'advice.unprotected':
		'Send nothing confidential: nothing keeps it from whoever runs this machine.',
	'advice.sign-in': 'Sign in and check again; send nothing confidential until then.',
	'advice.function':
		'Ask the administrator of this server what it does before you send anything confidential.',
	'advice.distrust': 'Send nothing confidential, and tell the administrator of this server.',

	'note.log-not-written': 'What was measured is in no event log: {0}',
	'note.log-withheld': 'The log of what was measured is not there, or does not lead to the quote.',
	'note.unknown-events': 'Events of the kit’s in the log that are not understood here: {0}',
	'note.environment-unlisted': 'Files that Python can import and that belong to no package: {0}',
	'note.runs': 'Runs {0}',
	'note.models-inside': 'Models inside, with measured weights: {0}',
	'note.models-being-measured': 'Models inside whose weights are still being measured: {0}',
	'note.models-outside': 'Models outside: {0}',
	'note.models-not-known': 'Models of which it is not known where they run: {0}',
	'note.models-not-listed': 'Which models are offered is not known.',
	'note.models-left-out': 'Models that are offered and not told of: {0}',
	'note.words-stay': 'No other way leads out.',
	'note.words-can-leave': 'What you write can leave by {0}',
	'note.words-left-out': 'Ways that lead out and are not told of: {0}',
	'note.words-not-known': 'Which ways lead out is not known.',
	'note.no-functions': 'No functions or tools that somebody added run.',
	'note.function-active': 'Runs beside open-webui’s own code: {0}',
	'note.functions-not-known': 'Which functions and tools run is not known, or not all of it.',
	'note.administrators-read': 'Administrators {0}.',
	'note.administrators-not-known': 'It is not known whether administrators {0}.',
	'note.administrators-do-not-read': 'Administrators can neither read nor export chats.',
	'note.storage-kept': 'What is stored is kept from the host.',
	'note.storage-plain': 'The host can read {0}',
	'note.storage-not-known': 'It is not known whether the host can read {0}',
	'note.more': '{0} more are not shown.',

	'people.administrators_read_chats': 'can read chats',
	'people.administrators_export': 'can export all chats',

	'store.chats': 'chats',
	'store.uploads': 'uploads',
	'store.vectors': 'the search index',
	'store.cache': 'the cache',
	'store.temporary': 'temporary files',
	'store.secret_key': 'the key of sign-ins',
	'store.audit_log': 'the audit log',
	'store.logs': 'logs',
	'store.objects': 'the object store',
	'store.redis': 'Redis',
	'store.swap': 'swapped memory',

	'difference.other-files': 'other files than on {0}',
	'difference.other-settings': 'others than on {0}',
	'difference.other-weights': 'other weights than on {0}',
	'difference.other-place': 'runs elsewhere than on {0}',
	'difference.other-code': 'other code than on {0}',
	'difference.not-measured': 'measured on {0}, and not now',
	'difference.new': 'new',
	'difference.less-secret': 'kept from the host on {0}, and not now',
	'difference.may-read': 'could not on {0}, and now can, or nobody knows',
	'difference.not-remembered': 'This browser cannot remember what runs there, or has lost it.',

	'chosen.model-inside': 'The model in use runs inside: {0}',
	'chosen.model-being-measured':
		'The model in use runs inside; its weights are still being measured: {0}',
	'chosen.model-not-known': 'It is not known where the model in use runs: {0}',
	'chosen.model-outside': 'The model in use runs outside of this server: {0}',
	'chosen.question': 'Shall what you write go there?',
	'chosen.decline': 'Do not send',
	'chosen.refused': 'Nothing was sent. {0}',

	'provider.alibaba': 'Alibaba Cloud',
	'provider.trustee': 'CoCo Trustee',
	'provider.dcap': 'In this browser',

	'settings.keywords': 'TDX trust badge measurements policy service',
	'settings.title': 'Remote attestation',
	'settings.enabled': 'Check this server',
	'settings.provider': 'Attestation service',
	'settings.automatic': 'Automatic ({0})',
	'settings.address': 'Address',
	'settings.keys': 'Pinned keys (JWK Set) or CA certificates (PEM)',
	'settings.logs': 'Send it the event logs, too (for services whose policy wants them)',
	'settings.root': 'Root besides Intel’s (PEM or JWK); what it vouches for is never green',
	'settings.enforcement': 'If a check warns or fails',
	'settings.enforcement.server': 'do as this server asks',
	'enforcement.off': 'let everything go',
	'enforcement.warn': 'ask me before anything goes',
	'enforcement.block': 'send nothing',
	'settings.policy': 'Appraisal policy (JSON)',
	'settings.file': 'Take the policy from a file',
	'settings.demands': 'What this policy asks for',
	'settings.local': 'Kept in this browser, not on this server.',
	'settings.not-stored': 'This browser did not store that: it holds for this page only.',
	'settings.strict': 'Nothing may go unchecked here: while this is off, nothing is sent.',
	'settings.other':
		'Another account used this browser before. What it set or accepted here does not count for you.',
	'settings.guest': 'Nobody is signed in: what you change here holds for this page only.',
	'settings.suggested':
		'Only this server names this service. Whoever runs the service decides whether the check passes: believe it only if you know from elsewhere that it is the right one.',
	'settings.trust': 'Believe {0} from now on',
	'settings.suggested.keys':
		'This server proposes keys for the attestation service. Pinned, they alone count as that service’s: take them over only if you know from elsewhere that they are the right ones.',
	'settings.suggested.shown': 'Show them',
	'settings.pin': 'Pin these keys for {0}',
	'settings.suggested.policy':
		'This server proposes what to ask of it. Its policy replaces the built-in one, and may ask for less: take it over only if you know from elsewhere that it is the right one.',
	'settings.adopt': 'Go by this policy from now on',
	'settings.remembered': 'What this browser remembers of this server',
	'settings.machine': 'Its measurements, since {0}',
	'settings.workload': 'What runs there: {0}',
	'settings.damaged': 'This cannot be read.',
	'settings.forget': 'Forget this',
	'settings.forget.sure':
		'What the server shows next then counts as known, whatever it is. Forget this?',
	'settings.everything': 'Forget everything and start anew',
	'settings.everything.sure':
		'What you set, confirmed and accepted for this server, and what this browser remembers of it, is then gone, and this page is loaded anew. Start anew?',
	'settings.yes': 'Yes, forget',
	'settings.no': 'No',
	'settings.broken': 'The stored settings are unreadable: nothing is checked until you start anew.',
	'settings.review': 'Review and confirm',
	'settings.stored': 'What is stored as {0}',
	'settings.confirmed': 'What this form stored last as {0}',
	'settings.nothing': '(nothing)',
	'settings.confirm': 'Confirm what is stored',
	'settings.restore': 'Put back what this form stored last',
	'settings.anew': 'Start anew',

	'admin.title': 'Remote attestation, for everybody here',
	'admin.group.providers': 'Attestation services',
	'admin.group.checking': 'How this server is checked',
	'admin.group.pages': 'What pages must do',
	'admin.group.sealing': 'Sealing',
	'admin.group.asking': 'Who may ask',
	'admin.group.limits': 'Limits',
	'admin.providers': 'Services offered to users',
	'admin.default_provider': 'Service for users who chose none',
	'admin.alibaba_url': 'Alibaba Cloud: address',
	'admin.alibaba_keys': 'Alibaba Cloud: keys to pin (JWK Set or PEM)',
	'admin.trustee_url': 'CoCo Trustee: address',
	'admin.trustee_keys': 'CoCo Trustee: keys to pin (JWK Set or PEM)',
	'admin.relay': 'Services that this server passes evidence on to',
	'admin.relay_timeout': 'Seconds for passing evidence on',
	'admin.policy': 'Appraisal policy suggested to users (JSON)',
	'admin.pccs_url': 'Where Intel’s collateral comes from (PCCS)',
	'admin.pccs_update': 'Edition of Intel’s collateral',
	'admin.collateral_timeout': 'Seconds for one set of collateral',
	'admin.collateral_refresh': 'Seconds until collateral is asked for anew',
	'admin.enforcement': 'Where a check warns or fails',
	'admin.page_sources': 'What pages may ask besides this server (origins)',
	'admin.sealed': 'Sealed requests',
	'admin.statement': 'Measure and state what runs here',
	'admin.quote_public': 'Auditors may ask without an account (where nothing is sealed)',
	'admin.quote_timeout': 'Seconds for one quote',
	'admin.quote_limit_user': 'Quotes for each user',
	'admin.quote_limit_address': 'Quotes for each address without an account',
	'admin.quote_limit_public': 'Quotes for all those addresses together',
	'admin.is.off': 'off',
	'admin.is.on': 'on',
	'admin.is.true': 'yes',
	'admin.is.false': 'no',
	'admin.is.warn': 'ask before anything goes',
	'admin.is.block': 'send nothing',
	'admin.is.offered': 'possible',
	'admin.is.required': 'required',
	'admin.is.early': 'as soon as it is out',
	'admin.is.standard': 'once platforms had time to follow',
	'admin.unsaved': 'Not saved yet.',
	'admin.stored': 'Set here.',
	'admin.environment': 'From the environment ({0}).',
	'admin.fixed': 'Fixed by the server’s environment ({0}).',
	'admin.pending': 'Holds from the next start.',
	'admin.back': 'Back to the first value',
	'admin.bad-seconds': 'This must be a number above 0, and at most {0}.',
	'admin.bad-limit': 'This must read like 60/minute.',
	'admin.bad-origins': 'These must be origins such as https://example.com, or the word “off”.',
	'admin.not-offered': 'This service is not among those offered.',
	'admin.save': 'Save for everybody',
	'admin.saved': 'Saved.',
	'admin.wrong': 'Nothing was saved: see the fields.',
	'admin.changed':
		'Nothing was saved: somebody else has changed settings meanwhile. What you typed is still here; look at it and save again.',
	'admin.not-saved': 'Nothing was saved.',
	'admin.unsure': 'It is not known whether this was saved: check again.',
	'admin.not-loaded': 'The server’s settings could not be had.',
	'admin.unreadable':
		'What was set here cannot be read, so pages send nothing. Have the file put right; or look at all that follows and save: every setting is then stored anew, and what you do not change has its first value.',
	'admin.try': 'Test this service: {0}',
	'admin.try.stop': 'Stop',
	'admin.try.note': 'As a user would get it who takes over what stands here, saved or not.'
} satisfies Record<Named, string> & Record<string, string>;

export type TextKey = keyof typeof en;

/** All texts of one language. */
export type Catalogue = Readonly<Record<TextKey, string>>;

export default en as Catalogue;
