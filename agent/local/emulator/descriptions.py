"""The replies of the Describe operations: the members of a group and of a stream, and pages of a list."""

from typing import TypeVar

from agent.local.emulator.parameters import Parameters
from agent.local.emulator.store import Group, Stream

ACCOUNT = "123456789012"
MAX_DESCRIBED = 50

Reply = dict[str, object]
T = TypeVar("T")


def cut(keyed: list[tuple[str, T]], asked: Parameters, *, descending: bool) -> tuple[list[T], str | None]:
    """The page of a sorted list for `limit` and `nextToken`, and the next token: the key of the page's last item."""
    limit = asked.integer("limit", minimum=1, maximum=MAX_DESCRIBED) or MAX_DESCRIBED
    after = asked.text("nextToken", max_length=4096)
    if after is not None:
        keyed = [(key, item) for key, item in keyed if (key < after if descending else key > after)]
    page = keyed[:limit]
    return [item for _, item in page], page[-1][0] if len(keyed) > limit else None


def described_group(group: Group, region: str) -> Reply:
    settings, arn = group.settings, f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group.name}"
    described: Reply = {
        "logGroupName": group.name,
        "creationTime": settings.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": group.stored_bytes,
        "logGroupClass": settings.log_class,
        "deletionProtectionEnabled": settings.deletion_protection,
    }
    if settings.retention_days is not None:
        described["retentionInDays"] = settings.retention_days
    if settings.kms_key_id is not None:
        described["kmsKeyId"] = settings.kms_key_id
    return described


def described_stream(group: Group, stream: Stream, region: str) -> Reply:
    log = stream.log
    described: Reply = {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        "arn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group.name}:log-stream:{stream.name}",
        "storedBytes": log.message_bytes,
        "uploadSequenceToken": next_token(stream),
    }
    times = {
        "firstEventTimestamp": log.first_ms,
        "lastEventTimestamp": log.last_ms,
        "lastIngestionTime": log.last_ingested_ms,
    }
    return described | {name: time for name, time in times.items() if time is not None}


def next_token(stream: Stream) -> str:
    """56 digits as AWS's tokens have. Derived from the stream's data only, so a token is valid after a restart."""
    return f"49{stream.created_ms % 10**14:014d}{stream.log.batches:040d}"
