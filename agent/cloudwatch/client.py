"""The client of CloudWatch Logs: puts batches, creates groups and streams, reads events back, names the caller.

Every method tries once, ends within `cloudwatch.timeout_seconds` and raises only PutError. The class of the error says
what to do next. Retries, pace and settling belong to the shipper.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

from agent.cloudwatch.caller_identity import CallerIdentity, identify
from agent.cloudwatch.compression import Compression
from agent.cloudwatch.connection import Connector
from agent.cloudwatch.groups import Drift, Groups, check_names
from agent.cloudwatch.kms import sign
from agent.cloudwatch.put_body import put_body
from agent.cloudwatch.response_check import token_or_none
from agent.core.values import Destination, PutReply
from agent.errors import PutError, Unavailable
from agent.settings.model import CloudWatch
from agent.settings.seal import KmsAlgorithm

__all__ = ["CallerIdentity", "Drift", "LogsClient", "open_cloudwatch"]

_PAGE_EVENTS = 10_000
_MOST_EMPTY_PAGES = 200
"""Pages in a row without an event before the stream counts as read to its end."""

_ENTITY_ERRORS = frozenset(
    {
        "InvalidEntity",
        "InvalidTypeValue",
        "InvalidKeyAttributes",
        "InvalidAttributes",
        "EntitySizeTooLarge",
        "UnsupportedLogGroupType",
        "MissingRequiredFields",
    }
)
"""The values of the API (reference of PutLogEvents, read 2026-11); any other becomes the label `other`."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_cloudwatch(settings: CloudWatch, *, user_agent_extra: str = "falcowatch") -> AsyncIterator[LogsClient]:
    """A client with loaded models and known credentials, so that no later call blocks the event loop.

    Raises SettingsError when no region is known. Missing credentials do not prevent the start: each call looks for
    them again and raises Denied while there are none.
    """
    client = LogsClient(settings, user_agent_extra=user_agent_extra)
    try:
        await client.connect()
        yield client
    finally:
        await client.close()


