"""Adds the C core where there is a Linux to talk to; everything else is in pyproject.toml."""

import sys

from setuptools import setup

# The structures, the verifier and the installer work anywhere; the transports need Linux.
setup(
    cffi_modules=["quote_generator/native/build_native.py:ffibuilder"]
    if sys.platform == "linux"
    else []
)
