"""Where each record goes: its lane, its bytes, its id, or the reason for which it is not shipped."""

import json
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from agent.core.batching.limits import LARGEST_MESSAGE_BYTES
from agent.core.batching.span import escaped
from agent.core.processing import processor as processor_module
from agent.core.processing import slow_path
from agent.core.processing.event_time import HOUR_MS
from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.processing.timestamps import TimestampParser
from agent.core.processing.truncate import DEEPEST
from agent.core.reading.line_formats import Cri
from agent.core.reading.records import Mark, Records, UnusualRecord
from agent.core.values import Fragment, Lane, PodKey
from tests.core.processing.chunks import (
    CASE_STAMP_MS,
    NOW_MS,
    STAMP,
    STAMP_MS,
    alert,
    events,
    find,
    process,
    process_case,
    records_of,
)

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


def test_the_billed_bytes_of_each_rule_are_those_of_its_events() -> None:
    lines = [alert(rule=rule, output="x" * size) for size in (1, 50, 3000) for rule in ("A", "B", "A")]
    learned = Processor(Policy(), node="n")

    # The first chunk takes the slow path, because its kinds are not known yet. The others take the fast path.
    for chosen in (lines, lines, lines[:1]):
        records = records_of(*chosen)
        result = learned.process(records, file="f", line_format=Cri(), now_ms=NOW_MS, find=find)
        span = result.spans[Lane.ROUTINE]
        expected: Counter[str] = Counter()
        for message, size in zip(span.messages, span.sizes, strict=True):
            expected[orjson.loads(message)["rule"]] += size + 26

        assert {kind.rule: size for kind, size in result.billed_bytes.items()} == expected


def test_an_alert_that_waits_for_its_pod_is_not_billed_yet() -> None:
    waiting = alert(output_fields={"k8s.pod.name": "unknown", "k8s.ns.name": "a"})

    assert process(waiting).billed_bytes == {}


def test_the_result_names_pods_that_are_not_known_yet() -> None:
    waiting = alert(output_fields={"k8s.pod.name": "unknown", "k8s.ns.name": "a"})
    result = process(alert(), waiting, waiting)

    [(key, records)] = result.unknown.items()
    assert key == PodKey("a", "unknown", None, None)
    assert records.payloads == [waiting, waiting]
    assert sum(result.seen.values()) == 1
    assert len(result.spans[Lane.ROUTINE]) == 1


def test_an_alert_about_the_host_gets_no_pod() -> None:
    line = alert(output_fields={"container.id": "host", "k8s.pod.name": None})
    result = process(line, line)

    assert all("kubernetes" not in event for event in events(result, Lane.ROUTINE))
    assert result.enriched == {"host": 2}


@pytest.mark.parametrize(("priority", "lane"), [("Notice", Lane.ROUTINE), ("Critical", Lane.URGENT)])
def test_an_alert_with_reserved_keys_ships_wrapped_and_marked_as_forged(priority: str, lane: Lane) -> None:
    line = alert(kubernetes={"a": 1}, falcowatch={"id": "f00:7"}, source="falcowatch", priority=priority)

    (event,) = events(process(alert(), line), lane)[-1:]

    assert event == {
        "log": line.decode(),
        "stream": "stdout",
        "time": "2026-11-23T07:53:51.905525426Z",
        "falcowatch": {
            "id": f"f00:{len(alert()) + len(STAMP) + 11}",
            "node": "node-1",
            "cluster": "here",
            "forged": ["falcowatch", "kubernetes", "source"],
        },
    }


def test_a_forged_key_in_an_alert_of_a_known_kind_is_found() -> None:
    forged = alert().replace(b'"source":', b'"source":"falcowatch","source":')

    result = process(alert(), forged)

    assert [event.get("rule") for event in events(result, Lane.ROUTINE)] == ["R", None]
    assert events(result, Lane.ROUTINE)[1]["falcowatch"]["forged"] == ["source"]


def test_reserved_names_inside_an_alert_s_fields_are_not_forged() -> None:
    line = alert(output_fields={"container.id": "host", "proc.name": "falcowatch", "falcowatch": "x", "kubernetes": 1})

    (event,) = events(process(line), Lane.ROUTINE)

    assert event["output_fields"]["proc.name"] == "falcowatch"


def test_the_captured_forgeries_ship_wrapped() -> None:
    result = process_case("reserved-keys.cri.log")

    shipped = [event for lane in Lane for event in events(result, lane)]
    assert shipped
    assert all(event["falcowatch"]["forged"] for event in shipped)
    assert not any({"source", "rule", "kubernetes"} & event.keys() for event in shipped)


