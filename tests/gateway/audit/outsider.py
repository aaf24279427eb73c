"""What somebody who does not trust the product writes to check it: from RFC 9162 and C2SP alone, sharing no code.

Verification as in RFC 9162, 2.1.3.2 (inclusion) and 2.1.4.2 (consistency), which the RFC gives as steps over the bits
of the numbers, and not as the recursion that the product is written by; notes as in https://c2sp.org/signed-note and
checkpoints as in https://c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: list[bytes]) -> bytes:
    """Of hashed leaves: level by level, the odd one at the end moves up."""
    if not leaves:
        return sha256(b"").digest()
    level = leaves
    while len(level) > 1:
        pairs = [node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    return level[0]


def included(index: int, size: int, hashed: bytes, path: list[bytes], signed_root: bytes) -> bool:
    if index >= size:
        return False
    fn, sn, r = index, size - 1, hashed
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(p, r)
            if not fn & 1:
                while fn and not fn & 1:
                    fn >>= 1
                    sn >>= 1
        else:
            r = node(r, p)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == signed_root


def consistent(first: int, first_root: bytes, second: int, second_root: bytes, path: list[bytes]) -> bool:
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path
    if not path:
        return False
    if first & (first - 1) == 0:
        path = [first_root, *path]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            if not fn & 1:
                while fn and not fn & 1:
                    fn >>= 1
                    sn >>= 1
        else:
            sr = node(sr, c)
        fn >>= 1
        sn >>= 1
    return fr == first_root and sr == second_root and sn == 0


def opened(note: bytes, verifier_key: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint, once its signature by the key has been checked."""
    name, key_id, encoded = verifier_key.strip().split("+", 2)
    material = base64.b64decode(encoded, validate=True)
    assert material[0] == 1, "Ed25519"
    assert sha256(name.encode() + b"\n" + material).digest()[:4].hex() == key_id
    text, _, signatures = note.rpartition(b"\n\n")
    text += b"\n"
    (line,) = signatures.decode().splitlines()
    dash, signer, signature = line.split(" ")
    assert (dash, signer) == ("\u2014", name)
    data = base64.b64decode(signature, validate=True)
    assert data[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(data[4:], text)
    origin, size, encoded_root = text.decode().splitlines()
    assert origin == name
    assert size == str(int(size))
    return origin, int(size), base64.b64decode(encoded_root, validate=True)
