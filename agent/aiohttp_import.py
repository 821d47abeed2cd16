"""Imports aiohttp without the certificates of all authorities.

aiohttp makes two TLS contexts while it is imported, for sessions that bring none. Each loads the certificates of the
system: 30 ms of CPU and 1 MB for each (aiohttp 3.14, Python 3.13, 140 authorities, 2026-11). The agent gives every TLS
connection a context of its own, so these two stay empty. A connection that uses one of them all the same fails, because
its context trusts no authority.

Only `falcowatch run` imports aiohttp in this way; the other commands use the contexts.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager


def import_aiohttp() -> None:
    """Does nothing when aiohttp is imported already. Later imports find the same module."""
    with _without_system_certificates():
        import aiohttp  # noqa: F401


@contextmanager
def _without_system_certificates() -> Iterator[None]:
    # `ssl.create_default_context` calls this method too. ssl.SSLContext inherits it from its base in C.
    ssl.SSLContext.set_default_verify_paths = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths
