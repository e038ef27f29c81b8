"""What the settings that decide where words go are called, in each version of open-webui.

Ours are the names of 0.12.4, which keeps each setting in a row of its database's table ``config``.
0.5.20 and 0.6.43 have them as attributes of ``app.state.config``. What is fixed at the start is a
constant of a module. A setting that a version should have and that cannot be read is UNKNOWN, so
that a renamed one is never taken for one that is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

Settings = Mapping[str, object]
Get = Callable[[str], object]


class Sign(Enum):
    """Values that no setting has itself."""

    UNKNOWN = "unknown"
    ALWAYS_ON = "always-on"  # this version does it, and has no switch for it


UNKNOWN, ALWAYS_ON = Sign.UNKNOWN, Sign.ALWAYS_ON

_Names = tuple[str | Sign | None, str | Sign | None]


def _same(name: str) -> _Names:
    return name, name


def _since_6(name: str) -> _Names:
    return None, name


_NEW: _Names = (None, None)

# Key of 0.12.4: attribute in 0.5.20, attribute in 0.6.43 (None: that version lacks the feature).
_KEYS: Mapping[str, _Names] = {
    # Model servers
    "openai.enable": _same("ENABLE_OPENAI_API"),
    "openai.api_base_urls": _same("OPENAI_API_BASE_URLS"),
    "openai.api_configs": _same("OPENAI_API_CONFIGS"),
    "openai.api_keys": _same("OPENAI_API_KEYS"),
    "ollama.enable": _same("ENABLE_OLLAMA_API"),
    "ollama.base_urls": _same("OLLAMA_BASE_URLS"),
    "ollama.api_configs": _same("OLLAMA_API_CONFIGS"),
    "direct.enable": _same("ENABLE_DIRECT_CONNECTIONS"),
    "direct.integrations.enable": (None, ALWAYS_ON),
    # Models that see a chat beside the chosen one
    "task.model.default": _same("TASK_MODEL"),
    "task.model.external": _same("TASK_MODEL_EXTERNAL"),
    "chat.context_compaction.enable": _NEW,
    "chat.context_compaction.model": _NEW,
    # Tools
    "tool_server.connections": _since_6("TOOL_SERVER_CONNECTIONS"),
    "terminal_server.connections": _NEW,
    "code_execution.enable": _same("ENABLE_CODE_EXECUTION"),
    "code_execution.engine": _same("CODE_EXECUTION_ENGINE"),
    "code_execution.jupyter.url": _same("CODE_EXECUTION_JUPYTER_URL"),
    "code_interpreter.enable": _same("ENABLE_CODE_INTERPRETER"),
    "code_interpreter.engine": _same("CODE_INTERPRETER_ENGINE"),
    "code_interpreter.jupyter.url": _same("CODE_INTERPRETER_JUPYTER_URL"),
    # Search and pages of the Web
    "web.search.enable": ("ENABLE_RAG_WEB_SEARCH", "ENABLE_WEB_SEARCH"),
    "web.search.engine": ("RAG_WEB_SEARCH_ENGINE", "WEB_SEARCH_ENGINE"),
    "web.search.searxng_query_url": _same("SEARXNG_QUERY_URL"),
    "web.search.yacy_query_url": _since_6("YACY_QUERY_URL"),
    "web.search.openserp_base_url": _NEW,
    "web.search.bing_search_v7_endpoint": _same("BING_SEARCH_V7_ENDPOINT"),
    "web.search.azure_ai_search_endpoint": _since_6("AZURE_AI_SEARCH_ENDPOINT"),
    "web.search.perplexity_search_api_url": _since_6("PERPLEXITY_SEARCH_API_URL"),
    "web.search.external_web_search_url": _since_6("EXTERNAL_WEB_SEARCH_URL"),
    "web.search.jina_api_base_url": _NEW,
    "web.search.microsoft_web_iq_api_base_url": _NEW,
    "web.search.yandex_web_search_url": _NEW,
    "web.loader.engine": ("RAG_WEB_LOADER_ENGINE", "WEB_LOADER_ENGINE"),
    "web.loader.playwright_ws_url": ("PLAYWRIGHT_WS_URI", "PLAYWRIGHT_WS_URL"),
    "web.loader.firecrawl_api_url": _same("FIRECRAWL_API_BASE_URL"),
    "web.loader.external_web_loader_url": _since_6("EXTERNAL_WEB_LOADER_URL"),
    # Documents
    "rag.embedding_engine": _same("RAG_EMBEDDING_ENGINE"),
    "rag.embedding_model": _same("RAG_EMBEDDING_MODEL"),
    "rag.openai.api_base_url": _same("RAG_OPENAI_API_BASE_URL"),
    "rag.ollama.base_url": _same("RAG_OLLAMA_BASE_URL"),
    "rag.azure_openai.base_url": _since_6("RAG_AZURE_OPENAI_BASE_URL"),
    "rag.enable_hybrid_search": _same("ENABLE_RAG_HYBRID_SEARCH"),
    "rag.reranking_engine": _since_6("RAG_RERANKING_ENGINE"),
    "rag.external_reranker_url": _since_6("RAG_EXTERNAL_RERANKER_URL"),
    "rag.content_extraction_engine": _same("CONTENT_EXTRACTION_ENGINE"),
    "rag.tika_server_url": _same("TIKA_SERVER_URL"),
    "rag.document_intelligence_endpoint": _same("DOCUMENT_INTELLIGENCE_ENDPOINT"),
    "rag.docling_server_url": _since_6("DOCLING_SERVER_URL"),
    "rag.external_document_loader_url": _since_6("EXTERNAL_DOCUMENT_LOADER_URL"),
    "rag.datalab_marker_api_base_url": _since_6("DATALAB_MARKER_API_BASE_URL"),
    "rag.mineru_api_url": _since_6("MINERU_API_URL"),
    "rag.mistral_ocr_api_base_url": _since_6("MISTRAL_OCR_API_BASE_URL"),
    "rag.paddleocr_vl_base_url": _NEW,
    # Images
    "image_generation.enable": _same("ENABLE_IMAGE_GENERATION"),
    "image_generation.engine": _same("IMAGE_GENERATION_ENGINE"),
    "image_generation.openai.api_base_url": _same("IMAGES_OPENAI_API_BASE_URL"),
    "image_generation.gemini.api_base_url": _same("IMAGES_GEMINI_API_BASE_URL"),
    "image_generation.automatic1111.base_url": _same("AUTOMATIC1111_BASE_URL"),
    "image_generation.comfyui.base_url": _same("COMFYUI_BASE_URL"),
    "images.edit.enable": _since_6("ENABLE_IMAGE_EDIT"),
    "images.edit.engine": _since_6("IMAGE_EDIT_ENGINE"),
    "images.edit.openai.api_base_url": _since_6("IMAGES_EDIT_OPENAI_API_BASE_URL"),
    "images.edit.gemini.api_base_url": _since_6("IMAGES_EDIT_GEMINI_API_BASE_URL"),
    "images.edit.comfyui.base_url": _since_6("IMAGES_EDIT_COMFYUI_BASE_URL"),
    # Speech
    "audio.stt.engine": _same("STT_ENGINE"),
    "audio.stt.openai.api_base_url": _same("STT_OPENAI_API_BASE_URL"),
    "audio.stt.azure.base_url": _since_6("AUDIO_STT_AZURE_BASE_URL"),
    "audio.stt.mistral.api_base_url": _since_6("AUDIO_STT_MISTRAL_API_BASE_URL"),
    "audio.tts.engine": _same("TTS_ENGINE"),
    "audio.tts.openai.api_base_url": _same("TTS_OPENAI_API_BASE_URL"),
    "audio.tts.azure.speech_base_url": _since_6("TTS_AZURE_SPEECH_BASE_URL"),
    "audio.tts.mistral.api_base_url": _NEW,
    "audio.realtime.enabled": _NEW,
    "audio.realtime.provider": _NEW,
    "audio.realtime.openai.api_base_url": _NEW,
    # What is told to others when something happens
    "webhook_url": _same("WEBHOOK_URL"),
    "events.webhooks": _NEW,
    "ui.enable_user_webhooks": (ALWAYS_ON, "ENABLE_USER_WEBHOOKS"),
    "ui.enable_community_sharing": _same("ENABLE_COMMUNITY_SHARING"),
    # People
    "channels.enable": _same("ENABLE_CHANNELS"),
}

# Constants of open_webui.config or open_webui.env: the first generation that has each.
_CONSTANTS: Mapping[str, int] = {
    "ENABLE_ADMIN_CHAT_ACCESS": 0,
    "ENABLE_ADMIN_EXPORT": 0,
    "OFFLINE_MODE": 0,
    "AUDIT_LOG_LEVEL": 0,
    "ELEVENLABS_API_BASE_URL": 1,
    "ENABLE_VERSION_UPDATE_CHECK": 1,
    "ENABLE_OTEL": 1,
    "OTEL_EXPORTER_OTLP_ENDPOINT": 1,
    "OTEL_METRICS_EXPORTER_OTLP_ENDPOINT": 1,
    "OTEL_LOGS_EXPORTER_OTLP_ENDPOINT": 1,
    "TAVILY_API_BASE_URL": 2,
    "ENABLE_FUNCTIONS": 2,
    "ENABLE_TOOLS": 2,
    "ENABLE_TOOL_SERVERS": 2,
}

# What 0.5.20 has under this name, later versions have under another.
_RENAMED = "ENABLE_RAG_WEB_SEARCH"

# Rows that 0.12.4 writes when an administrator first sets them, and not at the start.
_WRITTEN_LATE = frozenset({"events.webhooks"})

# Lists of keys, of which only is kept whether there is one.
_SECRETS = frozenset({"openai.api_keys"})

KEYS = tuple(_KEYS)
"""What to ask open-webui's Config.get_many for, where it keeps settings in rows."""


