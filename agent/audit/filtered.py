"""Reads events from CloudWatch Logs by FilterLogEvents: all streams of the groups, and every page.

Reading needs the permission logs:FilterLogEvents alone. An account has only a few calls of it a second, so throttling
is usual, and each failed page is asked for again after a backoff.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from agent.audit.history import UNKNOWN_MS, RawEvent
from agent.core.backoff import Backoff
from agent.errors import Denied, PutError, Throttled, Unavailable

MOST_ATTEMPTS: Final = 10
"""Of one page. With the backoff they take some minutes."""

BACKOFF: Final = Backoff(0.5, 30.0)


class Pages(Protocol):
    """CloudWatch Logs, as far as an audit reads it; `LogsClient` is one."""

    async def filter_page(
        self, group: str, start_ms: int, end_ms: int, token: str | None, pattern: str = ""
    ) -> tuple[Sequence[tuple[str, int, int | None, str]], str | None]: ...

    async def reopen(self) -> None: ...


async def read_groups(
    client: Pages, groups: Sequence[str], start_ms: int, end_ms: int, *, pattern: str = ""
) -> AsyncIterator[list[RawEvent]]:
    """The events with `start_ms <= timestamp <= end_ms`, page by page. Raises PutError when a page does not come.

    `pattern`: a filter pattern of CloudWatch; only events that match it are returned.
    """
    for group in groups:
        token: str | None = None
        while True:
            events, token = await _page(client, group, start_ms, end_ms, token, pattern)
            yield [
                RawEvent(
                    stream, time_ms, UNKNOWN_MS if ingested is None else ingested, message.encode(errors="replace")
                )
                for stream, time_ms, ingested, message in events
            ]
            if token is None:
                break


async def _page(
    client: Pages, group: str, start_ms: int, end_ms: int, token: str | None, pattern: str
) -> tuple[Sequence[tuple[str, int, int | None, str]], str | None]:
    failures = 0
    while True:
        try:
            return await client.filter_page(group, start_ms, end_ms, token, pattern)
        except PutError as error:
            failures += 1
            if failures >= MOST_ATTEMPTS or not _may_pass(error):
                raise
            if isinstance(error, Denied):
                await client.reopen()
            await asyncio.sleep(BACKOFF.seconds(failures, random.random()))


def _may_pass(error: PutError) -> bool:
    """True for throttling, outages, and credentials that have expired."""
    return isinstance(error, Throttled | Unavailable) or (isinstance(error, Denied) and error.reason == "expired")
