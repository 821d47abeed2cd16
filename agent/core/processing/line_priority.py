"""The priority of a line that is not an alert in JSON but comes from one.

Falco prints text if `json_output` is off: `07:53:51.905525426: Critical …`, or with an ISO 8601 time. A line of JSON
may be damaged: text in front of it, `NaN`, a lone surrogate, a missing end. Such a line ships wrapped, and its priority
still decides the lane.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agent.core.priorities import PRIORITIES, SEVERITY

_NAMES: Final = "|".join((*PRIORITIES, "info"))

_CLOCK: Final = r"\d\d:\d\d:\d\d(?:\.\d{1,9})?"

_TEXT: Final = re.compile(
    rf"(?:{_CLOCK}|(\d{{4}}-\d\d-\d\dT{_CLOCK})([+-]\d\d):?(\d\d)): ({_NAMES}) ".encode(), re.IGNORECASE
)

_PRIORITY: Final = re.compile(rb'(?<!\\)"priority"\s*:\s*"([a-z]+)"', re.IGNORECASE)
"""A key, and not a part of a string: the quotes inside a string are escaped."""

_INTERNAL: Final = re.compile(rb'(?<!\\)"(?:source"\s*:\s*"internal"|rule"\s*:\s*"Falco internal:)')


class TextAlert(NamedTuple):
    """An alert that Falco printed as text."""

    priority: str
    time: str
    """In ISO 8601 if the text has a date, otherwise empty."""


def text_alert(payload: bytes) -> TextAlert | None:
    """None for a line that is not an alert in Falco's text format."""
    match = _TEXT.match(payload)
    if match is None:
        return None
    time = f"{match[1].decode()}{match[2].decode()}:{match[3].decode()}" if match[1] else ""
    return TextAlert(match[4].decode(), time)


def stated_priority(payload: bytes) -> str | None:
    """The most urgent priority that a damaged line states; None if it states none.

    Falco's messages about itself are as urgent as can be.
    """
    if _INTERNAL.search(payload):
        return PRIORITIES[0]
    stated = [found for text in _PRIORITY.findall(payload) if (found := text.decode()).lower() in SEVERITY]
    return min(stated, key=lambda name: SEVERITY[name.lower()], default=None)
