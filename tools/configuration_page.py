"""Makes docs/configuration.md out of the kit's table of settings (cczoo_backend.settings_table).

    .venv/bin/python tools/configuration_page.py > docs/configuration.md

A test holds the page to the table.
"""

from __future__ import annotations

import sys

from cczoo_backend.settings_table import ALL, SETTINGS_FIXED, TABLE, Setting

_HEAD = f"""\
# Configuration

Every setting of the kit's. (Made by `tools/configuration_page.py` from the table that the backend
reads them by: change that, not this page.)

A setting is first what its variable says in the environment of open-webui's process. Administrators
change it in Admin Settings, General, or under its name by
[`PUT /api/v1/tee/admin/settings`](backend.md#what-administrators-change): what they stored is in
`<DATA_DIR>/cczoo/settings.json`, and goes before the variable. An empty variable counts as not set;
an empty text that is stored, as the default.

**`{SETTINGS_FIXED}`** is a comma list of names, or `{ALL}`: these are what the environment says,
whatever the file holds, and administrators see them as fixed. A word in it that is no setting fixes
all. The file is as safe as the disk that it lies on: whoever writes there changes settings. Where
that could be somebody outside of the TD, set what matters in the measured image, and fix it.

| setting | variable | default | meaning | text | a change holds |
|---|---|---|---|---|---|
"""

_TAIL = """
## Wrong values

Where one is wrong in the environment, what needs settings answers 503 `misconfigured` with the
variable's name, and open-webui itself runs. Wrong words that count as others, and what counts while
the file cannot be read (nothing else that needs settings answers then):

"""


def page() -> str:
    """Return the page."""
    rows = "".join(map(_row, TABLE))
    wrong = "".join(map(_exception, filter(_has_exception, TABLE)))
    return _HEAD + rows + _TAIL + wrong


def _row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else "none"
    names = (f"`{setting.name}`", f"`{setting.variable}`")
    cells = (*names, default, setting.meaning, _escaped(setting.kind.form), _when(setting))
    return f"| {' | '.join(cells)} |\n"


def _when(setting: Setting) -> str:
    if setting.environment_only:
        return "from the next start; in the environment only"
    return "from the next start" if setting.restart else "at once"


def _has_exception(setting: Setting) -> bool:
    return setting.otherwise is not None or setting.unread is not None


def _exception(setting: Setting) -> str:
    said = []
    if setting.otherwise is not None:
        said.append(f"a wrong word counts as `{setting.otherwise}`")
    if setting.unread is not None:
        text = f"`{setting.unread}`" if setting.unread.strip() else "none"
        said.append(f"while the file cannot be read, {text} counts")
    return f"- `{setting.name}`: {'; '.join(said)}.\n"


def _escaped(text: str) -> str:
    """Return a form without what Markdown would take for its own."""
    return text.replace("*", "\\*")


if __name__ == "__main__":
    sys.stdout.write(page())
