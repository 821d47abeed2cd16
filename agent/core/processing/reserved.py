"""Finds keys and values in an alert that only the agent writes.

The agent appends the top-level keys `kubernetes` and `falcowatch`, and `truncated` to an event that it shortened. Lines
that are no alert ship in a `log`. Its own events have the source `falcowatch` and rules that begin with `Falcowatch:`.
Falco never writes any of these. An alert that has one was forged, so it must not ship as an alert: a saved query, a
metric filter or an auditor would take it for the agent's. Case, escapes such as `\\u0066` and a second key of the same
name make no difference.
"""

from __future__ import annotations

import json
import re
from typing import Final

_KEYS: Final = frozenset({"kubernetes", "falcowatch", "falcowatch_", "falcowatch_kubernetes", "truncated", "log"})

_SUSPICIOUS: Final = re.compile(rb"falcowatch|kubernetes|truncated|\"log\"|\\u00", re.IGNORECASE)
"""An alert without any of these has no reserved key."""


class _Pairs(list[tuple[str, object]]):
    """The keys and values of an object, with those of the same name."""


def reserved_in(payload: bytes) -> list[str]:
    """The reserved top-level keys of the alert, as they are spelled; sorted. Empty for an ordinary alert."""
    if _SUSPICIOUS.search(payload) is None:
        return []
    try:
        pairs: object = json.loads(payload.decode(errors="replace"), object_pairs_hook=_Pairs)
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return ["unreadable"]  # it cannot be searched, so it may not pass
    if not isinstance(pairs, _Pairs):
        return []
    return sorted({key for key, value in pairs if _is_reserved(key.lower().strip(), value)})


def has_reserved_name(rule: str) -> bool:
    """Only the agent's own events have rules with such a name."""
    return rule.lower().lstrip().startswith("falcowatch:")


def _is_reserved(key: str, value: object) -> bool:
    if key in _KEYS:
        return True
    if not isinstance(value, str):
        return False
    return (key == "source" and value.lower().strip() == "falcowatch") or (key == "rule" and has_reserved_name(value))