class Generation(IntEnum):
    """How a version keeps its settings, named for the first of the versions that we know."""

    V0_5 = 0  # attributes, by the names of 0.5.20
    V0_6 = 1  # attributes, by the names of 0.6.43
    V0_12 = 2  # rows


def generation(get: Get | None) -> Generation:
    """Return a version's generation, by what it has: what it calls itself can be wrong.

    ``get`` returns an attribute of ``app.state.config``, and raises AttributeError or KeyError for
    others; None where there is no such thing.
    """
    if get is None:
        return Generation.V0_12
    return Generation.V0_6 if _value(get, _RENAMED) is UNKNOWN else Generation.V0_5


def from_attributes(get: Get) -> dict[str, object]:
    """Return the settings where they are attributes of ``app.state.config``.

    The result has no member for what this version lacks.
    """
    is_old = generation(get) is Generation.V0_5
    settings: dict[str, object] = {}
    for key, (old, new) in _KEYS.items():
        name = old if is_old else new
        value = _value(get, name) if isinstance(name, str) else name
        # Versions between those that we know may have the newer name already.
        if is_old and isinstance(new, str) and value in (None, UNKNOWN):
            value = _either(_value(get, new), value)
        if name is not None or value is not None:
            settings[key] = value
    return _without_secrets(settings)


