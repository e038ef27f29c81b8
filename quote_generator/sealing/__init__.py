"""The formats of sealed requests, for both ends: the server in the TD, and whoever asks it.

Bytes in, bytes or events out. There is no input or output here, no clock, no state beside a
message's own, and randomness only where a caller passes it or a library makes a key.

    keyset          what evidence says about the keys, and how long they count
    hpke            one sender and one recipient (RFC 9180), base mode
    chunked_ohttp   requests and answers in sealed chunks (draft-ietf-ohai-chunked-ohttp)
    binary_http     the messages inside (RFC 9292)
    padding         lengths that say little
    frames          the sealed socket's frames

docs/sealed.md describes how they go together.
"""