def test_text_that_falco_prints_ships_wrapped_in_the_lane_of_its_priority() -> None:
    result = process_case("text-output.cri.log", Policy(ship_other_lines=False))

    assert result.text_alerts == 3
    (urgent,) = events(result, Lane.URGENT)
    assert urgent["priority"] == "Critical"
    assert urgent["output"].startswith("03:20:01.123456789: Critical Sensitive file")
    assert urgent["time"] == "2026-11-24T06:00:00.000999927Z"
    assert [event["priority"] for event in events(result, Lane.ROUTINE)] == ["Warning", "Notice"]


def test_text_alerts_below_the_minimum_priority_are_filtered() -> None:
    assert process_case("text-output.cri.log", Policy(minimum_priority="warning")).filtered == {"priority": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"glued " + alert(priority="Critical"),
        alert(priority="Critical").replace(b'"rule"', b'"x":NaN,"rule"'),
        alert(priority="Critical").replace(b'"rule"', rb'"x":"\ud800","rule"'),
        alert(priority="Critical")[:-9],
        alert(priority="Debug", source="internal")[:-9],
        b'x{"priority":"Debug","priority" : "Alert"}',
    ],
)
def test_a_damaged_alert_ships_wrapped_in_the_lane_of_its_priority(line: bytes) -> None:
    (event,) = events(process(line), Lane.URGENT)

    assert event["log"] == line.decode()
    assert event["priority"] in ("Critical", "Alert", "emergency")


def test_a_priority_inside_a_string_does_not_decide_the_lane() -> None:
    line = b'glued {"output":"\\"priority\\":\\"Critical\\"","priority":"Notice"}'

    assert len(process(line).spans[Lane.ROUTINE]) == 1


def test_messages_of_an_old_falco_about_itself_have_no_source_and_are_internal() -> None:
    result = process_case("internal-without-source.cri.log", Policy(minimum_priority="error", drop_rules=("*",)))

    assert len(result.spans[Lane.URGENT]) == 1
    assert [kind.source for kind in result.seen] == ["internal"]
    assert len(result.notices) == 1


def test_a_deeply_nested_alert_over_the_limit_ships_smaller() -> None:
    result = process_case("deep-oversized.cri.log.gz")

    shipped = [event for lane in Lane for event in events(result, lane)]
    assert len(shipped) == 3
    assert len(result.oversized) == 1
    assert not result.defects
    (smaller,) = [event for event in shipped if "truncated" in event]
    assert orjson.dumps(smaller).count(b"{") < DEEPEST + 5 < result.oversized[0].payload.count(b"{")
    assert len(orjson.dumps(smaller)) < LARGEST_MESSAGE_BYTES < len(result.oversized[0].payload)


