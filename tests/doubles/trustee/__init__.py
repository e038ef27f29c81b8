"""Likenesses of CoCo Trustee's attestation service (`restful-as`), as it was recorded.

    python -m doubles.trustee --version 0.13|0.21 --simulator DIR [options]

`v013` and `v021` hold what each version does in its own way: the body it takes, what it reads in
event logs, its names for a platform's status, its tokens, its words for a fault. They share the
routes and the manners of its HTTP library (`web`), the reading of JSON (`reading`), what Intel's
library says of a quote (`library`), policies (`policies`), and how tokens are signed (`signing`).

Quotes are verified for real, by the appraisal core of `cczoo_verifier`, under a root of our choice.
What is no likeness: policies are not Rego (see `policies`), and details of firmware events stay
empty.
"""
