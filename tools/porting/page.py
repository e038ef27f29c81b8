"""What must not be in a patched page: frames with its origin, and markup as a model wrote it.

docs/threat-model.md says why. The loader holds both as well, where there are no patches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# What goes into the page as markup without being sanitised there, and is none of a model's.
OTHER_MARKUP = {
    "katex.renderToString(content, { displayMode, throwOnError: false })",
    "marked.parse(DOMPurify.sanitize(banner.content))",
    "marked.parse( sanitizeResponseContent(models[selectedModelIdx]?.info?.meta?.description) )",
    "html",  # DOMPurify.sanitize(token.text)
}
# Files as they are: PDFs, which no browser shows in a sandbox; the rest is no page.
_AS_THEY_ARE = re.compile(r"/files/\$?\{[\w.]+\}/content[\"`]")


def frames(sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the frames of the page's sources: file and tag."""
    return [
        (name, tag) for name, text in sources.items() for tag in re.findall(r"<iframe\b[^>]*", text)
    ]


def markup(sources: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what the sources put into the page as markup, but what is sanitised on the spot."""
    found = [
        (name, " ".join(expression.split()))
        for name, text in sources.items()
        for expression in re.findall(r"\{@html\s+(.*?)\}\s*(?:$|<)", text, re.DOTALL | re.MULTILINE)
    ]
    return [(name, each) for name, each in found if not each.startswith("DOMPurify.")]


def problems(sources: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the page's sources (`.svelte`, patched), as sentences."""
    found = []
    for name, frame in frames(sources):
        if "allow-same-origin" in frame:
            found.append(f"{name}: a frame has the page's origin (allow-same-origin)")
        if "sandbox=" not in frame and not _AS_THEY_ARE.search(frame):
            found.append(f"{name}: a frame has no sandbox")
    return found + [
        f"{name}: {each[:80]!r} goes into the page as it came: sanitise it, or see OTHER_MARKUP"
        for name, each in markup(sources)
        if each not in OTHER_MARKUP
    ]