class LogsClient:
    """Made by `open_cloudwatch`; used from one event loop, by any number of tasks."""

    def __init__(self, settings: CloudWatch, *, user_agent_extra: str) -> None:
        self._connector = Connector(settings, user_agent_extra=user_agent_extra)
        self._groups = Groups(self._connector, settings)
        self._compression = Compression(wanted=settings.compression == "gzip")

    async def connect(self) -> PutError | None:
        """Opens the connection before the first call; returns the error when there are no credentials yet."""
        try:
            await self._connector.current()
        except PutError as error:
            return error
        return None

    async def put(
        self,
        destination: Destination,
        events: Sequence[bytes],
        *,
        token: str | None = None,
        entity: Mapping[str, object] | None = None,
    ) -> PutReply:
        """Puts `events`, the pieces of a JSON array of `{"timestamp":…,"message":…}` within the limits of PutLogEvents.

        The same arguments give the same body, byte for byte. When an endpoint refuses a compressed body and accepts
        the plain one, all later bodies are plain. DataAlreadyAcceptedException counts as success. Raises PutError;
        after Unavailable the events may have arrived all the same.
        """
        _known_good(destination)

        async def put(*, gzip: bool) -> PutReply:
            body = put_body(destination, events, token=token, entity=entity, gzip=gzip)
            target = f"{destination.group} {destination.stream}"
            return _put_reply(await self._connector.put(body, target, tolerate="DataAlreadyAcceptedException"))

        if not self._compression.is_on:
            return await put(gzip=False)
        try:
            reply = await put(gzip=True)
        except PutError as error:
            if not self._compression.may_be_why(error):
                raise
            reply = await put(gzip=False)
            if self._compression.switch_off():
                log.warning("compressed put refused, plain ones are taken", extra={"why": str(error)})
        else:
            self._compression.accepted()
        return reply

    async def create(self, destination: Destination) -> None:
        """Creates the stream, and the group with its settings when it is missing too; both may exist already.

        Raises PutError: Missing when `cloudwatch.create` is false, Refused for a setting that AWS rejects or a quota.
        """
        _known_good(destination)
        await self._groups.create(destination)

    async def read_back(self, destination: Destination, start_ms: int, end_ms: int) -> AsyncIterator[tuple[int, str]]:
        """The stream's events with `start_ms <= timestamp < end_ms`, oldest first. Raises PutError."""
        asked: dict[str, str] = {}
        empty_pages = 0
        while empty_pages < _MOST_EMPTY_PAGES:
            page = await self._connector.call(
                "GetLogEvents",
                f"{destination.group} {destination.stream}",
                logGroupName=destination.group,
                logStreamName=destination.stream,
                startTime=start_ms,
                endTime=end_ms,
                startFromHead=True,
                limit=_PAGE_EVENTS,
                **asked,
            )
            empty_pages = 0 if page.get("events") else empty_pages + 1
            for event in page.get("events", ()):
                if isinstance(event.get("message"), str):
                    yield event.get("timestamp", start_ms), event["message"]
            # An empty page need not be the last one: the last page repeats the token of the request.
            token = page.get("nextForwardToken")
            if token is None or token == asked.get("nextToken"):
                return
            asked["nextToken"] = token

    async def filter_page(
        self, group: str, start_ms: int, end_ms: int, token: str | None, pattern: str = ""
    ) -> tuple[list[tuple[str, int, int | None, str]], str | None]:
        """One page of the group's events with `start_ms <= timestamp <= end_ms`, and the token of the next page.

        `pattern`: a filter pattern of CloudWatch; only events that match it are returned.

        An event is (stream, timestamp, time of ingestion, message). A page may be empty, and another one follow.
        Raises PutError.
        """
        reply = await self._connector.call(
            "FilterLogEvents",
            group,
            logGroupName=group,
            startTime=start_ms,
            endTime=end_ms,
            limit=_PAGE_EVENTS,
            **({} if token is None else {"nextToken": token}),
            **({"filterPattern": pattern} if pattern else {}),
        )
        try:
            events = [
                (
                    str(event["logStreamName"]),
                    int(event["timestamp"]),
                    event.get("ingestionTime"),
                    str(event["message"]),
                )
                for event in reply.get("events", ())
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(
                f"FilterLogEvents for {group}: an event without {error}, which is not CloudWatch Logs; "
                "check cloudwatch.endpoint_url and HTTPS_PROXY",
                reason="unexpected",
            ) from error
        return events, reply.get("nextToken")

    async def sign(self, key_id: str, algorithm: KmsAlgorithm, message: bytes) -> str:
        """The code of a seal by a key of KMS. Raises PutError."""
        return await sign(self._connector, key_id, algorithm, message)

    async def drift(self, group: str) -> list[Drift]:
        """The settings of the group that differ from the configuration. Raises PutError."""
        return await self._groups.drift(group)

    async def identity(self) -> CallerIdentity:
        """Whose credentials are used. Raises Denied or Unavailable without credentials, but not when STS is silent."""
        return await identify(self._connector)

    async def reopen(self) -> None:
        """Closes the connection, so that the next call asks the credentials chain again. Calls under way end first."""
        await self._connector.renew()

    async def close(self) -> None:
        await self._connector.renew()


@lru_cache(maxsize=256)
def _known_good(destination: Destination) -> None:
    check_names(destination)


def _put_reply(reply: Mapping[str, Any]) -> PutReply:
    rejected = reply.get("rejectedLogEventsInfo") or {}
    error = (reply.get("rejectedEntityInfo") or {}).get("errorType")
    return PutReply(
        too_old_end=rejected.get("tooOldLogEventEndIndex"),
        expired_end=rejected.get("expiredLogEventEndIndex"),
        too_new_start=rejected.get("tooNewLogEventStartIndex"),
        next_token=token_or_none(reply.get("nextSequenceToken") or reply.get("expectedSequenceToken")),
        entity_error=None if error is None else error if error in _ENTITY_ERRORS else "other",
    )
