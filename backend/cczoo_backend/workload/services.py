"""Which services open-webui may hand words to beside models, and what decides their address.

An engine that is not in this table is ``not-known``: the next version may have more of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Place(Enum):
    """Where a service is that has no address of its own."""

    IN_PROCESS = "in-process"
    BROWSER = "browser"  # the person's own, which may ask its maker
    ANY_PAGE = "any-page"  # whatever page or server the words lead to


@dataclass(frozen=True)
class At:
    """An address out of a setting or constant, or ``default`` where that is empty or unheard of."""

    key: str | None = None
    default: str | None = None


Target = Place | At


@dataclass(frozen=True)
class Service:
    """One use of words: its switch, the setting that names its engine, and each engine's place."""

    kind: str
    engines: Mapping[str, Target]
    switch: str | None = None
    engine: str | None = None  # without one, that of the empty name
    model: str | None = None  # setting that names the model which is asked


def _fixed(host: str) -> At:
    return At(default=f"https://{host}")


_SEARCH: Mapping[str, Target] = {
    "searxng": At("web.search.searxng_query_url"),
    "yacy": At("web.search.yacy_query_url"),
    "openserp": At("web.search.openserp_base_url"),
    "external": At("web.search.external_web_search_url"),
    "perplexity_search": At("web.search.perplexity_search_api_url"),
    "bing": At("web.search.bing_search_v7_endpoint", "https://api.bing.microsoft.com"),
    "azure": At("web.search.azure_ai_search_endpoint"),
    "yandex": At("web.search.yandex_web_search_url", "https://searchapi.api.cloud.yandex.net"),
    "jina": At("web.search.jina_api_base_url", "https://s.jina.ai"),
    "microsoft_web_iq": At("web.search.microsoft_web_iq_api_base_url"),
    "firecrawl": At("web.loader.firecrawl_api_url", "https://api.firecrawl.dev"),
    "tavily": At("TAVILY_API_BASE_URL", "https://api.tavily.com"),
    "duckduckgo": Place.ANY_PAGE,  # its library asks several search engines
    "serpstack": _fixed("api.serpstack.com"),
    "sougou": _fixed("tms.tencentcloudapi.com"),
    "ollama_cloud": _fixed("ollama.com"),
    "google_pse": _fixed("www.googleapis.com"),
    "brave": _fixed("api.search.brave.com"),
    "brave_llm_context": _fixed("api.search.brave.com"),
    "kagi": _fixed("kagi.com"),
    "mojeek": _fixed("api.mojeek.com"),
    "bocha": _fixed("api.bochaai.com"),
    "serper": _fixed("google.serper.dev"),
    "serphouse": _fixed("api.serphouse.com"),
    "serply": _fixed("api.serply.io"),
    "staan": _fixed("api.staan.ai"),
    "exa": _fixed("api.exa.ai"),
    "searchapi": _fixed("www.searchapi.io"),
    "serpapi": _fixed("serpapi.com"),
    "perplexity": _fixed("api.perplexity.ai"),
    "youcom": _fixed("ydc-index.io"),
    "linkup": _fixed("api.linkup.so"),
}

_PAGES: Mapping[str, Target] = {
    "": Place.ANY_PAGE,
    "safe_web": Place.ANY_PAGE,
    "playwright": Place.ANY_PAGE,  # by a browser, which may be another machine's as well
    "firecrawl": At("web.loader.firecrawl_api_url", "https://api.firecrawl.dev"),
    "tavily": At("TAVILY_API_BASE_URL", "https://api.tavily.com"),
    "exa": _fixed("api.exa.ai"),
    "microsoft_web_iq": At("web.search.microsoft_web_iq_api_base_url"),
    "external": At("web.loader.external_web_loader_url"),
}

