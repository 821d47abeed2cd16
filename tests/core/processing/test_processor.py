"""Where each record goes: its lane, its bytes, its id, or the reason for which it is not shipped."""

import json
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.span import escaped
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Mark, Records, UnusualRecord
from agent.core.values import Fragment, Lane, PodKey
from tests.core.processing.chunks import NOW_MS, STAMP, STAMP_MS, alert, events, find, process, records_of

DATA = Path(__file__).parents[2] / "data" / "falco"


CAPTURED = sorted(DATA.glob("*.jsonl"))


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


def test_lines_that_are_not_alerts_are_wrapped_with_stream_and_time() -> None:
    lines = (DATA / "raw" / "0.40.0-hup.stdout").read_bytes().split(b"\n")
    result = process(*lines)

    wrapped = events(result, Lane.OTHER)
    assert wrapped[0] | {"falcowatch": 0} == {
        "log": "Events detected: 1", "stream": "stdout", "time": STAMP.decode(), "falcowatch": 0,
    }  # fmt: skip
    assert set(result.spans[Lane.OTHER].timestamps) == {STAMP_MS}
    assert result.filtered["empty"] == sum(not line.strip() for line in lines)


def test_lines_that_are_not_alerts_may_be_dropped_and_are_counted() -> None:
    result = process(b"text", b"  ", alert(), policy=Policy(ship_other_lines=False))

    assert result.filtered == {"other_line": 1, "empty": 1}
    assert sum(len(span) for span in result.spans.values()) == 1


def test_a_line_of_no_format_is_wrapped_without_stream_and_time() -> None:
    records = Records([b"torn"], [0], [b"torn"])

    result = Processor(Policy(), node="n").process(records, file="f", line_format=Cri(), now_ms=NOW_MS, find=find)

    assert events(result, Lane.OTHER) == [
        {"log": "torn", "stream": "unknown", "falcowatch": {"id": "f:0", "node": "n"}}
    ]
    assert result.spans[Lane.OTHER].timestamps == [NOW_MS]


def test_the_result_names_pods_that_are_not_known_yet() -> None:
    waiting = alert(output_fields={"k8s.pod.name": "unknown", "k8s.ns.name": "a"})
    result = process(alert(), waiting, waiting)

    assert result.unknown == {PodKey("a", "unknown", None, None)}
    assert len(result.spans[Lane.ROUTINE]) == 1


def test_an_alert_about_the_host_gets_no_pod() -> None:
    line = alert(output_fields={"container.id": "host", "k8s.pod.name": None})
    result = process(line, line)

    assert all("kubernetes" not in event for event in events(result, Lane.ROUTINE))
    assert result.enriched == {"host": 2}


def test_existing_keys_stay_and_the_agent_s_keys_get_other_names() -> None:
    line = alert(kubernetes={"a": 1}, falcowatch="theirs")

    (event,) = events(process(line), Lane.ROUTINE)

    assert (event["kubernetes"], event["falcowatch"]) == ({"a": 1}, "theirs")
    assert event["falcowatch_kubernetes"] == {"pod_name": "nginx"}
    assert event["falcowatch_"] == {"id": "f00:0", "node": "node-1", "cluster": "here"}


def test_an_alert_without_a_time_takes_the_runtime_s() -> None:
    result = process(alert(time=None), alert(time="yesterday"))

    assert result.spans[Lane.ROUTINE].timestamps == [STAMP_MS, STAMP_MS]


def test_records_that_were_settled_before_a_restart_are_counted_and_not_sent_again() -> None:
    records = records_of(alert(), alert())
    result = Processor(Policy(), node="n").process(
        records, file="f", line_format=Cri(), now_ms=NOW_MS, find=find, settled=frozenset(records.offsets[1:])
    )

    assert result.filtered == {"settled": 1}
    assert result.spans[Lane.ROUTINE].offsets == [0]


def test_a_record_of_which_only_the_head_is_known_ships_as_a_valid_urgent_event() -> None:
    mark = Mark(size=5_000_000, digest="d" * 64)
    result = process(unusual=UnusualRecord(b'{"rule":"R","priority":"Debug"', 77, STAMP + b" stdout F {", mark))

    (event,) = events(result, Lane.URGENT)
    assert event["truncated"] == {"size": 5_000_000, "sha256": "d" * 64}
    assert result.oversized[0].size == 5_000_000


def test_a_record_whose_last_part_never_came_says_so() -> None:
    odd = UnusualRecord(alert(), 9, STAMP + b" stdout P {", Mark(incomplete=True, origin=("before", 500)))

    (event,) = events(process(unusual=odd), Lane.ROUTINE)

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


def test_a_text_over_cloudwatch_s_limit_becomes_a_smaller_one_too() -> None:
    line = b"x" * (LARGEST_MESSAGE_BYTES + 1)
    result = process(line)

    assert events(result, Lane.OTHER)[0]["truncated"] == {
        "size": len(orjson.dumps({"log": line.decode(), "stream": "stdout", "time": STAMP.decode()})),
        "sha256": result.oversized[0].digest,
    }


@pytest.mark.parametrize("known", [True, False])
def test_invalid_utf8_that_grows_over_the_limit_when_it_is_replaced_is_truncated_too(known: bool) -> None:
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
