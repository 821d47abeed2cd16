"""Formats numbers for people: counts, bytes, durations, times."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(value: float) -> str:
    """12,408,112"""
    return f"{round(value):,}"


def plural(value: int, one: str, many: str = "") -> str:
    """`1 record`, `2 records`, `3 entries`"""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def size(value: float) -> str:
    """`812 B`, `1.4 KiB`, `16 MiB`"""
    units = iter(_BYTE_UNITS)
    unit = next(units)
    while value >= (1024 if unit == "B" else 1023.5) and (larger := next(units, None)):
        value, unit = value / 1024, larger
    if unit == "B" or value >= 9.95:
        return f"{value:,.0f} {unit}"
    return f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `5 h 2 min`, `3 d 4 h`"""
    if seconds == inf:
        return "endless"
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for big, big_name, small, small_name in ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h")):
        if whole < big * (60 if big < 3600 else 24) or big == 86400:
            rest = whole % big // small
            return f"{whole // big:,} {big_name}" + (f" {rest} {small_name}" if rest else "")
    raise AssertionError("the branch for days accepts every number")


def ago(seconds: float) -> str:
    """`just now` or `3 min 20 s ago`"""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def moment(at: float) -> str:
    """`2026-11-23T07:32:16Z`"""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float) -> str:
    """`07:32:16Z`"""
    return moment(at)[11:]


def percent(part: float, whole: float) -> float:
    """From 0 to 100; 0 when `whole` is 0."""
    return min(100.0, 100.0 * part / whole) if whole > 0 else 0.0


def share(part: float, whole: float) -> str:
    """`99.2 %`. Rounds to `0 %` or `100 %` only when that is exact."""
    exact = percent(part, whole)
    if exact in (0.0, 100.0):
        return f"{exact:.0f} %"
    if exact < 0.1:
        return "< 0.1 %"
    if exact > 99.9:
        return "> 99.9 %"
    return f"{exact:.1f} %"
