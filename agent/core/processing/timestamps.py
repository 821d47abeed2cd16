"""Timestamps of Falco and of container runtimes, as milliseconds since 1970.

The form is `2026-11-23T07:53:51.905525426Z`, or the same with fewer decimals or with an offset such as `+00:00`.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from typing import Final

_THOUSANDTHS: Final = {f".{number:03}": number for number in range(1000)}
"""The first three decimals of a second. A lookup is faster than parsing."""

_TO_THE_MILLISECOND: Final = slice(len("2026-11-23T07:53:51.905"))

_MOST_KEPT: Final = 4096


class TimestampParser:
    """Remembers the last timestamps, because many alerts of a flood are of the same second or millisecond."""

    __slots__ = ("_hours", "_milliseconds", "_seconds")

    def __init__(self) -> None:
        self._seconds: dict[str, int] = {}
        self._milliseconds: dict[str, int] = {}
        self._hours: dict[tuple[bytes, str], int | None] = {}
        """By hour and zone."""

    def parse_many(self, stamps: Sequence[str]) -> list[int | None]:
        """None for each text that is not a timestamp."""
        known, parse, head = self._milliseconds.get, self.parse, _TO_THE_MILLISECOND
        return [known(stamp[head]) or parse(stamp) if stamp[-1:] == "Z" else parse(stamp) for stamp in stamps]

    def parse(self, stamp: str) -> int | None:
        """None for a text that is not a timestamp."""
        try:
            parsed = self.milliseconds(stamp)
        except (ValueError, IndexError):
            return None
        if stamp[-1] == "Z" and stamp[19:23] in _THOUSANDTHS:
            if len(self._milliseconds) > _MOST_KEPT:
                self._milliseconds.clear()
            self._milliseconds[stamp[_TO_THE_MILLISECOND]] = parsed
        return parsed

    def parse_hour(self, hour: bytes, stamp: str) -> int | None:
        """The beginning of an hour such as `2026-11-23T07`, in the zone of `stamp`. None if one of them is none."""
        if self.parse(stamp) is None:
            return None
        key = (hour, stamp[19:].lstrip(".0123456789"))
        if key not in self._hours:
            if len(self._hours) > _MOST_KEPT:
                self._hours.clear()
            self._hours[key] = self.parse(f"{hour.decode(errors='replace')}:00:00{key[1]}")
        return self._hours[key]

    def milliseconds(self, stamp: str) -> int:
        """Raises ValueError for a text that is not a timestamp, and IndexError for an empty one."""
        second = stamp[:19]
        base = self._seconds.get(second)
        if base is None:
            base = self._learn(second)
        if stamp[-1] == "Z" and (thousandths := _THOUSANDTHS.get(stamp[19:23])) is not None:
            return base + thousandths
        return base + _fraction(stamp) - _zone(stamp)

    def _learn(self, second: str) -> int:
        if len(self._seconds) > _MOST_KEPT:
            self._seconds.clear()
        base = self._seconds[second] = _whole_second(second)
        return base


def _whole_second(text: str) -> int:
    if len(text) != 19 or text[4] + text[7] + text[10] + text[13] + text[16] != "--T::":
        raise ValueError(f"not a timestamp: {text!r}")
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"not a timestamp: {text!r}")
    year, month, day, hour, minute, second = map(int, parts)
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError(f"not a timestamp: {text!r}")
    return calendar.timegm((year, month, day, hour, minute, second)) * 1000


def _fraction(stamp: str) -> int:
    if stamp[19:20] != ".":
        return 0
    digits = stamp[20:].partition("Z")[0].partition("+")[0].partition("-")[0]
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"not a timestamp: {stamp!r}")
    return int(digits[:3].ljust(3, "0"))


def _zone(stamp: str) -> int:
    """By how many milliseconds the stamp's zone is ahead of UTC."""
    zone = stamp[19:].lstrip(".0123456789")
    if zone in ("Z", ""):
        return 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":" or not (zone[1:3] + zone[4:]).isdigit():
        raise ValueError(f"not a timestamp: {stamp!r}")
    minutes = int(zone[1:3]) * 60 + int(zone[4:])
    return minutes * 60_000 * (1 if zone[0] == "+" else -1)
