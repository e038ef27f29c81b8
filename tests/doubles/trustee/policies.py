"""What a service's policy makes of evidence: its trust vector (draft-ietf-rats-ar4si, section 2.3).

Policies are Rego, for which there is no reader here. The shipped one is written out in each
version's module. Of one that somebody set, numbers that stand beside a claim's name are read, as in
`hardware := 2`: enough to show what it takes to change every auditor's result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

SHIPPED = "# the policy that the service ships\n"

CLAIMS = (
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
)
"""All claims of a trust vector, in the order of tokens."""

Vector = dict[str, int]
References = Mapping[str, Sequence[Any]]


def vector_of(policy: str) -> Vector:
    """The claims that a policy sets to a number."""
    found = re.findall(r"([a-z_-]+)\"?\s*:=?\s*(-?\d+)", policy)
    numbers = {name.replace("_", "-"): int(number) for name, number in found}
    return {name: numbers[name] for name in CLAIMS if name in numbers}


def status_of(vector: Vector) -> str:
    """The status of the worst claim (draft-ietf-rats-ear, section 3.2)."""
    tiers = ("none", "affirming", "warning", "contraindicated")
    return tiers[max((_tier(value) for value in vector.values()), default=0)]


def _tier(value: int) -> int:
    if -1 <= value <= 1:
        return 0
    return 1 if -32 <= value <= 31 else 2 if -96 <= value <= 95 else 3


def are_known(body: Mapping[str, Any], names: Sequence[str], references: References) -> bool:
    """Whether each of these measurements is a reference value."""
    return all(body[name] in references.get(name, ()) for name in names)
