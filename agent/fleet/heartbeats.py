"""Reads heartbeats out of events. An event is input: a wrong type or a missing field is no reason to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

HEARTBEAT_RULE: Final = "Falcowatch: heartbeat"
SOURCE: Final = "falcowatch"
USUAL_INTERVAL_SECONDS: Final = 300.0
"""The default of `heartbeat_seconds`: versions below 0.2 do not write it into the heartbeat."""

COUNTS: Final = ("read", "shipped", "filtered", "rejected")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The report of one node about itself at one moment. Counts are totals since `started_ms`."""

    node: str
    time_ms: int
    interval_seconds: float = USUAL_INTERVAL_SECONDS
    version: str = ""
    falco_state: str = ""
    falco_versions: tuple[str, ...] = ()
    lag_seconds: float = 0.0
    lag_bytes: int = 0
    unacknowledged_seconds: float = 0.0
    read: int = 0
    shipped: int = 0
    filtered: int = 0
    rejected: int = 0
    gaps: int = 0
    syscall_drops: int = 0
    defects: int = 0
    warnings: tuple[str, ...] = ()
    settings: str = ""
    """The digest of the settings that filter, from the seal. Empty: the heartbeat is no seal."""
    started_ms: int = 0
    """0: not known."""
    leaving: bool = False
    """The agent said goodbye: it ended in an orderly way."""


def heartbeat_of(message: str, time_ms: int) -> Heartbeat | None:
    """None if the event is no heartbeat of an agent."""
    try:
        event = orjson.loads(message)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("rule") != HEARTBEAT_RULE or event.get("source") != SOURCE:
        return None
    identity, fields, seal = _object(event, "falcowatch"), _object(event, "output_fields"), _object(event, "seal")
    node = _text(identity, "node")
    if not node:
        return None
    return Heartbeat(
        node=node,
        time_ms=time_ms,
        interval_seconds=_number(fields, "heartbeat.seconds") or USUAL_INTERVAL_SECONDS,
        version=_text(fields, "falcowatch.version"),
        falco_state=_text(fields, "falco.state"),
        falco_versions=_texts(fields, "falco.versions"),
        lag_seconds=_number(fields, "lag.seconds"),
        lag_bytes=int(_number(fields, "lag.bytes")),
        unacknowledged_seconds=_number(fields, "unacknowledged.seconds"),
        gaps=int(_number(fields, "gap.count")),
        syscall_drops=int(_number(fields, "falco.syscall_drops")),
        defects=sum(int(_number(fields, key)) for key in fields if key.startswith("defects.")),
        warnings=_texts(fields, "warnings"),
        settings=_text(seal, "settings"),
        started_ms=int(_number(seal, "started")),
        leaving=seal.get("leaving") is True,
        **{name: int(_number(fields, f"books.{name}")) for name in COUNTS},
    )


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""


def _texts(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    inner = value.get(key)
    return tuple(item for item in inner if isinstance(item, str)) if isinstance(inner, list) else ()


def _number(value: Mapping[str, Any], key: str) -> float:
    """Never negative, never infinite."""
    inner = value.get(key)
    if isinstance(inner, bool) or not isinstance(inner, int | float) or not 0 <= inner < 2**63:
        return 0
    return inner
