"""What the ends of a log show: the format of the alerts, the version, a test of the chart."""

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.falco_output import Output, output_of

CAPTURED = Path(__file__).parents[1] / "data/falco"
JSON = (CAPTURED / "0.44.1-cat_shadow.jsonl").read_bytes().splitlines()[0]
BANNER = b"Mon Nov 23 07:53:51 2026: Falco version: 0.44.1 (x86_64)"
TEXT = b"07:53:51.905525426: Warning Sensitive file opened for reading by non-trusted program (file=/etc/shadow)"
ISO = b"2026-11-23T07:53:51.905525426+0000: Notice A shell was spawned"
HELM_TEST = b'{"hostname":"a","output":"x","priority":"Notice","rule":"Falcowatch helm test","source":"syscall"}'


def cri(*payloads: bytes) -> bytes:
    return b"".join(b"2026-11-23T07:53:51.905525426Z stdout F " + payload + b"\n" for payload in payloads)


def docker(*payloads: bytes) -> bytes:
    return b"".join(
        orjson.dumps({"log": payload.decode() + "\n", "stream": "stdout", "time": "2026-11-23T07:53:51Z"}) + b"\n"
        for payload in payloads
    )


def plain(*payloads: bytes) -> bytes:
    return b"\n".join(payloads) + b"\n"


@pytest.mark.parametrize("written", [cri, docker, plain])
@pytest.mark.parametrize(
    ("payloads", "output"),
    [
        ([BANNER, JSON], Output("json", "0.44.1")),
        ([BANNER, TEXT], Output("text", "0.44.1")),
        ([BANNER, ISO], Output("text", "0.44.1")),
        ([JSON, TEXT], Output("text")),
        ([TEXT, JSON], Output("json")),
        ([BANNER], Output("", "0.44.1")),
        ([HELM_TEST, b"acknowledged 0.4 s after it was written"], Output("json", "", True)),
        ([JSON, HELM_TEST], Output("json", "", False)),
        ([b"nothing of Falco"], Output()),
    ],
)
def test_the_output_of_a_short_log(written, payloads: list[bytes], output: Output) -> None:
    log = written(*payloads)

    assert output_of(log, log) == output


@pytest.mark.parametrize("file", sorted(CAPTURED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_captured_alert_is_json(file: Path) -> None:
    log = cri(*file.read_bytes().splitlines())
    if log:
        assert output_of(log, log).format == "json"


def test_a_metrics_snapshot_tells_the_version() -> None:
    for written in (cri, docker):
        log = written((CAPTURED / "0.44.1-metrics-internal.jsonl").read_bytes().splitlines()[0])

        assert output_of(log, log).version == "0.44.1"


def test_the_first_line_of_the_end_is_not_trusted_because_its_beginning_is_missing() -> None:
    head = cri(BANNER)

    assert output_of(head, TEXT + b"\n" + cri(b"x")).format == ""
    assert output_of(head, b"cut off\n" + cri(TEXT)).format == "text"


@given(st.binary(), st.binary())
def test_any_bytes_have_an_output(head: bytes, end: bytes) -> None:
    assert output_of(head, end).format in ("json", "text", "")
