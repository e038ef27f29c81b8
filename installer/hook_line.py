"""The hook of the plug-in way: the one line of a .pth file.

Python's site module runs such a line at the start of every process of its environment, and most
of those have nothing to do with open-webui. So the line imports nothing that site has not, costs
well under a millisecond, and says nothing unless open-webui starts with a kit that is broken.

For the package beside it the line is the same on every machine, so that what measures a
site-packages folder knows it by its hash (quote_generator.workload.environment).
"""

from __future__ import annotations

from collections.abc import Sequence

FILE = "cczoo_open_webui.pth"

BESIDE = "open_webui"
"""The name of the package that lies, or is linked, beside the hook."""

# Run with `os`, `sys`, the hook's folder as `site`, and `names`, paths from there or from the root
# of the open_webui packages to act for. Acts when open_webui.main is imported. A site-packages
# folder may be processed twice, and each of several may have a hook of its own. Where the kit is
# gone, its name is what cannot be found.
SOURCE = """
packages = tuple(os.path.realpath(os.path.join(site, name)) for name in names)

class Hook:
    cczoo_packages = packages

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "open_webui.main":
            return None
        try:
            from cczoo_backend.hook import find_spec
            for package in packages:
                spec = find_spec(name, path, target, package)
                if spec is not None:
                    return spec
        except Exception as error:
            if not (isinstance(error, ModuleNotFoundError) and error.name == "cczoo_backend"):
                from logging import getLogger
                getLogger("cczoo_backend").error(
                    "The trust badge is not active: cczoo_backend is broken (%r)", error)
            from os import environ
            if environ.get("TEE_SEALED", "").strip().lower() not in ("", "off", "offered"):
                raise SystemExit(
                    "TEE_SEALED requires sealed requests: open-webui does not start without a "
                    "working cczoo_backend. Install the cczoo-trust-badge wheel again."
                ) from error
        return None

if all(getattr(finder, "cczoo_packages", None) != packages for finder in sys.meta_path):
    sys.meta_path.insert(0, Hook)
"""


def hook_line(names: Sequence[str]) -> bytes:
    """Return the content of the .pth file that hooks packages: BESIDE, or others by real path.

    Plain ASCII, because Python reads .pth files in the encoding of the user's locale. `sitedir` is
    a variable of the function in Python's site module that runs the line; setuptools' own files
    (`-nspkg.pth`) stand on it too.
    """
    given = "'__name__': 'cczoo_open_webui', 'os': os, 'sys': sys, 'site': sitedir"
    given += f", 'names': {tuple(names)!a}"
    return f"import os, sys; exec({SOURCE!a}, {{{given}}})\n".encode("ascii")
