"""Falco's priorities, in order."""

from __future__ import annotations

from typing import Final

PRIORITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
"""Most urgent first."""

SEVERITY: Final = {name: rank for rank, name in enumerate(PRIORITIES)} | {"info": 6}
"""The rank of each priority, 0 for the most urgent. Falco also accepts `info`."""

UNKNOWN: Final = len(PRIORITIES)
"""The rank of a word that is not a priority of Falco: behind every priority."""


def rank(priority: str) -> int:
    """The rank of a priority as an alert states it, in upper or lower case."""
    return SEVERITY.get(priority.lower(), UNKNOWN)
