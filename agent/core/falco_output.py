"""What the beginning and the end of a Falco log show: JSON or text, Falco's version, a test of the chart. Pure.

Falco prints text when `json_output` is off: `07:53:51.905525426: Critical …`, or with an ISO 8601 time
(falco_formats.cpp, 0.40 to 0.44). Its banner and its messages about itself are text in both cases, so only an alert
shows the format.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from agent.core.priorities import PRIORITIES
from agent.core.reading.line_formats import recognise

Format = Literal["json", "text", ""]
"""Empty: no alert was seen."""

LOOKED_AT_BYTES: Final = 16 * 1024
"""Bytes to look at, at the beginning and at the end of a log. An alert with its pod fields has about 1 KB."""

HELM_TEST_RULE: Final = "Falcowatch helm test"
"""The rule of the alert that the chart's test prints as its first line (helm/falcowatch/files/helm_test.py)."""

_CLOCK: Final = r"\d\d:\d\d:\d\d\.\d{9}"
_TEXT_ALERT: Final = re.compile(
    rf"(?:{_CLOCK}|\d{{4}}-\d\d-\d\dT{_CLOCK}[+-]\d\d:?\d\d): (?:{'|'.join(PRIORITIES)}) ".encode(), re.IGNORECASE
)
_JSON_ALERT: Final = re.compile(rb'\{.*"(?:rule|priority|output)"\s*:', re.DOTALL)
_HELM_TEST: Final = re.compile(rb'\{.*"rule"\s*:\s*"' + HELM_TEST_RULE.encode() + b'"')
_VERSION: Final = re.compile(rb'(?:Falco version: |falco\.version\\?":\\?")([0-9][-+.0-9A-Za-z]{0,63})')


class Output(NamedTuple):
    """What is known of one log."""

    format: Format = ""
    """Of the last alert."""
    version: str = ""
    """Empty: Falco has not printed its version."""
    is_helm_test: bool = False


def output_of(head: bytes, end: bytes) -> Output:
    """`head`: the first bytes of the log. `end`: its last bytes, which begin anywhere in a line.

    Both are the whole log if it is short.
    """
    line_format = recognise(head)
    payloads = [entry[1] for line in _whole_lines(head, end) if (entry := line_format.text(line)) is not None]
    first = line_format.text(head.partition(b"\n")[0])
    versions = _VERSION.findall(head) + _VERSION.findall(end)
    return Output(
        next((found for payload in reversed(payloads) if (found := _format_of(payload))), ""),
        versions[-1].decode() if versions else "",
        first is not None and _HELM_TEST.match(first[1]) is not None,
    )


def _whole_lines(head: bytes, end: bytes) -> list[bytes]:
    lines = end.split(b"\n")
    if not head.startswith(end):
        del lines[0]  # its beginning is missing
    return [line for line in lines if line]


def _format_of(payload: bytes) -> Format:
    if _JSON_ALERT.match(payload):
        return "json"
    return "text" if _TEXT_ALERT.match(payload) else ""
