"""Sealed requests: the server's side of what only the holder of a key in the quote can read.

``SealedLayer`` stands around everything else. It opens sealed requests and sockets, hands them to
the layer inside as ordinary ones, and seals the answers (docs/backend.md, docs/sealed.md).
"""
