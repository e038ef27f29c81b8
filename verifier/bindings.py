"""What ties a quote to a question and to a key: checks `nonce-binding` and `key-binding`.

The quote is over runtime data, the runtime data over my nonce and, in version 2, over the keys to
which requests are sealed (docs/evidence.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quote_generator import evidence as contract
from quote_generator.errors import BadInput
from quote_generator.evidence import RUNTIME_DATA_VERSION as WITHOUT_KEYS
from quote_generator.evidence import RUNTIME_DATA_WITH_KEYS as WITH_KEYS
from quote_generator.sealing.errors import SealingError
from quote_generator.sealing.hpke import Kem
from quote_generator.sealing.keyset import Keyset, check_life, parse_keyset

from . import strictjson
from .checks import FAIL, PASS, SKIPPED, WARN, Check
from .evidence_document import Evidence
from .policy import Policy
from .times import rfc3339

SKEW = 300
"""Seconds that saved evidence may seem to come from the future, for clocks that differ."""

Ask = Callable[[Keyset], Callable[[], None]]
"""Starts a sealed request under a keyset; what it gives waits until the key's holder answered.

That raises Rejected (key-silent) where the holder did not, and Unreachable where nobody knows.
"""

_KEMS = {Kem.X25519: "X25519", Kem.P256: "P-256"}

UNBOUND = "key-mismatch"
"""The code where the quote does not bind the keyset or the statement that came with it."""

_NONCE, _KEY = "nonce-binding", "key-binding"


@dataclass(frozen=True)
class RuntimeData:
    """What a quote is over. `keys` and `statement` as they stand, None in version 1."""

    version: int
    nonce_root: bytes
    keys: Any = None
    statement: Any = None


def nonce_binding(evidence: Evidence, nonce: bytes | None) -> tuple[Check, RuntimeData | None]:
    """Whether the quote answers the nonce, and its runtime data where it does."""
    if contract.report_data(evidence.runtime_data) != evidence.quote.body.report_data:
        return _unbound("report-data-differs", "the quote is over other runtime data")
    if nonce is None:
        return _unbound("nonce-unknown", "no nonce is known: the evidence may be old")
    try:
        runtime = _read(evidence.runtime_data)
    except ValueError as error:
        return _unbound("runtime-data-malformed", f"runtime_data cannot be read: {error}")
    if runtime is None:
        return _unbound("version-unknown", "runtime_data is of an unknown version")
    held = contract.verify_inclusion(
        nonce, evidence.leaf_index, evidence.tree_size, evidence.path, runtime.nonce_root
    )
    if not held:
        return _unbound("nonce-differs", "the quote does not answer this nonce")
    others = evidence.tree_size - 1
    shared = f" and {others} more" if others else ""
    return Check(_NONCE, PASS, f"the quote answers this nonce{shared}"), runtime


def _unbound(code: str, detail: str) -> tuple[Check, None]:
    return Check(_NONCE, FAIL, detail, code), None


def _read(data: bytes) -> RuntimeData | None:
    """The runtime data, None where nobody here knows the version. Raises ValueError."""
    value = strictjson.loads(data)
    version = value.get("v") if isinstance(value, dict) else None
    if isinstance(version, bool) or version not in (WITHOUT_KEYS, WITH_KEYS):
        return None
    root = value.get("nonce_root")
    if not isinstance(root, str):
        raise ValueError("nonce_root is not a string")
    nonce_root = contract.decode_base64url(root, "nonce_root")
    if version == WITHOUT_KEYS:
        return RuntimeData(version, nonce_root)
    return RuntimeData(version, nonce_root, value.get("keys"), value.get("statement"))


def age(binding: Check, fetched: float | None, now: float, max_age: int) -> Check:
    """`binding`, unless the evidence is older than the policy allows."""
    if fetched is None:
        return Check(binding.id, FAIL, "nobody knows how old the evidence is", "age-unknown")
    if not -SKEW <= now - fetched <= max_age:
        detail = f"the evidence is {now - fetched:.0f} s old: the policy allows {max_age} s"
        return Check(binding.id, FAIL, detail, "evidence-old")
    return binding


# --- keys ----------------------------------------------------------------------------------------


def bound_keys(
    evidence: Evidence, runtime: RuntimeData, policy: Policy, now: float, *, live: bool
) -> Keyset | Check:
    """The keyset that the quote binds, or the check where there is no more to find out.

    `live` is whether its holder can be asked.
    """
    if runtime.version == WITHOUT_KEYS:
        return _without_key(policy, live)
    for name, digest in (("keyset", runtime.keys), ("statement", runtime.statement)):
        found = _digest(getattr(evidence, name))
        if found is None or digest != found:
            return _refused(UNBOUND, f"the quote is over another {name}")
    try:
        keyset = parse_keyset(evidence.keyset)
    except SealingError as error:
        return _refused(UNBOUND, f"the keyset cannot be used: {error}")
    if not live:
        detail = f"key {keyset.preferred.id}: nobody to ask, the evidence is from a file"
        return Check(_KEY, SKIPPED, detail, "not-asked")
    try:
        check_life(keyset.not_after, now)
    except SealingError as error:  # keyset-expired or keyset-life
        return _refused(error.code, f"the keys end at {rfc3339(keyset.not_after)}: {error}")
    return keyset


def held_key(keyset: Keyset, wait: Callable[[], None]) -> Check:
    """Whether the key's holder answered. Raises what `Ask` says that waiting raises."""
    wait()
    key = describe_key(keyset)
    detail = f"key {key['id']} ({key['kem']}, until {key['not_after']}) answered a sealed request"
    return Check(_KEY, PASS, detail, until=keyset.not_after)


def describe_key(keyset: Keyset) -> dict[str, str]:
    """The key to which requests are sealed, by its names, and when it ends."""
    key = keyset.preferred
    return {"id": key.id, "kem": _KEMS[key.kem], "not_after": rfc3339(keyset.not_after)}


def _without_key(policy: Policy, live: bool) -> Check:
    if policy.require_sealed:
        return _refused("key-none", "the quote binds no key: the policy asks for one")
    if not live:
        return Check(_KEY, SKIPPED, "the quote binds no key, and is from a file", "not-asked")
    detail = "the quote binds no key: whoever passes the server's answers on reads what you send"
    return Check(_KEY, WARN, detail, "key-none")


def _refused(code: str, detail: str) -> Check:
    return Check(_KEY, FAIL, detail, code)


def _digest(value: object) -> str | None:
    """What runtime data say of an object, None for what is no object or has no canonical form."""
    try:
        return contract.document_hash(value) if isinstance(value, dict) else None
    except BadInput:
        return None