_DOCUMENTS: Mapping[str, Target] = {
    "": Place.IN_PROCESS,
    "tika": At("rag.tika_server_url"),
    "docling": At("rag.docling_server_url"),
    "document_intelligence": At("rag.document_intelligence_endpoint"),
    "external": At("rag.external_document_loader_url"),
    "datalab_marker": At("rag.datalab_marker_api_base_url", "https://www.datalab.to"),
    "mineru": At("rag.mineru_api_url"),
    "mistral_ocr": At("rag.mistral_ocr_api_base_url", "https://api.mistral.ai"),
    "paddleocr_vl": At("rag.paddleocr_vl_base_url"),
}

_HEARING: Mapping[str, Target] = {
    "": Place.IN_PROCESS,
    "web": Place.BROWSER,
    "openai": At("audio.stt.openai.api_base_url"),
    "deepgram": _fixed("api.deepgram.com"),
    "azure": At("audio.stt.azure.base_url", "https://api.cognitive.microsoft.com"),
    "mistral": At("audio.stt.mistral.api_base_url", "https://api.mistral.ai"),
}

_SPEAKING: Mapping[str, Target] = {
    "": Place.BROWSER,
    "transformers": Place.IN_PROCESS,
    "openai": At("audio.tts.openai.api_base_url"),
    "openai-realtime": At("audio.realtime.openai.api_base_url"),
    "elevenlabs": At("ELEVENLABS_API_BASE_URL", "https://api.elevenlabs.io"),
    "azure": At("audio.tts.azure.speech_base_url", "https://tts.speech.microsoft.com"),
    "mistral": At("audio.tts.mistral.api_base_url", "https://api.mistral.ai"),
}


def _code(kind: str, settings: str) -> Service:
    engines: Mapping[str, Target] = {
        "pyodide": Place.BROWSER,
        "jupyter": At(f"{settings}.jupyter.url"),
    }
    return Service(kind, engines, f"{settings}.enable", f"{settings}.engine")


SERVICES = (
    Service("web-search", _SEARCH, "web.search.enable", "web.search.engine"),
    Service("web-pages", _PAGES, engine="web.loader.engine"),
    Service(
        "embedding",
        {
            "": Place.IN_PROCESS,
            "openai": At("rag.openai.api_base_url"),
            "ollama": At("rag.ollama.base_url"),
            "azure_openai": At("rag.azure_openai.base_url"),
        },
        engine="rag.embedding_engine",
        model="rag.embedding_model",
    ),
    Service(
        "reranking",
        {"": Place.IN_PROCESS, "external": At("rag.external_reranker_url")},
        "rag.enable_hybrid_search",
        "rag.reranking_engine",
    ),
    Service("documents", _DOCUMENTS, engine="rag.content_extraction_engine"),
    Service(
        "images",
        {
            "openai": At("image_generation.openai.api_base_url"),
            "gemini": At("image_generation.gemini.api_base_url"),
            "comfyui": At("image_generation.comfyui.base_url"),
            "automatic1111": At("image_generation.automatic1111.base_url"),
            "": At("image_generation.automatic1111.base_url"),
        },
        "image_generation.enable",
        "image_generation.engine",
    ),
    Service(
        "image-editing",
        {
            "openai": At("images.edit.openai.api_base_url"),
            "gemini": At("images.edit.gemini.api_base_url"),
            "comfyui": At("images.edit.comfyui.base_url"),
        },
        "images.edit.enable",
        "images.edit.engine",
    ),
    Service("speech-to-text", _HEARING, engine="audio.stt.engine"),
    Service("text-to-speech", _SPEAKING, engine="audio.tts.engine"),
    Service(
        "live-speech",
        {
            "openai": At("audio.realtime.openai.api_base_url"),
            "azure": At("audio.realtime.openai.api_base_url"),
        },
        "audio.realtime.enabled",
        "audio.realtime.provider",
    ),
    _code("code-execution", "code_execution"),
    _code("code-interpreter", "code_interpreter"),
    Service("own-connections", {"": Place.BROWSER}, "direct.enable"),
    Service("own-tools", {"": Place.BROWSER}, "direct.integrations.enable"),
    Service("own-webhooks", {"": Place.ANY_PAGE}, "ui.enable_user_webhooks"),
    Service("sharing", {"": Place.BROWSER}, "ui.enable_community_sharing"),
)
