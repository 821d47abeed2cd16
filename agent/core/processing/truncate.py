"""An event that is too big, made into a smaller valid one that says so.

An alert's fattest text fields are shortened first, so that rule, priority, pod and time survive;
what is no JSON object, or would still not fit, becomes its head inside a new object. Never a cut
string of JSON. The whole bytes go to the dead letters, found again by the digest.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec
import orjson

KEPT_CHARACTERS: Final = 1024
"""What a shortened field keeps; enough for a person to see what it was."""


def truncate(payload: bytes, most_bytes: int, *, size: int = 0, digest: str = "") -> tuple[bytes, str]:
    """A JSON object of at most `most_bytes` and the SHA-256 of the whole.

    `size` and `digest` are those of the whole where `payload` is only its head.
    """
    digest = digest or sha256(payload).hexdigest()
    note = {"size": size or len(payload), "sha256": digest}
    if not size:
        try:
            whole = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = None
        if isinstance(whole, dict):
            for keep in (KEPT_CHARACTERS, 64):
                small = msgspec.json.encode(_shortened(whole, keep) | {"truncated": note})
                if len(small) <= most_bytes:
                    return small, digest
    head = payload[: max(0, min(len(payload), most_bytes // 8))].decode(errors="replace")
    return orjson.dumps({"log": head, "truncated": note}), digest


def _shortened(value: Any, keep: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= keep else f"{value[:keep]}…"
    if isinstance(value, dict):
        return {key[:keep]: _shortened(inner, keep) for key, inner in list(value.items())[:KEPT_CHARACTERS]}
    if isinstance(value, list):
        return [_shortened(inner, keep) for inner in value[:keep]]
    return value
