"""Puts the trust badge into an open-webui source tree, and takes it out again."""
