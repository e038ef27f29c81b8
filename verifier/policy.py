"""The appraisal policy: what the relying party accepts (docs/verification.md, "Policy").

One JSON schema, `policy.schema.json`, serves this package and the page; the meaning of each
member is here.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from quote_generator.errors import BadInput

from . import strictjson

REQUIRE, ALLOW, FORBID = "require", "allow", "forbid"

REQUIREMENTS = (
    "no-model-outside",
    "no-unlisted-function",
    "storage-encrypted",
    "no-administrator-reads",
    "environment-without-unlisted",
)
"""What a policy may ask for of a workload, by name."""

MAX_TEXT = 1 << 16
"""Characters of a policy, here and in the page."""

_DEPTH = 32
"""Levels of nesting, of which a policy has 4: whoever compares values of more runs out of stack."""

DEFAULT_MAX_AGE = 3600
"""Seconds that a result counts where the policy does not say."""


@dataclass(frozen=True)
class AttributeRules:
    """Whether a TD must, may or must not have an attribute: require, allow or forbid."""

    sept_ve_disable: str = REQUIRE
    pks: str = ALLOW
    key_locker: str = ALLOW
    perfmon: str = ALLOW
    icssd: str = FORBID
    lass: str = FORBID
    migratable: str = FORBID
    tpa: str = FORBID
    servtd_ext: str = FORBID


@dataclass(frozen=True)
class MaskedValue:
    """Of a field, as a little-endian number, the bits in `mask` have to be those of `value`."""

    mask: int
    value: int


@dataclass(frozen=True)
class ReleaseRules:
    """Which signed releases may say what runs (docs/auditors.md, "A release").

    `keys` are the public keys of which one must have signed, as `ed25519:<hex>`, and none older
    than `min_serial` counts. `not_after` is when the values end that the policy took from one, None
    where it took none yet.
    """

    keys: tuple[str, ...]
    min_serial: int = 0
    not_after: datetime.datetime | None = None


@dataclass(frozen=True)
class WorkloadRules:
    """What may run, and where words may go.

    `digests` maps a member (kit, models, ...) to those that are accepted, `versions` the same;
    what is not in them is not asked for. `required` are names such as no-model-outside, in the
    policy's order. `release` is None where the policy takes nothing from releases.
    """

    digests: Mapping[str, frozenset[str]] = field(default_factory=dict)
    versions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    release: ReleaseRules | None = None

    @property
    def ask_for_anything(self) -> bool:
        """Whether there is anything in them to be violated."""
        return bool(self.digests or self.versions or self.required or self.release)


_PLATFORM = {"dynamic_platform": ALLOW, "cached_keys": ALLOW, "smt": ALLOW}
"""What a machine may have where a policy does not say: nearly all have the last."""


@dataclass(frozen=True)
class Policy:
    """What is accepted; each member's default is what counts where a policy does not say.

    `passing` and `warning` are TCB statuses: one that is in neither fails, one that is in both
    passes. `advisories` are the ids that may apply to the platform, None for any, and
    `refused_advisories` those that may not. `min_date` is the earliest date that platform, TDX
    module and quoting enclave may have, and `min_evaluation` the lowest
    `tcbEvaluationDataNumber` of the documents by which they were judged. `tcb_grace` is for how
    many seconds from that date a platform that is out of date warns only, None for not at all;
    `collateral_grace` for how many seconds after its end collateral still counts, with a warning.
    `platform` says which of a machine's features may be on: allow or forbid. `masked_values` holds
    bits of td_attributes and xfam. `reference_values` maps a body field to the values, in
    lower-case hex, of which the quote's must be one.
    `explained_registers` are the RTMRs that the event logs must account for.
    `min_quote_version` is 5 where the quote has to name the service TD. `max_age` is in seconds,
    None where the policy does not say. With `require_sealed` a quote that binds no key fails.
    `workload` is None where nothing is said of what runs in the TD.
    """

    passing: frozenset[str] = frozenset({"UpToDate"})
    warning: frozenset[str] = frozenset(
        {"SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"}
    )
    advisories: frozenset[str] | None = None
    min_date: datetime.datetime | None = None
    min_evaluation: int | None = None
    refused_advisories: frozenset[str] = frozenset()
    tcb_grace: int | None = None
    collateral_grace: int = 0
    platform: Mapping[str, str] = field(default_factory=lambda: dict(_PLATFORM))
    td_attributes: AttributeRules = AttributeRules()
    masked_values: Mapping[str, MaskedValue] = field(default_factory=dict)
    reference_values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    explained_registers: tuple[str, ...] = ()
    min_quote_version: int = 4
    max_age: int | None = None
    require_sealed: bool = False
    workload: WorkloadRules | None = None

    @property
    def lifetime(self) -> int:
        """How long a result counts, in seconds."""
        return DEFAULT_MAX_AGE if self.max_age is None else self.max_age


DEFAULT = Policy()


def read_policy(text: str | bytes) -> Policy:
    """The policy in a JSON text. Raises BadInput, naming the member that is wrong.

    A member that is not known is an error: a typo must not loosen anything.
    """
    return policy_of(read_document(text))


def read_document(text: str | bytes) -> Any:
    """The JSON value in a policy's text. Raises BadInput where there is none."""
    if len(text) > MAX_TEXT:
        raise BadInput(f"policy: longer than {MAX_TEXT} characters")
    try:
        return strictjson.loads(text)
    except ValueError as error:
        raise BadInput(f"policy: {error}") from error


