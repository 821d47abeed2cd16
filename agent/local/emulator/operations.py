"""The operations of CloudWatch Logs on the store: each takes the decoded request and returns the reply's members.

Each operation is one synchronous method, listed in `OPERATIONS`, and raises ServiceError to refuse a request. Events
are read in `queries`; the server handles HTTP and signatures.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from agent.local.emulator import replies
from agent.local.emulator.descriptions import Reply, cut, described_group, described_stream, next_token
from agent.local.emulator.parameters import (
    ANY_TEXT,
    GROUP_NAME,
    MAX_TAGS,
    STREAM_NAME,
    Parameters,
    group_of_arn,
    too_many_tags,
)
from agent.local.emulator.replies import ServiceError, invalid_parameter
from agent.local.emulator.rules import Batch, check_batch, check_entity
from agent.local.emulator.store import Group, GroupSettings, Store, Stream


class Operations:
    """`now` is in seconds; `sequence_tokens` enforces them on every put, as AWS did before 2023."""

    def __init__(self, store: Store, now: Callable[[], float], *, sequence_tokens: bool = False) -> None:
        self._store = store
        self._now = now
        self._sequence_tokens = sequence_tokens

    def put_log_events(self, asked: Parameters, region: str) -> Reply:
        group_name, stream_name = asked.group_name(), asked.stream_name()
        token = asked.text("sequenceToken", max_length=4096)
        group = self._store.group(group_name)
        stream = group.stream(stream_name)
        now_ms = self._now_ms()
        batch = check_batch(asked.raw("logEvents"), now_ms=now_ms, retention_days=group.settings.retention_days)
        rejected_entity = check_entity(asked.raw("entity"), group.settings.log_class)
        if self._sequence_tokens:
            _check_token(stream, token, batch)
        if batch.lengths:
            self._store.append(stream, batch, now_ms)
        reply: Reply = {"nextSequenceToken": next_token(stream)}
        if batch.rejected is not None:
            reply["rejectedLogEventsInfo"] = batch.rejected.as_reply()
        if rejected_entity is not None:
            reply["rejectedEntityInfo"] = {"errorType": rejected_entity}
        return reply

    def create_log_group(self, asked: Parameters, region: str) -> Reply:
        name = asked.new_group_name()
        settings = GroupSettings(
            created_ms=self._now_ms(),
            log_class=asked.log_class(),
            kms_key_id=asked.text("kmsKeyId", min_length=0, max_length=256),
            deletion_protection=asked.flag("deletionProtectionEnabled"),
            tags=asked.tags(),
        )
        self._store.create_group(name, settings)
        return {}

    def delete_log_group(self, asked: Parameters, region: str) -> Reply:
        group = self._store.group(asked.group_name())
        _refuse_if_protected(group)
        self._store.delete_group(group)
        return {}

    def describe_log_groups(self, asked: Parameters, region: str) -> Reply:
        prefix = asked.text("logGroupNamePrefix", pattern=GROUP_NAME)
        part = asked.text("logGroupNamePattern", min_length=0)
        if prefix is not None and part is not None:
            raise invalid_parameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        identifiers = asked.texts("logGroupIdentifiers", max_count=50)
        wanted = None if identifiers is None else {_group_name(item) for item in identifiers}
        log_class = None if asked.raw("logGroupClass") is None else asked.log_class()
        groups = [
            group
            for name, group in sorted(self._store.groups.items())
            if name.startswith(prefix or "")
            and (part or "") in name
            and (wanted is None or name in wanted)
            and (log_class is None or group.settings.log_class == log_class)
        ]
        shown, token = cut([(group.name, group) for group in groups], asked, descending=False)
        reply: Reply = {"logGroups": [described_group(group, region) for group in shown]}
        return reply if token is None else {**reply, "nextToken": token}

    def put_log_group_deletion_protection(self, asked: Parameters, region: str) -> Reply:
        name = asked.identifier("logGroupIdentifier", required=True)
        if not isinstance(asked.raw("deletionProtectionEnabled"), bool):
            raise replies.invalid_member(None, "deletionProtectionEnabled", "Member must not be null")
        group = self._store.group(name or "")
        protected = asked.flag("deletionProtectionEnabled")
        self._store.change_group(group, replace(group.settings, deletion_protection=protected))
        return {}

    def put_retention_policy(self, asked: Parameters, region: str) -> Reply:
        name, days = asked.group_name(), asked.retention_days()
        group = self._store.group(name)
        self._store.change_group(group, replace(group.settings, retention_days=days))
        return {}

    def delete_retention_policy(self, asked: Parameters, region: str) -> Reply:
        group = self._store.group(asked.group_name())
        self._store.change_group(group, replace(group.settings, retention_days=None))
        return {}

    def create_log_stream(self, asked: Parameters, region: str) -> Reply:
        group_name, stream_name = asked.group_name(), asked.stream_name()
        self._store.create_stream(self._store.group(group_name), stream_name, self._now_ms())
        return {}

    def delete_log_stream(self, asked: Parameters, region: str) -> Reply:
        group_name, stream_name = asked.group_name(), asked.stream_name()
        group = self._store.group(group_name)
        stream = group.stream(stream_name)
        _refuse_if_protected(group)
        self._store.delete_stream(group, stream)
        return {}

    def describe_log_streams(self, asked: Parameters, region: str) -> Reply:
        group_name = asked.named_group()
        prefix = asked.text("logStreamNamePrefix", pattern=STREAM_NAME)
        order = asked.text("orderBy") or "LogStreamName"
        if order not in ("LogStreamName", "LastEventTime"):
            constraint = "Member must satisfy enum value set: [LogStreamName, LastEventTime]"
            raise replies.invalid_member(order, "orderBy", constraint)
        by_time = order == "LastEventTime"
        if by_time and prefix is not None:
            raise invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
        group = self._store.group(group_name)
        keyed = [
            (f"{stream.log.last_ms or 0:020d}{name}" if by_time else name, stream)
            for name, stream in group.streams.items()
            if name.startswith(prefix or "")
        ]
        descending = asked.flag("descending")
        keyed.sort(key=lambda entry: entry[0], reverse=descending)
        shown, token = cut(keyed, asked, descending=descending)
        reply: Reply = {"logStreams": [described_stream(group, stream, region) for stream in shown]}
        return reply if token is None else {**reply, "nextToken": token}

    def tag_resource(self, asked: Parameters, region: str) -> Reply:
        arn, tags = _arn(asked), asked.tags(required=True)
        group = self._store.group(group_of_arn(arn, "resourceArn"))
        merged = group.settings.tags | tags
        if len(merged) > MAX_TAGS:
            raise too_many_tags(arn)
        self._store.change_group(group, replace(group.settings, tags=merged))
        return {}

    def untag_resource(self, asked: Parameters, region: str) -> Reply:
        arn, keys = _arn(asked), asked.texts("tagKeys", max_count=MAX_TAGS) or []
        group = self._store.group(group_of_arn(arn, "resourceArn"))
        left = {key: value for key, value in group.settings.tags.items() if key not in keys}
        self._store.change_group(group, replace(group.settings, tags=left))
        return {}

    def list_tags_for_resource(self, asked: Parameters, region: str) -> Reply:
        return {"tags": self._store.group(group_of_arn(_arn(asked), "resourceArn")).settings.tags}

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _check_token(stream: Stream, token: str | None, batch: Batch) -> None:
    """The rule before 2023: no token for a stream's first put, then the token that the last put returned."""
    expected = next_token(stream) if stream.log.batches else None
    digest = hashlib.sha256(repr((batch.timestamps, batch.lengths)).encode() + batch.payload).digest()
    if token != expected:
        if expected is not None and digest == stream.last_batch:
            raise replies.data_already_accepted(expected)
        raise replies.invalid_sequence_token(expected)
    stream.last_batch = digest