def _either(newer: object, older: object) -> object:
    return older if newer is UNKNOWN else newer


def from_rows(rows: Settings) -> dict[str, object]:
    """Return the settings out of what Config.get_many(*KEYS) gave."""
    kept = [key for key in _KEYS if key in rows or key not in _WRITTEN_LATE]
    return _without_secrets({key: rows.get(key, UNKNOWN) for key in kept})


def constants(since: Generation, get: Get) -> dict[str, object]:
    """Return what was fixed at the start; ``get`` as for ``generation``, of modules."""
    return {name: _value(get, name) for name, first in _CONSTANTS.items() if since >= first}


def from_modules(modules: Iterable[object]) -> Get:
    """Return a ``get`` that looks for a name in one module after the other."""
    places = tuple(modules)

    def get(name: str) -> object:
        for place in places:
            if hasattr(place, name):
                return getattr(place, name)
        raise AttributeError(name)

    return get


def _without_secrets(settings: dict[str, object]) -> dict[str, object]:
    for key in _SECRETS.intersection(settings):
        keys = settings[key]
        settings[key] = [bool(one) for one in keys] if isinstance(keys, list) else UNKNOWN
    return settings


def _value(get: Get, name: str) -> object:
    try:
        value = get(name)
    except (AttributeError, KeyError):
        return UNKNOWN
    return value


NO_SETTINGS: Settings = MappingProxyType(dict.fromkeys(_KEYS, UNKNOWN))
"""For a moment when nothing can be read: everything is unknown, nothing is off."""
