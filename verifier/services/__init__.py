"""Attestation services: what is sent, what an answer is, and what its token says."""
