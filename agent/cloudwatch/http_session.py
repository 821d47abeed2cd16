"""The HTTP session of the SDK with bounds: it follows no redirect and reads a bounded part of each answer.

A redirect would carry the session token to another host, whose answer could be taken for an acknowledgement. An endless
body would fill the memory of the node. A body that is cut at the bound is no longer valid, so it never counts as an
acknowledgement; of a cut error the status still counts. The bounds also hold for STS and the credential endpoints.

This uses private parts of aiobotocore, checked with the versions in CHECKED_WITH. When they no longer fit, a warning is
logged, and an answer that came through a redirect is refused.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import aiohttp
from botocore.exceptions import HTTPClientError
from msgspec import Struct

from agent.cloudwatch.sdk_import import AIOHTTPSession
from agent.cloudwatch.sdk_import import utils as sdk_utils

CHECKED_WITH: Final = "aiobotocore 3.10"
"""pyproject.toml allows no newer versions; test_sdk_seams.py says which part a new version breaks."""

MOST_BODY_BYTES: Final = 1024 * 1024
MOST_PAGE_BYTES: Final = 8 * 1024 * 1024
"""A page holds up to 1 MiB of events (references of GetLogEvents and FilterLogEvents, read 2026-11), 10,000 at most.
JSON escapes make it longer, and the names of streams, times and ids that stand beside each event."""

_PAGES: Final = (".GetLogEvents", ".FilterLogEvents")

log = logging.getLogger(__name__)


class BoundedAnswer(Struct, frozen=True):
    """What aiobotocore reads from an answer of aiohttp."""

    url: str
    status: int
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def read(self) -> bytes:
        return self.body


class _BoundedClient:
    """The part of aiohttp's session that aiobotocore uses."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **options: Any) -> BoundedAnswer:
        target = str(options.get("headers", {}).get("X-Amz-Target", ""))
        most_bytes = MOST_PAGE_BYTES if target.endswith(_PAGES) else MOST_BODY_BYTES
        response = await self._session.request(method, **options | {"allow_redirects": False})
        try:
            body = await _read_at_most(response, most_bytes)
        except BaseException:
            response.close()
            raise
        return BoundedAnswer(str(response.url), response.status, response.raw_headers, body)


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # the SDK has no types
    """For `AioConfig(http_session_cls=…)`."""

    async def _get_session(self, proxy_url: str | None) -> _BoundedClient:
        return _BoundedClient(await super()._get_session(proxy_url))

    async def send(self, request: Any) -> Any:
        response = await super().send(request)
        if not isinstance(response.raw, BoundedAnswer):
            _log_unbounded()
            if response.url != request.url:
                raise HTTPClientError(error=f"a redirect to {response.url} was followed")
        return response


def bound_credential_endpoints() -> None:
    """Gives the fetchers of the metadata and container endpoints a session with the same bounds."""
    try:

        class BoundedCredentialSession(sdk_utils._RefCountedSessionMixin, BoundedSession):  # type: ignore[misc]
            pass

        for fetcher in (sdk_utils.AioIMDSFetcher, sdk_utils.AioContainerMetadataFetcher):
            if not issubclass(fetcher._ref_counted_session_cls, BoundedSession):
                fetcher._ref_counted_session_cls = BoundedCredentialSession
    except AttributeError:
        _log_unbounded()


async def _read_at_most(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes:
            response.close()  # the connection cannot be used again
            break
    else:
        response.release()
    return b"".join(pieces)[:most_bytes]


def _log_unbounded() -> None:
    log.warning(
        "answers are not bounded in size; this SDK version is not a checked one", extra={"checked_with": CHECKED_WITH}
    )
