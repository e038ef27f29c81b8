import * as hpke from 'hpke';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, toUtf8 } from '../../src/base/encoding';
import { AEADS, type Kem, KEMS, P256, setupSender, X25519 } from '../../src/transport/hpke';
import { must } from '../support/must';

const { subtle } = crypto;
const INFO = toUtf8('Ode on a Grecian Urn');
const TEXT = toUtf8('Beauty is truth, truth beauty');

/** RFC 9180 appendices A.1.1 and A.3.1; sealed by sequence number, with "Count-<number>". */
const VECTORS = [
	{
		name: 'A.1.1',
		kem: X25519,
		recipient: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
		ephemeral: '52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736',
		enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
		sealed: {
			0: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
			1: 'af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84',
			255: '7175db9717964058640a3a11fb9007941a5d1757fda1a6935c805c21af32505bf106deefec4a49ac38d71c9e0a',
			256: '957f9800542b0b8891badb026d79cc54597cb2d225b54c00c5238c25d05c30e3fbeda97d2e0e1aba483a2df9f2'
		},
		exported: 'e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931'
	},
	{
		name: 'A.3.1',
		kem: P256,
		recipient:
			'04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0',
		ephemeral: '4995788ef4b9d6132b249ce59a77281493eb39af373d236a1fe415cb0c2d7beb',
		enc: '04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4',
		sealed: {
			0: '5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434',
			4: '8787491ee8df99bc99a246c4b3216d3d57ab5076e18fa27133f520703bc70ec999dd36ce042e44f0c3169a6a8f',
			256: '10f179686aa2caec1758c8e554513f16472bd0a11e2a907dde0b212cbe87d74f367f8ffe5e41cd3e9962a6afb2'
		},
		exported: 'd8f1ea7942adbba7412c6d431c62d01371ea476b823eb697e1f6e6cae1dab85a'
	}
];

const base64url = (hex: string) => Buffer.from(hex, 'hex').toString('base64url');

/** An ephemeral key pair with this private key. */
const pairOf = async (kem: Kem, secret: string, enc: string): Promise<CryptoKeyPair> => {
	const isX25519 = kem === X25519;
	const point = isX25519
		? { x: base64url(enc) }
		: { x: base64url(enc.slice(2, 66)), y: base64url(enc.slice(66)) };
	const names = isX25519 ? { kty: 'OKP', crv: 'X25519' } : { kty: 'EC', crv: 'P-256' };
	const jwk = { ...names, ...point };
	return {
		publicKey: await subtle.importKey('jwk', jwk, kem.curve, true, []),
		privateKey: await subtle.importKey('jwk', { ...jwk, d: base64url(secret) }, kem.curve, false, [
			'deriveBits'
		])
	};
};

describe.each(VECTORS)('RFC 9180 $name', ({ kem, recipient, ephemeral, enc, sealed, exported }) => {
	const setup = () =>
		setupSender(subtle, kem, must(AEADS[0]), fromHex(recipient), INFO, () =>
			pairOf(kem, ephemeral, enc)
		);

	it('encapsulates and exports', async () => {
		const context = await setup();
		expect(toHex(context.enc)).toBe(enc);
		expect(toHex(await context.exportSecret('TestContext', 32))).toBe(exported);
	});

	it('seals by sequence number', async () => {
		const context = await setup();
		const found: Record<number, string> = {};
		for (let number = 0; number <= 256; number += 1) {
			const text = await context.seal(TEXT, toUtf8(`Count-${number}`));
			if (number in sealed) found[number] = toHex(text);
		}
		expect(found).toEqual(sealed);
	});
});

describe.each(KEMS)('npm hpke opens what KEM $id seals', (kem) => {
	const Kem = kem === X25519 ? hpke.KEM_DHKEM_X25519_HKDF_SHA256 : hpke.KEM_DHKEM_P256_HKDF_SHA256;

	it.each(AEADS)('with AEAD $id', async (aead) => {
		const Aead = aead.id === 1 ? hpke.AEAD_AES_128_GCM : hpke.AEAD_AES_256_GCM;
		const suite = new hpke.CipherSuite(Kem, hpke.KDF_HKDF_SHA256, Aead);
		const pair = await suite.GenerateKeyPair();
		const publicKey = Uint8Array.from(await suite.SerializePublicKey(pair.publicKey));
		const sender = await setupSender(subtle, kem, aead, publicKey, INFO);
		const recipient = await suite.SetupRecipient(pair, sender.enc, { info: INFO });
		// Not awaited one after the other: the calls give the order.
		const texts = await Promise.all(
			[0, 1, 2].map((number) => sender.seal(TEXT, toUtf8(String(number))))
		);
		for (const [number, text] of texts.entries()) {
			expect(await recipient.Open(text, toUtf8(String(number)))).toEqual(TEXT);
		}
		expect(await recipient.Export(toUtf8('a name'), 16)).toEqual(
			await sender.exportSecret('a name', 16)
		);
	});
});

describe('a key that is none', () => {
	it.each([
		['a point of low order', X25519, new Uint8Array(32)],
		['not on the curve', P256, Uint8Array.from({ length: 65 }, (_, at) => (at ? 1 : 4))],
		['too short', X25519, new Uint8Array(31)]
	])('%s', async (_, kem, publicKey) => {
		await expect(setupSender(subtle, kem, must(AEADS[0]), publicKey, INFO)).rejects.toThrow();
	});
});
