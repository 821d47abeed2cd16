"""Makes the body of a PutLogEvents request from the encoded events of a batch.

botocore would validate and serialise each event again, which is most of the cost of a put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson
from isal import isal_zlib

from agent.core.values import Destination

_GZIP_WINDOW = 31  # gzip with a zero timestamp: the same batch gives the same bytes
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
    """The body of a request with `events`, the pieces of a JSON array.

    Compressing on the event loop costs less time than hashing and encrypting the bytes that it saves.
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
    """JSON never begins with the first bytes of gzip."""
    return body.startswith(_GZIP_MAGIC)


@lru_cache(maxsize=256)
def _destination_head(destination: Destination) -> bytes:
    """Kept, because it is the same for every put to a stream."""
    names = orjson.dumps({"logGroupName": destination.group, "logStreamName": destination.stream})
    return names[:-1] + b","


def _compressed(body: bytes) -> bytes:
    deflate = isal_zlib.compressobj(_FAST, isal_zlib.DEFLATED, _GZIP_WINDOW)
    return bytes(deflate.compress(body) + deflate.flush())
