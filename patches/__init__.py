"""The patch sets and the lists of versions and anchors, shipped as package data."""