def policy_of(value: object) -> Policy:
    """The policy in a JSON value. Raises BadInput, naming the member that is wrong."""
    validate(value, schema(), "policy")
    assert isinstance(value, dict)  # noqa: S101 - the schema said so
    tcb: dict[str, Any] = value.get("tcb", {})
    return Policy(
        passing=frozenset(tcb.get("pass", DEFAULT.passing)),
        warning=frozenset(tcb.get("warn", DEFAULT.warning)),
        advisories=frozenset(tcb["advisories"]) if "advisories" in tcb else None,
        min_date=_date("/tcb/min_date", tcb["min_date"]) if "min_date" in tcb else None,
        min_evaluation=int(tcb["min_evaluation"]) if "min_evaluation" in tcb else None,
        refused_advisories=frozenset(tcb.get("refused_advisories", ())),
        tcb_grace=int(tcb["grace"]) if "grace" in tcb else None,
        collateral_grace=int(value.get("collateral", {}).get("grace", 0)),
        platform=_PLATFORM | value.get("platform", {}),
        td_attributes=AttributeRules(**value.get("td_attributes", {})),
        masked_values={name: _masked_value(name, item) for name, item in _in_order(value).items()},
        reference_values=_lowered(value.get("reference_values", {})),
        explained_registers=tuple(value.get("explained_registers", ())),
        min_quote_version=int(value.get("min_quote_version", DEFAULT.min_quote_version)),
        max_age=int(value["max_age"]) if "max_age" in value else None,
        require_sealed=value.get("require_sealed", DEFAULT.require_sealed),
        workload=_workload(value["workload"]) if "workload" in value else None,
    )


def read_references(text: str | bytes) -> dict[str, frozenset[str]]:
    """Reference values by themselves: {"mr_td": "<hex>" or ["<hex>", ...], ...}.

    Raises BadInput, naming the field that is wrong.
    """
    try:
        value = strictjson.loads(text)
    except ValueError as error:
        raise BadInput(f"reference values: {error}") from error
    if not isinstance(value, dict) or not value:
        raise BadInput("reference values: expected a JSON object with field names and hex values")
    lists = {name: [item] if isinstance(item, str) else item for name, item in value.items()}
    validate(lists, schema()["properties"]["reference_values"], "reference values")
    return _lowered(lists)


@cache
def schema() -> dict[str, Any]:
    """The schema of a policy (JSON Schema 2020-12)."""
    text = resources.files(__package__).joinpath("policy.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def validate(value: object, wanted: Mapping[str, Any], what: str) -> None:
    """Raise BadInput for the first member, from the top, that the schema refuses."""
    if strictjson.depth(value) > _DEPTH:
        raise BadInput(f"{what}: nested more than {_DEPTH} deep")
    errors = _validators()(wanted).iter_errors(value)
    first = min(errors, key=lambda error: (len(error.path), str(error.path)), default=None)
    if first is not None:
        where = "/" + "/".join(str(part) for part in first.path)
        raise BadInput(f"{what}: {where}: {first.message[:200]}")


@cache
def _validators() -> Any:
    """The class of what holds a value against a schema."""
    # Loaded here: it takes longer than a verification that has no policy to read.
    from jsonschema import Draft202012Validator, validators

    compare = Draft202012Validator.VALIDATORS["uniqueItems"]

    def unique(validator: Any, is_wanted: bool, items: Any, schema: Any) -> Any:
        # Each is compared with each: of more than there may be, that takes hours.
        if not isinstance(items, list) or len(items) <= schema.get("maxItems", len(items)):
            yield from compare(validator, is_wanted, items, schema)

    return validators.extend(Draft202012Validator, {"uniqueItems": unique})  # type: ignore[no-untyped-call]


def _date(where: str, text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"policy: {where}: {json.dumps(text)} is not a date") from error


def _in_order(value: Mapping[str, Any]) -> dict[str, Any]:
    """The masked values in the order of the quote's fields, in which they are held."""
    given = value.get("masked_values", {})
    return {name: given[name] for name in ("td_attributes", "xfam") if name in given}


def _masked_value(name: str, item: Mapping[str, str]) -> MaskedValue:
    mask, value = (
        int.from_bytes(bytes.fromhex(item[each]), "little") for each in ("mask", "value")
    )
    if value & ~mask:
        raise BadInput(
            f"policy: /masked_values/{name}: the value has bits that the mask leaves out"
        )
    return MaskedValue(mask, value)


def _workload(value: Mapping[str, Any]) -> WorkloadRules:
    others = ("versions", "require", "release")
    lists = {name: items for name, items in value.items() if name not in others}
    return WorkloadRules(
        digests=_sets(lists),
        versions=_sets(value.get("versions", {})),
        required=tuple(value.get("require", ())),
        release=_release(value["release"]) if "release" in value else None,
    )


def _release(value: Mapping[str, Any]) -> ReleaseRules:
    end = value.get("not_after")
    return ReleaseRules(
        keys=tuple(value["keys"]),
        min_serial=int(value.get("min_serial", 0)),
        not_after=None if end is None else _date("/workload/release/not_after", end),
    )


def _sets(lists: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(items) for name, items in lists.items()}


def _lowered(lists: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(item.lower() for item in items) for name, items in lists.items()}
