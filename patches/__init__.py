"""The patch sets and overlays, shipped as package data beside this file."""
