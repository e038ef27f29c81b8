"""What a hostile model, or a file, says in order to run in the page, and an ordinary answer."""

from __future__ import annotations

import base64

# What a person's cookie opens, in every version.
ACCOUNT = "/api/v1/users/user/settings"
SEIZED = "localStorage.setItem('tee.settings','{}');localStorage.removeItem('tee.memory');"


def seizing(way: str) -> str:
    """Return a script without quotes of its own that seizes the page, and leaves its name there."""
    script = f"(top.seized??=[]).push('{way}');{SEIZED}"
    return f"eval(atob('{base64.b64encode(script.encode()).decode()}'))"


def link(way: str) -> str:
    """Return the address of such a script, for Markdown: without brackets."""
    return "javascript:" + seizing(way).replace("(", "%28").replace(")", "%29")


def svg(inside: str, attributes: str = "") -> str:
    """Return a drawing."""
    size = 'width="90" height="40"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {attributes}>{inside}</svg>'


def fenced(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text}\n```"


# An iframe of a file makes 0.5.20 take all of its token for markup.
CARRIER = '<iframe src="/api/v1/files/none"></iframe>'
DRAWN = '<text y="20">Your drawing</text>'

# Answers by the name of the way in; some are for a click on what they show.
ANSWERS = {
    "file": f'<div><img src=x onerror="{seizing("file")}">{CARRIER}</div>',
    "file-in-a-line": (
        f'See <iframe src="/api/v1/files/x/content/html" onload="{seizing("file-in-a-line")}">'
    ),
    "frame-text": (
        f'<div>{CARRIER}<iframe srcdoc="<script>{seizing("frame-text")}</script>"></iframe></div>'
    ),
    "frame-script": f'<div>{CARRIER}<iframe src="javascript:{seizing("frame-script")}"></div>',
    "drawing-in-markup": f"<div>{CARRIER}{svg('', 'onload=' + seizing('drawing-in-markup'))}</div>",
    "form": (
        f'<div>{CARRIER}<form onclick="x"><input name="attributes" autofocus '
        f'onfocus="{seizing("form")}"></form></div>'
    ),
    "markup": f'<img src=x onerror="{seizing("markup")}"><script>{seizing("markup")}</script>',
    "video": f'<video src=x onerror="{seizing("video")}"><source src=x></video>',
    "details": (
        f'<details open ontoggle="{seizing("details")}">\n<summary><img src=x '
        f'onerror="{seizing("details")}"></summary>\n<img src=x onerror="{seizing("details")}">\n'
        "</details>"
    ),
    "link": f"[click]({link('link')})",
    "katex": f"$$\\href{{{link('katex')}}}{{click}}$$",
    "code": fenced("js", f'"<img src=x onerror={seizing("code")}>"'),
    "drawing": fenced("svg", svg(DRAWN, f'onload="{seizing("drawing")}"')),
    "drawing-with-html": fenced(
        "svg",
        svg(
            f"{DRAWN}<foreignObject width='9' height='9'><img xmlns='http://www.w3.org/1999/xhtml' "
            f'src="x" onerror="{seizing("drawing-with-html")}"/></foreignObject>'
        ),
    ),
    "drawing-link": fenced(
        "svg",
        svg(f'<a href="javascript:{seizing("drawing-link")}"><text y="20">click</text></a>'),
    ),
    # Mermaid itself measures such a label as HTML (CVE-2025-54881).
    "diagram-label": fenced(
        "mermaid",
        "sequenceDiagram\n  participant A as Alice<img src=x "
        f'onerror="{seizing("diagram-label")}">$$\\text{{Alice}}$$\n  A->>B: Hello',
    ),
    "diagram-html": fenced(
        "mermaid",
        f'flowchart TD\n  A["x<img src=x onerror={seizing("diagram-html")}>"]-->B',
    ),
    "diagram-link": fenced(
        "mermaid", f'flowchart TD\n  A[click]-->B\n  click A href "{link("diagram-link")}"'
    ),
}

# A page that a model wrote: it shows that its script runs, and writes down what it could reach.
# Without attributes in its tags 0.5.20 would show it twice: as code, and as HTML.
PAGE = """<!doctype html><html lang="en"><body><h1>Your chart</h1><script id="tries">
const must = (value) => { if (!value) throw new Error('nothing'); };
const tries = {
  settings: () => { localStorage.setItem('tee.settings', '{}'); },
  memory: () => { localStorage.removeItem('tee.memory'); },
  token: () => must(localStorage.getItem('token')),
  session: () => must(sessionStorage),
  cookie: () => { document.cookie = 'seized=1'; must(document.cookie); },
  database: () => new Promise((resolve, reject) => {
    const request = indexedDB.open('seized');
    request.onsuccess = resolve;
    request.onerror = reject;
  }),
  nodes: () => must(parent.document.body),
  page: () => { (top.seized ??= []).push('page'); },
  address: () => { top.location.href = '/?seized'; },
  account: async () => must((await fetch('ACCOUNT', { credentials: 'include' })).ok),
};
(async () => {
  const reached = [];
  for (const [name, go] of Object.entries(tries)) {
    try { await go(); reached.push(name); } catch { continue; }
  }
  document.body.append('It reached ' + (reached.join(', ') || 'nothing') + '.');
})();
</script></body></html>""".replace("ACCOUNT", ACCOUNT)

# All that an answer may well have.
ORDINARY = "\n\n".join(
    [
        "# Heading",
        "Some **bold** and *slanted* words, `code & <b>more</b>`, a [link](https://example.com/?a=1&b=2),"
        " `javascript:` as a word, $a^2 + \\frac{b}{c}$, and <b>markup</b>.",
        "| a | b |\n|---|---|\n| 1 | on = 2 |",
        "- one\n- two",
        "> quoted",
        "$$\\int_0^1 x \\, dx$$",
        fenced("python", "def on(load=1):\n    return '<script>' + \"&\""),
        fenced("mermaid", "flowchart TD\n  A[Start <b>here</b>] -->|yes| B{Is it?}"),
        "<details>\n<summary>More</summary>\nHidden words.\n</details>",
    ]
)
