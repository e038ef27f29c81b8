"""A quote that the kernel says is too large: it does not say why, so both causes are named."""

from __future__ import annotations

import errno

import pytest
from test_configfs import ask

from emulator import Emulator
from quote_generator import errors
from quote_generator.attester import System


@pytest.mark.parametrize("fault", ["dice-100k", "too-big"])
def test_both_causes_are_named(emulator: Emulator, system: System, fault: str) -> None:
    """Mended kernels say EFBIG also where the host claims more bytes than its buffer has."""
    emulator.set_fault(fault)
    with pytest.raises(errors.NotSupported, match=r"DICE.*Linux 7\.0.*host claims") as caught:
        ask(system)
    assert caught.value.errno == errno.EFBIG
