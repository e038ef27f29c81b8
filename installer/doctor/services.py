"""Whether attestation services and the collateral service can be reached, and the time by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cczoo_installer.doctor.asking import Answer, NoAnswerError, Question, Reply, ask, of_server
from cczoo_installer.doctor.asking import shown_address as shown
from cczoo_installer.doctor.findings import Finding, note, ok, unknown, warning
from cczoo_installer.doctor.reach import compared_clock
from cczoo_installer.doctor.scene import Scene, text
from cczoo_installer.doctor.served import TEE

# Of a PCCS and of Intel's own service alike, for everybody and without a platform.
_IDENTITY = "/tdx/certification/v4/qe/identity"
_PCCS_ANSWER = "enclaveIdentity"
_OK = 200
# Where it is told how each is set up.
_PAGES = {"alibaba": "docs/providers.md", "trustee": "docs/trustee.md"}


def look(scene: Scene) -> Sequence[Finding]:
    """Return which of the services that users are offered answer this machine.

    A browser asks them from where it is, so this says nothing of every person's way.
    """
    if scene.options.offline:
        return [note("services", "attestation services were not asked (--offline)")]
    named, pccs = _addresses(scene)
    questions = [Question(f"{address}/", by_proxy=True) for address in named.values()]
    if pccs is not None:
        questions.append(Question(pccs + _IDENTITY, by_proxy=True))
    replies = ask(*questions)
    found = [
        _service(name, address, reply)
        for (name, address), reply in zip(named.items(), replies, strict=False)
    ]
    if pccs is not None:
        found.append(_pccs(pccs, replies[-1]))
    return [*found, *_clock(replies)] or [
        unknown("services", "no service is known", "See docs/providers.md.")
    ]


def _addresses(scene: Scene) -> tuple[dict[str, str], str | None]:
    """Return the services that the server suggests, else those of its environment; and the PCCS."""
    told = scene.own.members.get("services")
    facts: Mapping[str, Any] = told if isinstance(told, dict) else {}
    found = facts.get("found")
    by_environment = found if isinstance(found, dict) else {}
    named = {
        name: address
        for name in _PAGES
        if (address := text(by_environment, name)) and _is_address(address)
    }
    named.update(_suggested(scene))
    pccs = text(facts, "pccs") if facts.get("dcap", True) else None
    return named, pccs if _is_address(pccs) else None


def _suggested(scene: Scene) -> dict[str, str]:
    """Return the addresses that the server tells to pages: administrators may have changed them."""
    if scene.url is None:
        return {}
    [config] = ask(of_server(f"{scene.url}{TEE}/config"))
    if isinstance(config, NoAnswerError) or config.status != _OK:
        return {}
    members = config.members()
    offered, providers = members.get("offered"), members.get("providers")
    if not isinstance(offered, list) or not isinstance(providers, dict):
        return {}
    return {
        name: address
        for name in _PAGES
        if name in offered and (address := text(providers, name, "url")) and _may_be_asked(address)
    }


def _may_be_asked(address: str) -> bool:
    """Whether an address that somebody else's server names is one that a page could ask, too."""
    return address.startswith(("https://", "http://127.0.0.1:", "http://localhost:"))


def _is_address(address: object) -> bool:
    return isinstance(address, str) and address.startswith(("https://", "http://"))


def _service(name: str, address: str, reply: Reply) -> Finding:
    if isinstance(reply, NoAnswerError):
        return warning(
            f"service-{name}",
            f"{name}: no answer from {shown(address)}: {reply}",
            f"Let people's browsers reach it; or suggest another ({_PAGES[name]}).",
            address=shown(address),
        )
    return ok(f"service-{name}", f"{name}: {shown(address)} answers", status=reply.status)


def _pccs(address: str, reply: Reply) -> Finding:
    if isinstance(reply, NoAnswerError):
        cure = "Let the server reach it, or set TEE_PCCS_URL to a PCCS nearby."
        return warning("pccs", f"PCCS: no answer from {shown(address)}: {reply}", cure)
    if reply.status != _OK or _PCCS_ANSWER not in reply.members():
        what = f"PCCS: {shown(address)} answers something else (HTTP {reply.status})"
        return warning("pccs", what, "Set TEE_PCCS_URL to a PCCS with Intel's interface version 4.")
    return ok("pccs", f"PCCS: {shown(address)} answers")


def _clock(replies: Sequence[Reply]) -> Iterator[Finding]:
    dated = next((one for one in replies if isinstance(one, Answer) and one.date()), None)
    if dated is not None:
        yield from compared_clock(dated, "an attestation service")
