"""Chunks of alerts for the tests of processing."""

import json

import orjson

from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import HOST, ProcessingResult
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Records, UnusualRecord
from agent.core.values import Fragment, Lane, PodKey

STAMP = b"2026-11-23T07:23:01.156686905Z"


STAMP_MS = 1795418581156


NOW_MS = 1_800_000_000_000


POD = Fragment(b',"kubernetes":{"pod_name":"nginx"}', b',\\"kubernetes\\":{\\"pod_name\\":\\"nginx\\"}', "hit")


def records_of(*payloads: bytes) -> Records:
    records, offset = Records(), 0
    for payload in payloads:
        line = STAMP + b" stdout F " + payload
        records.payloads.append(payload)
        records.offsets.append(offset)
        records.lines.append(line)
        offset += len(line) + 1
    return records


def find(key: PodKey, time_ms: int) -> Fragment | None:
    return None if key.name == "unknown" else HOST if key.container_id == "host" else POD


def process(
    *payloads: bytes, policy: Policy | None = None, unusual: UnusualRecord | None = None, met: bool = True
) -> ProcessingResult:
    """`met`: the processor has seen all payloads before, so usual alerts take the fast path."""
    records = records_of(*payloads)
    if unusual is not None:
        records.unusual.append(unusual)
    processor = Processor(policy or Policy(), node="node-1", cluster="here")
    if met:
        processor.process(records, file="f99", line_format=Cri(), now_ms=NOW_MS, find=find)
    return processor.process(records, file="f00", line_format=Cri(), now_ms=NOW_MS, find=find)


def events(result: ProcessingResult, lane: Lane) -> list[dict[str, object]]:
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
