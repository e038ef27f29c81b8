"""Whether anchors.json and the page's code agree, and its anchors are in the front ends it names.

Whether a selector also finds its element, and the place is then seen, only a browser can tell:
tests/e2e/test_places.py asks one, on every version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# What an entry of each list has to have; a list of the second kind goes without a text to look for.
ENTRIES = {
    "anchors": {"selector", "position", "markup", "versions"},
    "further": {"selector", "position", "versions"},
    "expected": {"selector", "markup"},
}
_WORDS = re.compile(r"""\.((?:\\.|[\w-])+)|#([\w-]+)|="([^"]+)\"""")


def problems(
    document: Mapping[str, Any],
    code: str,
    versions: Sequence[str],
    front_ends: Mapping[str, Path],
) -> list[str]:
    """Return what is wrong with the anchors, as sentences.

    ``document`` is anchors.json, ``code`` web/src/places/anchors.ts, ``versions`` those of the
    list; ``front_ends`` are folders with built front ends, by version.
    """
    places = document["places"]
    found = list(_code_problems(places, code))
    every = list(entries(places))
    for where, kind, entry in every:
        if set(entry) != ENTRIES[kind]:
            found.append(f"{where} has {', '.join(sorted(entry))}: not what such an entry has")
        found += [
            f"{where} is for {version}, which is not on the list"
            for version in entry.get("versions", ())
            if version not in versions
        ]
    for version in versions:
        for place, lists in places.items():
            if not any(version in entry.get("versions", ()) for entry in lists["anchors"]):
                found.append(f"{place}: no anchor is for {version}")
        if version in front_ends:
            found += _front_end_problems(version, front_ends[version], places, every)
    return found


def entries(places: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield every entry, with words for where it stands and the list that it stands in."""
    for place, lists in places.items():
        for kind in ENTRIES:
            for number, entry in enumerate(lists.get(kind, ()), 1):
                yield f"{place}, {kind} {number}", kind, entry


def _code_problems(places: Mapping[str, Any], code: str) -> Iterator[str]:
    """Compare with the types of the page's code, which takes the file as it is."""
    names, positions = _union(code, "PlaceName ="), _union(code, "position:")
    for name in sorted(names ^ set(places)):
        yield f"{name}: anchors.json and web/src/places/anchors.ts do not both have that place"
    for where, _, entry in entries(places):
        if "position" in entry and entry["position"] not in positions:
            yield f"{where}: the page knows no position {entry['position']!r}"


def _union(code: str, before: str) -> set[str]:
    """Return the texts of a union type: 'a' | 'b';"""
    found = re.search(re.escape(before) + r"\s*((?:'[\w-]+'[\s|]*)+);", code)
    return set(re.findall(r"'([\w-]+)'", found[1])) if found else set()


def _front_end_problems(
    version: str,
    front_end: Path,
    places: Mapping[str, Any],
    every: Sequence[tuple[str, str, Mapping[str, Any]]],
) -> Iterator[str]:
    of_version = [each for each in every if version in each[2].get("versions", ())]
    wanted = {text for *_, entry in every for text in texts(entry)}
    there = wanted - missing(front_end, wanted)
    for where, _, entry in of_version:
        for text in texts(entry):
            if text not in there:
                yield f"{where}: {text!r} is not in the front end of {version}"
    for place, lists in places.items():
        signs = lists.get("expected")
        if signs and not any(sign["markup"] in there for sign in signs):
            yield f"{place}: the front end of {version} has no sign that it belongs there"


def texts(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what has to be in a front end for an entry: its text, and what its selector names."""
    if "markup" in entry:
        yield entry["markup"]
    for words in _WORDS.findall(str(entry.get("selector", ""))):
        yield re.sub(r"\\(.)", r"\1", "".join(words))


def missing(front_end: Path, wanted: set[str]) -> set[str]:
    """Return which of these texts are in no script of a built front end."""
    left = set(wanted)
    for script in sorted(front_end.rglob("*.js")):
        if not left:
            break
        if script.is_file():
            content = script.read_text("utf-8", "replace")
            left -= {text for text in left if text in content}
    return left
