"""Falco's priorities, in order."""

from __future__ import annotations

from typing import Final

PRIORITIES: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
"""Most urgent first."""

SEVERITY: Final = {name: rank for rank, name in enumerate(PRIORITIES)} | {"info": 6}
"""The rank of each priority, 0 for the most urgent. Falco also accepts `info`."""
