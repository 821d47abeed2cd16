"""The fast path and the slow path have the same result."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.processing.context import ChunkContext
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.result import ProcessingResult
from agent.core.processing.slow_path import SlowPath
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Records
from tests.core.processing.chunks import NOW_MS, alert, find, process, records_of

DATA = Path(__file__).parents[2] / "data" / "falco"


CAPTURED = sorted(DATA.glob("*.jsonl"))


def slowly(records: Records, policy: Policy) -> ProcessingResult:
    """The result with every record on the slow path."""
    processor = Processor(policy, node="node-1", cluster="here")
    result = ProcessingResult()
    one_by_one = SlowPath(processor.context, ChunkContext("f00", Cri(), NOW_MS, find), result, None)
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        one_by_one.add(payload, offset, line)
    return result


def facts(result: ProcessingResult) -> object:
    return (
        {lane: (span.timestamps, span.messages, span.sizes, span.offsets) for lane, span in result.spans.items()},
        {(kind.priority, kind.source, kind.rule): seen for kind, seen in result.seen.items()},
        {(kind.priority, kind.source, kind.rule): size for kind, size in result.billed_bytes.items()},
        result.filtered, result.enriched, result.unknown, result.notices, result.oversized,
    )  # fmt: skip


real_lines = [line for path in CAPTURED for line in path.read_bytes().split(b"\n")[:4] if line]


odd_values = st.sampled_from([None, "", "<NA>", "host", "nginx", "unknown", 5, "Ü\u2028"])


made_up = st.builds(
    lambda **changes: alert(**changes),
    priority=st.sampled_from(["Critical", "Notice", "Debug", "odd"]),
    source=st.sampled_from(["syscall", "internal", None]),
    rule=st.sampled_from(["R", "Read x"]),
    time=st.sampled_from(
        [
            *[f"2026-11-23T{time}.905525426Z" for time in ("07:53:51", "07:00:00", "06:23:02", "06:23:00", "08:23:02")],
            *["2026-11-08T07:53:51.905525426Z", "2026-11-29T07:53:51.9Z", "", "never", None],
        ]
    ),
    output_fields=st.one_of(
        st.none(),
        st.fixed_dictionaries({"container.id": odd_values, "k8s.pod.name": odd_values, "k8s.ns.name": odd_values}),
    ),
)


hostile = st.one_of(
    made_up,
    st.sampled_from(real_lines),
    made_up.map(lambda line: line + b" "),
    made_up.map(lambda line: line.replace(b"R", b"\xff")),
    made_up.map(lambda line: line[:-3]),
    st.binary(max_size=60),
)


@given(payloads=st.lists(hostile, max_size=12), notice=st.booleans(), met=st.booleans(), own_stamps=st.booleans())
@settings(deadline=None, max_examples=300)
def test_both_paths_have_the_same_result_and_every_record_is_counted(
    payloads: list[bytes], notice: bool, met: bool, own_stamps: bool
) -> None:
    policy = Policy(minimum_priority="notice" if notice else "debug", drop_rules=("Read*",))
    records = records_of(*payloads, own_stamps=own_stamps)

    result = process(*payloads, policy=policy, met=met, own_stamps=own_stamps)

    assert facts(result) == facts(slowly(records, policy))
    waiting = sum(map(len, result.unknown.values()))
    assert sum(map(len, result.spans.values())) + sum(result.filtered.values()) + waiting == len(payloads)
    for span in result.spans.values():
        for message, size in zip(span.messages, span.sizes, strict=True):
            assert len(message.encode()) == size <= LARGEST_MESSAGE_BYTES
            json.loads(message)
