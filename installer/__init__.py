"""Gives an open-webui the trust badge, and takes it out again."""
