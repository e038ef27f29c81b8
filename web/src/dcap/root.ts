/**
 * Intel's SGX root of trust, "Intel SGX Root CA", by its public key: base64url of the uncompressed
 * P-256 point, 65 bytes. It is published as Intel_SGX_Provisioning_Certification_RootCA, and every
 * PCK chain and every signing chain of TCB info ends in it. A key, not a certificate, so that Intel
 * may renew the certificate and nobody else can.
 */
export const INTEL_ROOT_KEY =
	'BAupxMDAyGGTo_4j1rAs2hCou9Tojki0RYVho25wVSX1Z5GOLtyI5A2GC9DMTuJqrMmI5QWpU1WMRT9rCQSuc5Q';
