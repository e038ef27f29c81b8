"""Carrying patches to another open-webui, and seeing that hooks are where they belong."""
