"""Makes a smaller JSON event of one that is too big. The smaller event says that it was truncated.

The longest text fields of an alert are shortened first, so that rule, priority, pod and time survive. If the record is
not a JSON object, or would still not fit, its head becomes a text inside a new object. JSON is never cut in the middle.
The whole bytes go to a dead letter. The digest in the event is that of the record's text (`proof.canonical`), so an
auditor can compare the event with the record. What is nested too deeply is left out, so no record can exhaust the
stack.
"""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from agent.core.proof.canonical import digest_of

KEPT_CHARACTERS: Final = 1024
"""How much of a long field is kept: enough for a person to recognise it."""

DEEPEST: Final = 32
"""How deeply objects and lists are followed. Falco nests two deep; a hostile record may nest hundreds deep."""


def truncate(payload: bytes, most_bytes: int, *, size: int = 0, digest: str = "") -> tuple[bytes, str]:
    """A JSON object of at most `most_bytes`, and the digest in it.

    `digest` is that of the record's text when `payload` is another form of the record. If `payload` is only the head
    of the record, `size` and `digest` are those of the whole record.
    """
    digest = digest or digest_of(payload)
    note = {"size": size or len(payload), "sha256": digest}
    if not size:
        try:
            whole: object = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = None
        if isinstance(whole, dict):
            for kept_characters in (KEPT_CHARACTERS, 64):
                shortened = _shortened_object(whole, kept_characters, 1)
                shortened.pop("truncated", None)  # the note is the last key, also if the record has a key of this name
                small = msgspec.json.encode(shortened | {"truncated": note})
                if len(small) <= most_bytes:
                    return small, digest
    head = payload[: max(0, min(len(payload), most_bytes // 8))].decode(errors="replace")
    return orjson.dumps({"log": head, "truncated": note}), digest


def _shortened_object(value: dict[str, object], kept_characters: int, depth: int) -> dict[str, object]:
    return {
        key[:kept_characters]: _shortened(inner, kept_characters, depth + 1)
        for key, inner in list(value.items())[:KEPT_CHARACTERS]
    }


def _shortened(value: object, kept_characters: int, depth: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= kept_characters else f"{value[:kept_characters]}…"
    if isinstance(value, dict | list) and depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return _shortened_object(value, kept_characters, depth)
    if isinstance(value, list):
        return [_shortened(inner, kept_characters, depth + 1) for inner in value[:kept_characters]]
    return value
