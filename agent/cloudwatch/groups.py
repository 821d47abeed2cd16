"""Log groups and streams: creates missing ones and compares existing groups with the configuration.

An existing group is never changed. A new group gets its retention before its first stream is created, also when the
first attempt broke off in between.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from agent.cloudwatch.connection import Connector
from agent.core.values import Destination
from agent.errors import Denied, Invalid, Missing, Refused, shortened
from agent.settings.model import CloudWatch

log = logging.getLogger(__name__)

_ALREADY_EXISTS = "ResourceAlreadyExistsException"
_GROUP_NAME = re.compile(r"(?!aws/)[.\-_/#A-Za-z0-9]{1,512}")
_STREAM_NAME = re.compile(r"[^:*]{1,512}")


class Drift(Struct, frozen=True):
    """A setting of a log group that differs from the configuration."""

    setting: str
    configured: str
    actual: str


class Groups:
    def __init__(self, connector: Connector, settings: CloudWatch) -> None:
        self._connector = connector
        self._settings = settings
        self._without_retention: set[str] = set()

    async def create(self, destination: Destination) -> None:
        """Creates the stream, and before it the group when it is missing. Raises PutError, but never Invalid."""
        if not self._settings.create:
            raise Missing(_how_to_create(destination), reason="missing")
        try:
            await self._finish(destination.group)
            try:
                # The group usually exists, and then the permission to create groups is not needed.
                await self._create_stream(destination)
            except Missing:
                await self._create_group(destination.group)
                await self._create_stream(destination)
        except Invalid as error:
            # No batch is at fault: a wrong name or a missing KMS key would reject every event.
            raise Refused(
                f"{error}; check cloudwatch.log_group, log_stream, kms_key_id and tags", reason="settings"
            ) from error

    async def drift(self, group: str) -> list[Drift]:
        """The configured settings that differ from those of the group. Raises PutError, and Missing without a group."""
        # A name sorts before longer names with the same beginning, so the group itself comes first.
        reply = await self._connector.call("DescribeLogGroups", group, logGroupNamePrefix=group, limit=1)
        found = next((one for one in reply.get("logGroups", ()) if one.get("logGroupName") == group), None)
        if found is None:
            raise Missing(f"log group {group} does not exist; it is created with the first alert", reason="missing")
        return list(_differences(self._settings, found))

    async def _create_stream(self, destination: Destination) -> None:
        await self._connector.call(
            "CreateLogStream",
            f"{destination.group} {destination.stream}",
            tolerate=_ALREADY_EXISTS,
            logGroupName=destination.group,
            logStreamName=destination.stream,
        )

    async def _create_group(self, group: str) -> None:
        wanted: dict[str, object] = {"logGroupName": group}
        if self._settings.log_class is not None:
            wanted["logGroupClass"] = self._settings.log_class
        if self._settings.kms_key_id is not None:
            wanted["kmsKeyId"] = self._settings.kms_key_id
        if self._settings.tags:  # an empty map is invalid
            wanted["tags"] = self._settings.tags
        if self._settings.deletion_protection is not None:
            wanted["deletionProtectionEnabled"] = self._settings.deletion_protection
        reply = await self._connector.call("CreateLogGroup", group, tolerate=_ALREADY_EXISTS, **wanted)
        if "Error" in reply:
            return  # another node created the group and sets its retention
        log.info("log group created", extra={"group": group})
        self._without_retention.add(group)
        await self._finish(group)

    async def _finish(self, group: str) -> None:
        if group not in self._without_retention:
            return
        days = self._settings.retention_days
        if days is not None:
            try:
                await self._connector.call("PutRetentionPolicy", group, logGroupName=group, retentionInDays=days)
            except (Denied, Refused, Missing) as error:
                # A group that keeps its events for ever can still be used; `drift` goes on reporting the difference.
                log.warning("retention not set", extra={"group": group, "days": days, "error": str(error)})
        self._without_retention.discard(group)


def check_names(destination: Destination) -> None:
    """Raises Refused for names that CloudWatch would reject with InvalidParameterException in every put."""
    if not _GROUP_NAME.fullmatch(destination.group):
        raise Refused(
            f"log group name {destination.group!r} is not allowed: 1 to 512 letters, digits and . - _ / #, "
            "not starting with aws/; check cloudwatch.log_group and the names in it",
            reason="name",
        )
    if not _STREAM_NAME.fullmatch(destination.stream):
        raise Refused(
            f"log stream name {destination.stream!r} is not allowed: 1 to 512 characters without : and *; "
            "check cloudwatch.log_stream and the names in it",
            reason="name",
        )


def _differences(settings: CloudWatch, found: Mapping[str, Any]) -> list[Drift]:
    compared = (
        ("retention_days", settings.retention_days, found.get("retentionInDays", "never expires")),
        ("log_class", settings.log_class, found.get("logGroupClass", "STANDARD")),
        ("deletion_protection", settings.deletion_protection, found.get("deletionProtectionEnabled", False)),
        ("kms_key_id", settings.kms_key_id, found.get("kmsKeyId", "none")),
    )
    return [
        Drift(setting, _text(configured), shortened(_text(actual)))
        for setting, configured, actual in compared
        if configured is not None and configured != actual and not _names_same_key(setting, configured, actual)
    ]


def _text(value: object) -> str:
    if value is None:
        return "not set"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _names_same_key(setting: str, configured: object, actual: object) -> bool:
    """A key may be configured by its id alone, and AWS returns its ARN."""
    return setting == "kms_key_id" and str(actual).endswith(f":key/{configured}")


def _how_to_create(destination: Destination) -> str:
    return (
        f"log group {destination.group} or its stream {destination.stream} does not exist and cloudwatch.create is "
        f"false; create them: aws logs create-log-group --log-group-name {destination.group} && "
        f"aws logs create-log-stream --log-group-name {destination.group} --log-stream-name {destination.stream}"
    )