def test_alerts_with_a_wrong_clock_ship_under_the_runtime_s_stamp() -> None:
    result = process_case("wrong-clock.cri.log")

    shipped = [
        (time_ms, json.loads(message))
        for span in result.spans.values()
        for time_ms, message in zip(span.timestamps, span.messages, strict=True)
    ]
    assert len(shipped) == 5
    for time_ms, event in shipped:
        stated = TimestampParser().parse(event["time"])
        assert abs(time_ms - CASE_STAMP_MS) < 60_000
        assert stated is not None
        assert (abs(stated - time_ms) > HOUR_MS) == ("time" in event["falcowatch"])


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("days", "adjusted"), [(13.9, False), (14.1, True), (-0.05, False), (-0.1, True)])
def test_events_outside_cloudwatch_s_window_ship_under_the_time_of_delivery(
    days: float, adjusted: bool, warm: bool
) -> None:
    time_ms = int(NOW_MS - days * 86_400_000)
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    line = alert(time=stamp)

    result = process(line, met=warm)

    (event,) = events(result, Lane.ROUTINE)
    assert result.spans[Lane.ROUTINE].timestamps == [NOW_MS if adjusted else time_ms // 1000 * 1000]
    assert ("time" in event["falcowatch"]) == adjusted
    assert event["time"] == stamp


def test_the_window_is_as_long_as_the_retention_and_may_be_left_to_cloudwatch() -> None:
    old = alert(time="2026-11-22T07:53:51.905525426Z")
    time_ms = 1795334031905

    short = process(old, policy=Policy(retention_days=1)).spans[Lane.ROUTINE].timestamps
    rejecting = process(old, policy=Policy(adjusts_times=False, retention_days=1)).spans[Lane.ROUTINE].timestamps

    assert (short, rejecting) == ([NOW_MS], [time_ms])


@pytest.mark.parametrize("met", [True, False])
def test_a_record_that_raises_is_a_defect_and_the_others_ship(monkeypatch: pytest.MonkeyPatch, met: bool) -> None:
    bad = alert(kubernetes="x", rule="bad")
    monkeypatch.setattr(slow_path, "reserved_in", lambda payload: 1 // 0 if b"bad" in payload else [])

    result = process(alert(), bad, b"text", met=met)

    assert [event["rule"] for event in events(result, Lane.ROUTINE)] == ["R"]
    assert [event["log"] for event in events(result, Lane.OTHER)] == ["text"]
    (event,) = events(result, Lane.URGENT)
    assert (event["log"], event["falcowatch"]["defect"]) == (bad.decode(), "ZeroDivisionError")
    (defect,) = result.defects
    assert (defect.payload, defect.offset) == (bad, result.spans[Lane.URGENT].offsets[0])
    assert defect.error.__traceback__ is not None


@pytest.mark.parametrize("step", ["decode_alerts", "FastPath", "SlowPath"])
def test_a_defect_of_any_step_leaves_every_record_shipped(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    original = getattr(processor_module, step)
    calls = iter(range(100))

    def fails_once(*arguments: object) -> object:
        if next(calls) == 0:
            raise RecursionError
        return original(*arguments)

    monkeypatch.setattr(processor_module, step, fails_once)

    result = process(alert(), b"text", alert(priority="Critical"), met=False)

    assert [len(result.spans[lane]) for lane in Lane] == [1, 1, 1]
    assert not result.defects


def test_enrichment_that_raises_costs_alerts_their_pod_and_nothing_else() -> None:
    def fails(key: PodKey, time_ms: int) -> Fragment | None:
        raise KeyError(key)

    result = Processor(Policy(), node="n").process(
        records_of(alert(), alert()), file="f", line_format=Cri(), now_ms=NOW_MS, find=fails
    )

    assert [event["rule"] for event in events(result, Lane.ROUTINE)] == ["R", "R"]
    assert isinstance(result.enrichment_error, KeyError)
    assert not result.defects


def test_a_line_that_raised_while_it_was_read_ships_as_a_defect() -> None:
    broken = UnusualRecord(b"line", 9, b"line\n", Mark(defect=ZeroDivisionError()))

    (event,) = events(process(unusual=broken), Lane.URGENT)

    assert event["falcowatch"]["defect"] == "ZeroDivisionError"


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
        "sha256": sha256(line).hexdigest(),
    }


@pytest.mark.parametrize(
    "text", [b'{"rule":"R","priority":"Notice","output":"' + b"x" * LARGEST_MESSAGE_BYTES + b'"}', b"x" * 1_100_000]
)
def test_a_shortened_event_states_the_digest_of_the_record_s_text(text: bytes) -> None:
    result = process(text.replace(b"xx", b"\xff\xfe", 1) + b" \t\n")

    (event,) = [event for lane in Lane for event in events(result, lane)]
    (size,) = [len(message.encode()) for span in result.spans.values() for message in span.messages]
    assert size <= LARGEST_MESSAGE_BYTES
    written = text.replace(b"xx", "\ufffd\ufffd".encode(), 1)
    assert event["truncated"]["sha256"] == sha256(written).hexdigest() == result.oversized[0].digest


@pytest.mark.parametrize("line", [b"x" * 65_537 + b"\n", b"\xff" * 30_000])
def test_the_event_of_a_long_record_with_a_defect_states_the_digest_of_its_text(line: bytes) -> None:
    result = process(unusual=UnusualRecord(line, 9, line, Mark(defect=ZeroDivisionError())))

    (event,) = events(result, Lane.URGENT)
    text = line.rstrip().replace(b"\xff", "\ufffd".encode())
    assert event["falcowatch"]["sha256"] == sha256(text).hexdigest()
    assert event["size"] == len(text)


def test_the_event_of_a_record_with_a_defect_states_no_digest_while_its_text_is_in_the_event() -> None:
    line = b"x" * 65_536 + b" " * 200_000
    result = process(unusual=UnusualRecord(line, 9, line, Mark(defect=ZeroDivisionError())))

    (event,) = events(result, Lane.URGENT)
    assert "sha256" not in event["falcowatch"]
    assert event["log"].rstrip() == "x" * 65_536
    assert event["size"] == 65_536


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


def test_an_alert_that_fits_without_its_pod_is_not_shortened() -> None:
    plain = b',"kubernetes":{"annotations":"' + b"x" * LARGEST_MESSAGE_BYTES + b'"}'
    fat = Fragment(plain, escaped(plain.decode()), "hit")

    result = Processor(Policy(), node="n").process(
        records_of(alert()), file="f", line_format=Cri(), now_ms=NOW_MS, find=lambda key, time_ms: fat
    )

    (event,) = events(result, Lane.ROUTINE)
    assert "truncated" not in event
    assert not result.oversized
