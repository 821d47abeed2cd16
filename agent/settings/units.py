"""Sizes and durations as people write them: `16MiB`, `30s`. A plain number stays valid: bytes, or seconds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

SIZE_UNITS: Final = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
"""`16MiB`, `16Mi` as Kubernetes writes it, and the decimal `16MB`. A lone `M` has too many meanings."""

DURATION_UNITS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}

SIZE_PATTERN: Final = r"^ *[0-9]{1,18}(\.[0-9]{1,9})? *([kKmMgGtT][iI]?[bB]|[kKmMgGtT][iI]|[bB])? *$"
DURATION_PATTERN: Final = r"^ *([0-9]{1,18}(\.[0-9]{1,9})? *(ms|s|m|h|d) *){1,5}$|^ *[0-9]{1,18}(\.[0-9]{1,9})? *$"
"""The same rules for the chart's schema. The number of digits is bounded, so that no number takes long to read."""

_SIZE: Final = re.compile(SIZE_PATTERN)
_DURATION: Final = re.compile(DURATION_PATTERN)
_PART: Final = re.compile(r"([0-9.]+) *([a-z]*)")

SIZE: Final = "must be a whole number of bytes, or a size such as 16MiB"
DURATION: Final = "must be a number of seconds, or a duration such as 30s, 5m or 1h30m"


def bytes_of(value: Any) -> Any:
    """The bytes of a size that is text. Other values are returned as they are, for the type itself to check."""
    if not isinstance(value, str) or _is_number(value):
        return value
    if not _SIZE.match(value):
        raise ValueError(SIZE)
    number, unit = _PART.findall(value.lower())[0]
    size = Decimal(number) * SIZE_UNITS[unit or "b"]
    if size != int(size):
        raise ValueError(SIZE)
    return int(size)


def seconds_of(value: Any) -> Any:
    """The seconds of a duration that is text. Other values are returned as they are, for the type itself to check."""
    if not isinstance(value, str) or _is_number(value):
        return value
    if not _DURATION.match(value):
        raise ValueError(DURATION)
    return float(sum(Decimal(number) * DURATION_UNITS[unit or "s"] for number, unit in _PART.findall(value)))


def size_text(value: int) -> str:
    """The size in the largest binary unit that divides it: `16MiB`. Without such a unit the plain number."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def duration_text(value: float) -> str:
    """The duration in the largest unit that divides it: `5m`, `30s`, `500ms`."""
    milliseconds = round(value * 1000)
    if milliseconds / 1000 != value:
        return f"{value:g}"
    if not milliseconds:
        return "0s"
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % factor == 0:
            return f"{milliseconds // factor}{unit}"
    return f"{milliseconds}ms"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# The Annotated types keep `int` and `float` as the type of the value; the schema also allows text.
Size = Annotated[
    int, Field(json_schema_extra={"type": ["integer", "string"], "pattern": SIZE_PATTERN}), BeforeValidator(bytes_of)
]
Duration = Annotated[
    float,
    Field(json_schema_extra={"type": ["number", "string"], "pattern": DURATION_PATTERN}),
    BeforeValidator(seconds_of),
]
