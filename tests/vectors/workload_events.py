"""What was measured, as events of the application's log: facts, refusals, and what is so now.

Lines are put together here piece by piece, by nothing that reads or writes them elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SHA = f'"sha256:{"ab" * 32}"'
OTHER = f'"sha256:{"cd" * 32}"'
VERITY = f'"fsverity:sha256:{"ab" * 32}"'
FACE = r"\ud83d\ude00"


def line(kind: str, **members: str) -> str:
    """An event's line, of members in JSON as they are given here."""
    inner = ",".join(f'"{name}":{text}' for name, text in members.items())
    return f"cczoo {kind} {{{inner}}}"


START = line("start", v="1")
PAGE = line("page", digest=SHA, v="1")
KIT = line("kit", digest=SHA, v="1", version='"1.2.3"')


def model(name: str, server: str = "s", digest: str = SHA) -> str:
    return line("model", digest=digest, name=f'"{name}"', server=f'"{server}"', v="1")


def code(kind: str, type_: str, digest: str = SHA) -> str:
    return line(kind, digest=digest, id='"x"', type=f'"{type_}"', v="1")


def environment(distributions: str) -> str:
    return line(
        "environment",
        bytecode="null",
        digest=SHA,
        distributions=distributions,
        python=OTHER,
        python_version='"3.11.7"',
        unlisted=OTHER,
        unlisted_files="2",
        v="1",
    )


def webui(way: str) -> str:
    return line("open-webui", digest=SHA, v="1", version='"9.8.7"', way=f'"{way}"')


def kit(version: str) -> str:
    return line("kit", digest=SHA, v="1", version=version)


def workload_events() -> object:
    """Facts with their lines, lines that are none, and logs with what they say of now."""
    return {
        "source": "quote_generator/workload/events.py; docs/measured.md",
        "facts": [
            {"kind": kind, "content": {**content, "v": 1}, "line": line}
            for kind, content, line in _facts()
        ],
        "refused": [
            {"fault": fault, "reason": reason, "line": line} for fault, reason, line in _refused()
        ],
        "present": list(_present()),
    }


def _facts() -> Iterator[tuple[str, dict[str, object], str]]:
    sha, other, verity = SHA.strip('"'), OTHER.strip('"'), VERITY.strip('"')
    yield "start", {}, START
    yield "kit", {"digest": sha, "version": "1.2.3"}, KIT
    for way in ("plugin", "source"):
        yield "open-webui", {"digest": sha, "version": "9.8.7", "way": way}, webui(way)
    for kind in ("front-end", "page", "settings"):
        yield kind, {"digest": sha}, line(kind, digest=SHA, v="1")
    yield "page", {"digest": None}, line("page", digest="null", v="1")
    yield (
        "environment",
        {
            "bytecode": None,
            "digest": sha,
            "distributions": 251,
            "python": other,
            "python_version": "3.11.7",
            "unlisted": other,
            "unlisted_files": 2,
        },
        environment("251"),
    )
    for kind in ("function", "tool"):
        content = {"digest": sha, "id": "x", "type": "<b>&"}
        yield kind, content, code(kind, "<b>&")
    name = 'a "b"\\\n\u202e\u00e9\U0001f600'
    spelled = r"a\u0020\"b\"\\\u000a\u202e\u00e9" + FACE
    yield (
        "model",
        {"digest": verity, "name": name, "server": "127.0.0.1:11434"},
        model(spelled, "127.0.0.1:11434", VERITY),
    )
    longest = {"digest": sha, "name": "\U0001f600" * 256, "server": "s" * 512}
    yield "model", longest, model(FACE * 256, "s" * 512)


