"""Chunks that few files have: other formats, settled records, a failed lookup, text with a date."""

from __future__ import annotations

import orjson
import pytest

from agent.core.processing.kinds import Policy
from agent.core.processing.processor import Processor
from agent.core.reading.line_formats import PLAIN, Cri, Docker
from agent.core.reading.records import Mark, Records, add_record
from agent.core.values import Fragment, Lane, PodKey
from tests.core.processing.chunks import NOW_MS, alert, events, find, process, records_of


@pytest.mark.parametrize("line_format", [Docker(), PLAIN])
def test_the_formats_of_docker_and_of_plain_lines_take_the_fast_path_too(line_format) -> None:
    payloads = [alert(time=f"2026-11-23T07:53:51.90552542{number}Z") for number in range(3)]
    records = records_of(*payloads)
    if isinstance(line_format, Docker):
        records.lines = [orjson.dumps({"log": one.decode() + "\n", "time": "2026-11-23T07:53:51Z"}) for one in payloads]
    processor = Processor(Policy(), node="node-1", cluster="here")

    results = [
        processor.process(records, file="f00", line_format=line_format, now_ms=NOW_MS, find=find) for _ in range(2)
    ]

    first, second = (list(result.spans[Lane.ROUTINE].messages) for result in results)
    assert first == second
    assert len(results[1].spans[Lane.ROUTINE].offsets) == 3


def test_an_unusual_record_that_is_settled_is_left_out() -> None:
    records = Records()
    add_record(records, alert(), 5, b"", Mark(incomplete=True))
    add_record(records, alert(), 9, b"", Mark(settled=True))
    processor = Processor(Policy(), node="node-1", cluster="here")

    result = processor.process(records, file="f00", line_format=Cri(), now_ms=NOW_MS, find=find, settled={5})

    assert result.filtered["settled"] == 2
    assert not any(len(span.offsets) for span in result.spans.values())


def test_an_alert_of_an_unknown_pod_waits_also_when_the_lookup_of_another_fails() -> None:
    def find_or_raise(key: PodKey, time_ms: int) -> Fragment | None:
        if key.name == "evil":
            raise ZeroDivisionError
        return None

    payloads = [alert(output_fields={"container.id": "3f2b8a342f11", "k8s.pod.name": name}) for name in ("evil", "new")]
    processor = Processor(Policy(), node="node-1", cluster="here")

    result = processor.process(records_of(*payloads), file="f00", line_format=Cri(), now_ms=NOW_MS, find=find_or_raise)

    assert [key.name for key in result.unknown] == ["new"]
    assert isinstance(result.enrichment_error, ZeroDivisionError)
    assert len(events(result, Lane.ROUTINE)) == 1, "the other alert ships without its pod"


def test_text_that_falco_prints_with_a_date_ships_under_its_time() -> None:
    (event,) = events(process(b"2026-11-23T07:37:03.796250642+0000: Warning A shell"), Lane.ROUTINE)

    assert event["time"] == "2026-11-23T07:37:03.796250642+00:00"
