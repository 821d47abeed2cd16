"""What becomes of each record: lane, bytes, id, filter; and that the fast pass agrees with the careful one."""

import json
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.span import escaped
from agent.core.processing.processor import MOST_KINDS, Processor
from agent.core.processing.result import HOST, Policy, ProcessingResult
from agent.core.processing.slow_path import SlowPath
from agent.core.reading.line_formats import Cri, Plain
from agent.core.reading.records import Mark, Odd, Records
from agent.core.values import Fragment, Lane, PodKey

DATA = Path(__file__).parents[2] / "data" / "falco"
CAPTURED = sorted(DATA.glob("*.jsonl"))
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
    *payloads: bytes, policy: Policy | None = None, odd: Odd | None = None, met: bool = True
) -> ProcessingResult:
    """`met`: the processor has seen all of them before, so what is plain goes the fast way."""
    records = records_of(*payloads)
    if odd is not None:
        records.odd.append(odd)
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


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_a_captured_alert_ships_as_its_own_bytes_plus_two_keys(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")[:-1]
    result = process(*lines)
    shipped = {
        offset: message
        for span in result.spans.values()
        for offset, message in zip(span.offsets, span.messages, strict=True)
    }

    assert len(shipped) == len(lines)
    assert not result.spans[Lane.OTHER].messages
    for line, (offset, message) in zip(lines, sorted(shipped.items()), strict=True):
        assert message.encode().startswith(line[:-1] + b",")
        ours = json.loads(message)
        assert ours.pop("falcowatch") == {"id": f"f00:{offset}", "node": "node-1", "cluster": "here"}
        ours.pop("kubernetes", None)
        assert ours == json.loads(line)


def test_lines_that_are_no_alert_are_wrapped_with_stream_and_time() -> None:
    lines = (DATA / "raw" / "0.40.0-hup.stdout").read_bytes().split(b"\n")
    result = process(*lines)

    wrapped = events(result, Lane.OTHER)
    assert wrapped[0] | {"falcowatch": 0} == {
        "log": "Events detected: 1", "stream": "stdout", "time": STAMP.decode(), "falcowatch": 0,
    }  # fmt: skip
    assert set(result.spans[Lane.OTHER].timestamps) == {STAMP_MS}
    assert result.filtered["empty"] == sum(not line.strip() for line in lines)


def test_lines_that_are_no_alert_may_be_dropped_and_are_counted() -> None:
    result = process(b"text", b"  ", alert(), policy=Policy(ship_other_lines=False))

    assert result.filtered == {"other_line": 1, "empty": 1}
    assert sum(len(span) for span in result.spans.values()) == 1


def test_a_line_outside_the_grammar_is_wrapped_without_stream_and_time() -> None:
    records = Records([b"torn"], [0], [b"torn"])

    result = Processor(Policy(), node="n").process(records, file="f", line_format=Cri(), now_ms=NOW_MS, find=find)

    assert events(result, Lane.OTHER) == [
        {"log": "torn", "stream": "unknown", "falcowatch": {"id": "f:0", "node": "n"}}
    ]
    assert result.spans[Lane.OTHER].timestamps == [NOW_MS]


@pytest.mark.parametrize(
    ("priority", "source", "lane", "filtered"),
    [
        ("Emergency", "syscall", Lane.URGENT, ""),
        ("critical", "syscall", Lane.URGENT, ""),
        ("Error", "syscall", Lane.ROUTINE, ""),
        ("Notice", "syscall", Lane.ROUTINE, ""),
        ("Informational", "syscall", None, "priority"),
        ("Info", "syscall", None, "priority"),
        ("Debug", "syscall", None, "priority"),
        ("Unheard-of", "syscall", Lane.ROUTINE, ""),
        ("Debug", "internal", Lane.URGENT, ""),
    ],
)
def test_priority_decides_the_lane_and_falco_about_itself_is_never_filtered(
    priority: str, source: str, lane: Lane | None, filtered: str
) -> None:
    line = alert(priority=priority, source=source)
    result = process(line, line, policy=Policy(minimum_priority="notice"))

    assert [name for name, span in result.spans.items() for _ in range(len(span))] == ([lane, lane] if lane else [])
    assert result.filtered == ({filtered: 2} if filtered else {})
    assert [(kind.rule, seen) for kind, seen in result.seen] == [("R", 2)]
    assert result.notices == ([line, line] if source == "internal" else [])


def test_rules_may_be_dropped_by_glob_but_not_falco_s_own() -> None:
    policy = Policy(drop_rules=("Read *", "Falco internal*"))
    result = process(
        alert(rule="Read file"),
        alert(rule="Write file"),
        alert(rule="Falco internal: x", source="internal"),
        policy=policy,
    )

    assert result.filtered == {"rule": 1}
    assert [len(result.spans[lane]) for lane in (Lane.ROUTINE, Lane.URGENT)] == [1, 1]


def test_pods_not_known_yet_are_named_and_their_alerts_wait() -> None:
    waiting = alert(output_fields={"k8s.pod.name": "unknown", "k8s.ns.name": "a"})
    result = process(alert(), waiting, waiting)

    [(key, records)] = result.unknown.items()
    assert key == PodKey("a", "unknown", None, None)
    assert records.payloads == [waiting, waiting]
    assert len(result.spans[Lane.ROUTINE]) == 1
    assert [seen for _, seen in result.seen] == [1]


def test_an_alert_about_the_host_gets_no_pod() -> None:
    line = alert(output_fields={"container.id": "host", "k8s.pod.name": None})
    result = process(line, line)

    assert all("kubernetes" not in event for event in events(result, Lane.ROUTINE))
    assert result.enriched == {"host": 2}


def test_keys_that_are_there_already_are_left_alone_and_ours_get_other_names() -> None:
    line = alert(kubernetes={"a": 1}, falcowatch="theirs")

    (event,) = events(process(line), Lane.ROUTINE)

    assert (event["kubernetes"], event["falcowatch"]) == ({"a": 1}, "theirs")
    assert event["falcowatch_kubernetes"] == {"pod_name": "nginx"}
    assert event["falcowatch_"] == {"id": "f00:0", "node": "node-1", "cluster": "here"}


def test_an_alert_without_a_time_takes_the_runtime_s() -> None:
    result = process(alert(time=None), alert(time="yesterday"))

    assert result.spans[Lane.ROUTINE].timestamps == [STAMP_MS, STAMP_MS]


def test_what_was_settled_before_a_restart_is_counted_and_not_sent_again() -> None:
    records = records_of(alert(), alert())
    result = Processor(Policy(), node="n").process(
        records, file="f", line_format=Cri(), now_ms=NOW_MS, find=find, settled=frozenset(records.offsets[1:])
    )

    assert result.filtered == {"settled": 1}
    assert result.spans[Lane.ROUTINE].offsets == [0]


def test_a_record_over_the_limit_is_shrunk_valid_and_urgent_when_only_its_head_is_known() -> None:
    mark = Mark(size=5_000_000, digest="d" * 64)
    result = process(odd=Odd(b'{"rule":"R","priority":"Debug"', 77, STAMP + b" stdout F {", mark))

    (event,) = events(result, Lane.URGENT)
    assert event["truncated"] == {"size": 5_000_000, "sha256": "d" * 64}
    assert result.oversized[0].size == 5_000_000


def test_a_record_whose_last_part_never_came_says_so() -> None:
    odd = Odd(alert(), 9, STAMP + b" stdout P {", Mark(incomplete=True, origin=("before", 500)))

    (event,) = events(process(odd=odd), Lane.ROUTINE)

    assert event["falcowatch"] == {"id": "before:500", "node": "node-1", "cluster": "here", "incomplete": True}


@pytest.mark.parametrize("fields", [{"proc.cmdline": "x" * LARGEST_MESSAGE_BYTES}, {"a": ["b" * 20] * 60_000}])
def test_an_alert_over_cloudwatch_s_limit_becomes_a_smaller_one_and_its_bytes_are_kept(
    fields: dict[str, object],
) -> None:
    line = alert(output_fields=fields)
    result = process(alert(), line)

    _, event = events(result, Lane.ROUTINE)
    assert event["truncated"] == {"size": len(line), "sha256": sha256(line).hexdigest()}
    assert [(kept.payload, kept.digest) for kept in result.oversized] == [(line, sha256(line).hexdigest())]


def test_text_over_cloudwatch_s_limit_likewise() -> None:
    line = b"x" * (LARGEST_MESSAGE_BYTES + 1)
    result = process(line)

    assert events(result, Lane.OTHER)[0]["truncated"] == {
        "size": len(orjson.dumps({"log": line.decode(), "stream": "stdout", "time": STAMP.decode()})),
        "sha256": result.oversized[0].digest,
    }


@pytest.mark.parametrize("known", [True, False])
def test_invalid_utf8_that_grows_over_the_limit_when_it_is_replaced_is_shrunk_too(known: bool) -> None:
    bad = alert(output_fields={"container.id": "host", "proc.cmdline": "@"}, rule="R" if known else "Unmet").replace(
        b"@", b"\xff" * 600_000
    )

    result = process(alert(output_fields={"container.id": "host"}), bad)

    sizes = [size for span in result.spans.values() for size in span.sizes]
    assert len(sizes) == 2
    assert max(sizes) <= LARGEST_MESSAGE_BYTES
    assert [kept.payload for kept in result.oversized] == [bad]


def test_a_pod_with_more_annotations_than_fit_beside_an_alert_does_not_keep_it_from_shipping() -> None:
    plain = b',"kubernetes":{"annotations":"' + b"x" * LARGEST_MESSAGE_BYTES + b'"}'
    fat = Fragment(plain, escaped(plain.decode()), "hit")

    result = Processor(Policy(), node="n").process(
        records_of(alert(), alert()), file="f", line_format=Cri(), now_ms=NOW_MS, find=lambda key, time_ms: fat
    )

    assert all(size <= LARGEST_MESSAGE_BYTES for size in result.spans[Lane.ROUTINE].sizes)
    assert [event["rule"] for event in events(result, Lane.ROUTINE)] == ["R", "R"]


def test_more_kinds_than_falco_ever_has_are_forgotten_not_kept() -> None:
    processor = Processor(Policy(), node="n")
    payloads = [alert(rule=str(number)) for number in range(MOST_KINDS + 10)]

    processor.process(records_of(*payloads), file="f", line_format=Plain(), now_ms=NOW_MS, find=find)

    assert len(processor._kinds) <= MOST_KINDS


def carefully(records: Records, policy: Policy) -> ProcessingResult:
    """The same pass with every record on the careful path."""
    processor = Processor(policy, node="node-1", cluster="here")
    out = processor.process(Records(), file="f00", line_format=Cri(), now_ms=NOW_MS, find=find)
    one_by_one = SlowPath(processor, out, "f00", Cri(), NOW_MS, find, True)
    for payload, offset, line in zip(records.payloads, records.offsets, records.lines, strict=True):
        one_by_one.add(payload, offset, line)
    out.seen = [(kind, kind.seen) for kind in processor._kinds.values() if kind.seen]
    return out


def facts(result: ProcessingResult) -> object:
    return (
        {lane: (span.timestamps, span.messages, span.sizes, span.offsets) for lane, span in result.spans.items()},
        {(kind.priority, kind.source, kind.rule): seen for kind, seen in result.seen},
        +result.filtered, +result.enriched, result.unknown, result.notices, result.oversized,
    )  # fmt: skip


real_lines = [line for path in CAPTURED for line in path.read_bytes().split(b"\n")[:4] if line]
odd_values = st.sampled_from([None, "", "<NA>", "host", "nginx", "unknown", 5, "Ü\u2028"])
made_up = st.builds(
    lambda **changes: alert(**changes),
    priority=st.sampled_from(["Critical", "Notice", "Debug", "odd"]),
    source=st.sampled_from(["syscall", "internal", None]),
    rule=st.sampled_from(["R", "Read x"]),
    time=st.sampled_from(["2026-11-23T07:53:51.905525426Z", "", "never", None]),
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


@given(payloads=st.lists(hostile, max_size=12), notice=st.booleans(), met=st.booleans())
@settings(deadline=None, max_examples=300)
def test_the_fast_pass_agrees_with_the_careful_one_and_the_books_balance(
    payloads: list[bytes], notice: bool, met: bool
) -> None:
    policy = Policy(minimum_priority="notice" if notice else "debug", drop_rules=("Read*",))
    records = records_of(*payloads)

    result = process(*payloads, policy=policy, met=met)

    assert facts(result) == facts(carefully(records, policy))
    waiting = sum(map(len, result.unknown.values()))
    assert sum(map(len, result.spans.values())) + result.filtered.total() + waiting == len(payloads)
    for span in result.spans.values():
        for message, size in zip(span.messages, span.sizes, strict=True):
            assert len(message.encode()) == size <= LARGEST_MESSAGE_BYTES
            json.loads(message)