def _refuse_if_protected(group: Group) -> None:
    if group.settings.deletion_protection:
        raise ServiceError("ValidationException", f"Deletion protection is enabled for log group {group.name}.")


def _arn(asked: Parameters) -> str:
    arn = asked.text("resourceArn", required=True, pattern=ANY_TEXT, max_length=1011)
    assert arn is not None
    return arn


def _group_name(identifier: str) -> str:
    return group_of_arn(identifier, "logGroupIdentifiers") if identifier.startswith("arn:") else identifier


OPERATIONS: dict[str, Callable[[Operations, Parameters, str], Reply]] = {
    "PutLogEvents": Operations.put_log_events,
    "CreateLogGroup": Operations.create_log_group,
    "CreateLogStream": Operations.create_log_stream,
    "DeleteLogGroup": Operations.delete_log_group,
    "DeleteLogStream": Operations.delete_log_stream,
    "DescribeLogGroups": Operations.describe_log_groups,
    "DescribeLogStreams": Operations.describe_log_streams,
    "PutRetentionPolicy": Operations.put_retention_policy,
    "DeleteRetentionPolicy": Operations.delete_retention_policy,
    "PutLogGroupDeletionProtection": Operations.put_log_group_deletion_protection,
    "TagResource": Operations.tag_resource,
    "UntagResource": Operations.untag_resource,
    "ListTagsForResource": Operations.list_tags_for_resource,
}
