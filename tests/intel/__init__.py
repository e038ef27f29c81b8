"""Ours beside Intel's own library, where somebody has a build of it: `make test-intel`."""
