"""Checks the result of the end-to-end test: every alert arrived, and every record is accounted for.

`stored_messages` reads the events by the API of CloudWatch. The other functions work on values, so that they are tested
without a cluster.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import orjson
from aiobotocore.session import get_session

from agent.local.player import stamped, time_of
from tests.e2e.play import STEP_NS

_SAMPLE = re.compile(r"^falcowatch_(\w+?)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    written: int
    arrived: int
    """Different alerts that arrived. A resent alert is counted once."""
    resent: int
    unrecognised: int
    """Resends whose id differs from the first. A reader cannot recognise them as the same alert."""

    @property
    def lost(self) -> int:
        return self.written - self.arrived

    @property
    def holds(self) -> bool:
        return self.lost == 0 and self.unrecognised == 0


def judge(first_ns: int, alerts: int, messages: Iterable[bytes]) -> Verdict:
    written = {stamped(first_ns + number * STEP_NS) for number in range(alerts)}
    ids: dict[bytes, str] = {}
    resent = unrecognised = 0
    for message in messages:
        moment = time_of(message)
        if moment not in written:
            continue
        identity = str(orjson.loads(message)["falcowatch"]["id"])
        if moment in ids:
            resent += 1
            unrecognised += ids[moment] != identity
        else:
            ids[moment] = identity
    return Verdict(len(written), len(ids), resent, unrecognised)


@dataclass(frozen=True, slots=True)
class Accounting:
    """The records of one agent since it started."""

    read: int
    shipped: int
    filtered: int
    rejected: int
    in_flight: int
    gap_bytes: int

    @property
    def complete(self) -> bool:
        return self.read == self.shipped + self.filtered + self.rejected + self.in_flight and self.gap_bytes == 0


def accounting_in(metrics: str) -> Accounting:
    """Reads the counters from the text of /metrics, summed over their labels."""
    totals: dict[str, float] = {}
    for name, value in _SAMPLE.findall(metrics):
        totals[name] = totals.get(name, 0.0) + float(value)
    return Accounting(
        read=_whole(totals, "records_read_total"),
        shipped=_whole(totals, "records_shipped_total"),
        filtered=_whole(totals, "records_filtered_total"),
        rejected=_whole(totals, "records_rejected_total"),
        in_flight=_whole(totals, "records_in_flight"),
        gap_bytes=_whole(totals, "gap_bytes_total"),
    )


def _whole(totals: Mapping[str, float], name: str) -> int:
    return int(totals.get(name, 0.0))


async def stored_messages(endpoint_url: str, group: str) -> AsyncIterator[bytes]:
    """Yields every event of every stream of a log group, with GetLogEvents."""
    session = get_session()
    async with session.create_client(
        "logs",
        endpoint_url=endpoint_url,
        region_name="eu-central-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    ) as client:
        pages = client.get_paginator("describe_log_streams").paginate(logGroupName=group)
        streams = [stream async for page in pages for stream in page["logStreams"]]
        for stream in streams:
            where = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
            page = await client.get_log_events(**where)
            while page["events"]:
                for event in page["events"]:
                    yield event["message"].encode()
                page = await client.get_log_events(**where, nextToken=page["nextForwardToken"])
