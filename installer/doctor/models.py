"""Whether a model answers: the model servers that open-webui is set to, and their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cczoo_installer.doctor.asking import NoAnswerError, Question, Reply, ask, shown_address
from cczoo_installer.doctor.findings import Finding, note, ok, warning
from cczoo_installer.doctor.scene import Scene, text

# open-webui's own default; its administrators may have set others since, in its database.
_OLLAMA = "http://localhost:11434"
_SWITCH = "ENABLE_OLLAMA_API"
_MOST = 8  # servers that are asked
_SHOWN = 4  # models
_OK = 200


def look(scene: Scene) -> Sequence[Finding]:
    """Return which model servers answer, with how many models."""
    found = []
    settings = scene.settings or scene.options.env
    if settings.get(_SWITCH, "").strip().lower() != "false":
        addresses = _ollamas(settings)[:_MOST]
        replies = ask(*(Question(f"{one}/api/tags") for one in addresses))
        found = [_ollama(one, reply) for one, reply in zip(addresses, replies, strict=True)]
    others = [shown_address(one) for one in _listed(settings, "OPENAI_API_BASE_URL")]
    if others:
        found.append(
            note(
                "model-servers",
                f"also set to models at {', '.join(others[:_SHOWN])}",
                "Whether they are inside the TD, the panel's statement says to each person.",
            )
        )
    return found or [note("models", "Ollama is switched off, and no other model server is set")]


def _ollamas(settings: Mapping[str, str]) -> list[str]:
    listed = _listed(settings, "OLLAMA_BASE_URL")
    older = settings.get("OLLAMA_API_BASE_URL", "").rstrip("/").removesuffix("/api")
    return listed or [older or _OLLAMA]


def _listed(settings: Mapping[str, str], name: str) -> list[str]:
    """Return the addresses of a setting: the plural's, which comes first, or the one."""
    text_ = settings.get(f"{name}S") or settings.get(name) or ""
    return [one.strip().rstrip("/") for one in text_.split(";") if one.strip()]


def _ollama(address: str, reply: Reply) -> Finding:
    shown = shown_address(address)
    if isinstance(reply, NoAnswerError):
        cure = "Start Ollama, or set OLLAMA_BASE_URL to where it is."
        return warning("ollama", f"no Ollama at {shown}: {reply}", cure, address=shown)
    models = reply.members().get("models")
    if reply.status != _OK or not isinstance(models, list):
        what = f"what answers at {shown} is no Ollama (HTTP {reply.status})"
        return warning("ollama", what, "Set OLLAMA_BASE_URL to an Ollama.", address=shown)
    names = [name for one in models if isinstance(one, dict) and (name := text(one, "name"))]
    if not names:
        cure = "Fetch one, for example: `ollama pull deepseek-r1:1.5b`."
        return warning("ollama", f"Ollama at {shown} has no models", cure, address=shown)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    listed = ", ".join(name[:80] for name in names[:_SHOWN])
    return ok("ollama", f"Ollama at {shown}: {listed}{more}", address=shown, models=len(names))
