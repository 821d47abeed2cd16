"""Chunks of alerts for the tests of processing."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson

from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST, ProcessingResult
from agent.core.processing.timestamps import TimestampParser
from agent.core.reading.line_formats import Cri, recognise
from agent.core.reading.partials import Joiner
from agent.core.reading.records import Records, UnusualRecord
from agent.core.reading.splitter import Splitter
from agent.core.values import Fragment, Lane, PodKey

STAMP = b"2026-11-23T07:23:01.156686905Z"


STAMP_MS = 1795418581156


MOST_RECORD_BYTES = 1 << 20
NOW_MS = 1_795_500_000_000


POD = Fragment(b',"kubernetes":{"pod_name":"nginx"}', b',\\"kubernetes\\":{\\"pod_name\\":\\"nginx\\"}', "hit")


def records_of(*payloads: bytes, own_stamps: bool = True) -> Records:
    """The runtime writes each line at the alert's own time, or all lines at the same time."""
    records, offset = Records(), 0
    for payload in payloads:
        line = (stamp_of(payload) if own_stamps else STAMP) + b" stdout F " + payload
        records.payloads.append(payload)
        records.offsets.append(offset)
        records.lines.append(line)
        offset += len(line) + 1
    return records


def stamp_of(payload: bytes) -> bytes:
    """The runtime writes a line at the alert's own time, if it has one."""
    try:
        stated = json.loads(payload)["time"].encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return STAMP
    return stated if TimestampParser().parse(stated.decode()) is not None else STAMP


def find(key: PodKey, time_ms: int) -> Fragment | None:
    return None if key.name == "unknown" else HOST if key.container_id == "host" else POD


def process(
    *payloads: bytes,
    policy: Policy | None = None,
    unusual: UnusualRecord | None = None,
    met: bool = True,
    own_stamps: bool = True,
) -> ProcessingResult:
    """`met`: the processor has seen all payloads before, so usual alerts take the fast path."""
    records = records_of(*payloads, own_stamps=own_stamps)
    if unusual is not None:
        records.unusual.append(unusual)
    processor = Processor(policy or Policy(), node="node-1", cluster="here")
    if met:
        processor.process(records, file="f99", line_format=Cri(), now_ms=NOW_MS, find=find)
    return processor.process(records, file="f00", line_format=Cri(), now_ms=NOW_MS, find=find)


CASES = Path(__file__).parents[2] / "data" / "cases"
CASE_STAMP_MS = 1_795_500_000_000
"""When the runtime wrote the first line of the cases: 2026-11-24T06:00:00Z."""


def process_case(name: str, policy: Policy | None = None) -> ProcessingResult:
    """The records of a log file that failed when it was tried, all processed as one chunk."""
    data = (CASES / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    line_format = recognise(data[:1024])
    split = Splitter(0, line_format.longest_line(MOST_RECORD_BYTES)).feed(data, 0.0)
    joiner = Joiner(line_format, MOST_RECORD_BYTES)
    records = joiner.feed(split.lines, split.offset, 0.0)
    return Processor(policy or Policy(), node="node-1", cluster="here").process(
        records, file="f00", line_format=joiner.line_format, now_ms=CASE_STAMP_MS + 60_000, find=find
    )


def events(result: ProcessingResult, lane: Lane) -> list[dict[str, Any]]:
    return [json.loads(message) for message in result.spans[lane].messages]


def alert(**changes: object) -> bytes:
    plain = {
        "output_fields": {"container.id": "3f2b8a342f11", "k8s.pod.name": "nginx"},
        "priority": "Notice",
        "rule": "R",
        "source": "syscall",
        "time": "2026-11-23T07:53:51.905525426Z",
    }
    return orjson.dumps({key: value for key, value in (plain | changes).items() if value is not None})
