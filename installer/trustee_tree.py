"""A source tree of CoCo Trustee: patched and nothing else, its own cargo builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cczoo_installer import patchset, tree
from cczoo_installer.files import printable
from cczoo_installer.patched_tree import PatchedTree
from cczoo_installer.versions import listed, supported


@dataclass
class TrusteeTree(PatchedTree):
    """Works on one checkout, or one unpacked source archive, of Trustee."""

    program: ClassVar[str] = "Trustee"

    def version(self) -> str | None:
        """Return the release that the tree's files are of; raises NotTrustee.

        Trustee's own manifests say 0.1.0 in every release, and an archive has no tags.
        """
        tree.require_trustee(self.directory)
        return patchset.told_version(self.patches, self.directory)

    def _no_patches(self, version: str | None) -> str:
        known = supported(self.patches, self.way)
        looked_at = {name for each in known for name in patchset.load(self.patches, each).told_by}
        checkout = tree.checkout(self.directory)
        git_says = f" (git: {printable(checkout)})" if checkout else ""
        return (
            f"{printable(self.directory)} is a Trustee{git_says}, but of no version that this kit "
            f"has patches for ({listed(self.patches, self.way)}): its "
            f"{', '.join(sorted(looked_at))} is not as any of them ships it. Check out one of "
            "these versions, or put that file back. Nothing was changed."
        )
