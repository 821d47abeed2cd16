"""The body of PutLogEvents, made once from the bytes of a batch.

To validate a batch and serialise it is most of what a put costs in botocore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson
from isal import isal_zlib

from agent.core.values import Destination

_GZIP_WINDOW = 31  # deflate in a gzip envelope whose time stamp is zero: the same bytes for the same batch
_GZIP_MAGIC = b"\x1f\x8b"
_FAST = 1


def put_body(
    destination: Destination,
    events: Sequence[bytes],
    *,
    token: str | None,
    entity: Mapping[str, object] | None,
    gzip: bool,
) -> bytes:
    """The request's body for `events`, the pieces of a JSON array.

    Compressing takes less of the loop than hashing and encrypting what it saves: 0.4 ms for a full batch.
    """
    head = _destination_head(destination)
    if token is not None:
        head += b'"sequenceToken":' + orjson.dumps(token) + b","
    if entity is not None:
        head += b'"entity":' + orjson.dumps(entity) + b","
    head += b'"logEvents":'
    body = b"".join((head, *events, b"}"))
    return _compressed(body) if gzip else body


def is_compressed(body: bytes) -> bool:
    """JSON begins otherwise."""
    return body.startswith(_GZIP_MAGIC)


@lru_cache(maxsize=256)
def _destination_head(destination: Destination) -> bytes:
    """The same for every put to a stream, and there are few streams."""
    names = orjson.dumps({"logGroupName": destination.group, "logStreamName": destination.stream})
    return names[:-1] + b","


def _compressed(body: bytes) -> bytes:
    deflate = isal_zlib.compressobj(_FAST, isal_zlib.DEFLATED, _GZIP_WINDOW)
    return bytes(deflate.compress(body) + deflate.flush())