def _refused() -> Iterator[tuple[str, str, str]]:
    """Of the kit's domain, and no fact: what is wrong, the reason told, the line."""
    yield "no such kind", "kind", line("kernel", digest=SHA, v="1")
    yield "how a log begins", "kind", f"cczoo begin sha384/{'00' * 48}"
    yield "a kind of another case", "kind", line("Page", digest=SHA, v="1")
    yield "a kind that every object has", "kind", line("constructor", digest=SHA, v="1")
    yield "no kind", "kind", "cczoo"
    yield "two spaces", "kind", PAGE.replace(" ", "  ")
    yield "no text", "text", "cczoo page"
    yield "nothing for a text", "text", "cczoo page "
    yield "no JSON", "text", "cczoo page yes"
    yield "an array", "text", "cczoo page []"
    yield "a space within", "text", PAGE.replace(",", ", ")
    yield "a space after it", "text", f"{PAGE} "
    yield "keys not sorted", "text", line("page", v="1", digest=SHA)
    yield "a key twice", "text", PAGE.replace("{", f'{{"digest":{OTHER},')
    yield "a float", "text", line("page", digest=SHA, v="1.0")
    yield "an exponent", "text", line("page", digest=SHA, v="1e0")
    yield "a number too large", "text", environment("9007199254740992")
    yield "a letter beyond ASCII", "text", model("\u00e9")
    yield "an escape in capitals", "text", model(r"\u00E9")
    yield "an escape without need", "text", model(r"\u0041")
    yield "a short escape", "text", model(r"\n")
    yield "half a surrogate pair", "text", model(r"\ud83d")
    yield "too long", "text", line("page", digest=f'"{"a" * (16 << 10)}"', v="1")
    yield "nested too deep", "text", line("page", digest="[" * 9 + "]" * 9, v="1")
    yield "another version", "content", line("page", digest=SHA, v="2")
    yield "true for 1", "content", line("page", digest=SHA, v="true")
    yield "no version", "content", line("page", digest=SHA)
    yield "a start of another version", "content", line("start", v="2")
    yield "a start with more", "content", line("start", digest=SHA, v="1")
    yield "a member more", "content", line("page", digest=SHA, more="1", v="1")
    yield "a member less", "content", line("page", v="1")
    yield "another digest", "content", line("page", digest=f'"sha512:{"ab" * 64}"', v="1")
    yield "a digest too short", "content", line("page", digest=f'{SHA[:-2]}"', v="1")
    yield "a digest too long", "content", line("page", digest=f'{SHA[:-1]}0"', v="1")
    yield "a digest and a line's end", "content", line("page", digest=f'{SHA[:-1]}\\u000a"', v="1")
    yield "a digest in capitals", "content", PAGE.replace("ab" * 32, "AB" * 32)
    yield "an empty digest", "content", line("page", digest='""', v="1")
    yield "a page by fs-verity", "content", line("page", digest=VERITY, v="1")
    yield "another way", "content", webui("fork")
    yield "a number for a version", "content", kit("1")
    yield "an empty version", "content", kit('""')
    yield "a version too long", "content", kit(f'"{"1" * 65}"')
    yield "a name too long", "content", model("n" * 513)
    yield "a name too long by pairs", "content", model(f"{FACE * 256}n")
    yield "an object for an id", "content", code("tool", "tool").replace('"x"', "{}")
    yield "less than nothing", "content", environment("-1")
    yield "true for a number", "content", environment("true")


def _present() -> Iterator[object]:
    """Logs, with the lines of what is so now, in the order of their latest events."""
    newer, gone = (line("page", digest=digest, v="1") for digest in (OTHER, "null"))
    yield _log("nothing", [], 0, [])
    yield _log("no start", [PAGE, KIT], 0, [])
    yield _log("a start alone", [START], 1, [])
    yield _log("facts", [START, KIT, PAGE], 1, [KIT, PAGE])
    yield _log("a later one takes the earlier's place", [START, PAGE, KIT, newer], 1, [KIT, newer])
    yield _log("one is taken away", [START, KIT, PAGE, gone], 1, [KIT])
    yield _log("and is there again", [START, PAGE, gone, PAGE], 1, [PAGE])
    yield _log("nothing to take away", [START, gone, KIT], 1, [KIT])
    yield _log("what was before the last start", [START, PAGE, START, KIT], 2, [KIT])
    yield _log("starts in a row", [START, PAGE, START, START], 3, [])
    others = ["image-rs Pull x", "cczoos page {}", "CCZOO page {}", START.upper(), ""]
    yield _log("other domains", [*others, START, *others, PAGE], 1, [PAGE])
    models = [model(name, server) for server in "st" for name in ("a", "b")]
    yield _log("models of each server", [START, *models], 1, models)
    again = model("a", "s", OTHER)
    yield _log("one of them anew", [START, *models, again], 1, [*models[1:], again])
    both = [code(kind, "filter") for kind in ("function", "tool")]
    yield _log("a function and a tool of one id", [START, *both], 1, both)
    action = code("function", "action")
    yield _log("one id of another type", [START, both[0], action], 1, [action])
    without = code("function", "pipe", "null")
    yield _log("taken away as another type", [START, *both, without], 1, both[1:])
    for fault, reason, wrong in _refused():
        kind, _, text = wrong.removeprefix("cczoo").removeprefix(" ").partition(" ")
        unknown = {"kind": kind, "text": text, "reason": reason}
        yield _log(f"told: {fault}", [wrong, START, PAGE, wrong], 1, [PAGE], [unknown])


def _log(
    name: str,
    lines: Sequence[str],
    starts: int,
    facts: Sequence[str],
    unknown: Sequence[object] = (),
) -> object:
    return {
        "name": name,
        "lines": list(lines),
        "starts": starts,
        "facts": list(facts),
        "unknown": list(unknown),
    }
