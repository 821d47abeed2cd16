"""The canonical bytes of a record: what its segment's digest is computed over.

They are decided by the bytes that Falco wrote and by nothing else, so that the agent can compute a digest when it reads
a record, and an auditor can compute the same digest from the event in CloudWatch. docs/proof.md defines them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

LONGEST_TEXT_BYTES: Final = 64 * 1024
"""The canonical bytes of a longer record are its digest. The event of such a record may be a shortened one, and a
shortened event states the digest and not the bytes. CloudWatch takes events of 1 MiB."""

_WHITESPACE: Final = frozenset(b" \t\n\r\v\f")


def text(payload: bytes) -> bytes:
    """The record as CloudWatch shows it: UTF-8, without whitespace at its end."""
    payload = payload.rstrip()
    try:
        payload.decode()
    except UnicodeDecodeError:
        return payload.decode(errors="replace").encode()
    return payload


def digest_of(payload: bytes) -> str:
    """The SHA-256 of the record's text, in hexadecimal digits. A shortened event states it."""
    return sha256(text(payload)).hexdigest()


def canonical(payload: bytes) -> bytes:
    """The canonical bytes of a record that was kept whole."""
    written = text(payload)
    return written if len(written) <= LONGEST_TEXT_BYTES else by_digest(sha256(written).hexdigest())


def by_digest(digest: str) -> bytes:
    """The canonical bytes of a record that its event identifies by a digest alone."""
    return b"sha256:" + digest.encode()


def hashed_together(payloads: Sequence[bytes]) -> bytes:
    """The canonical bytes of many records, each with a newline behind it."""
    if not payloads:
        return b""
    # One join: to append the last newline afterwards would copy a whole chunk.
    joined = b"\n".join([*payloads, b""])
    return joined if _all_are_canonical(payloads, joined) else b"\n".join([*map(canonical, payloads), b""])


def _all_are_canonical(payloads: Sequence[bytes], joined: bytes) -> bool:
    """A quick check of usual records; the answer no may be wrong."""
    if max(map(len, payloads)) > LONGEST_TEXT_BYTES or not all(payloads):
        return False
    if {payload[-1] for payload in payloads} & _WHITESPACE:
        return False
    if joined.isascii():
        return True
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return True
