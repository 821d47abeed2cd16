"""Kinds of alert: everything that depends only on priority, source and rule.

The lane, the filter and the counters of a kind are decided once, when its first alert comes. `Kinds.of` is the place
that decides whether an alert is urgent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from agent.core.priorities import SEVERITY
from agent.core.processing.alert import Alert
from agent.core.values import Lane

MOST_KINDS: Final = 4096
"""Rules are named by Falco's configuration, not by the events it observes. In practice there are a few hundred."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which alerts are urgent, and which records are settled without being shipped."""

    minimum_priority: str = "debug"
    urgent_priority: str = "critical"
    drop_rules: tuple[str, ...] = ()
    ship_other_lines: bool = True
    storm_limit: int = 0
    """How many identical routine alerts ship in a minute, before the rest becomes one group; 0: no limit."""
    storm_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of alert."""

    priority: str
    source: str
    rule: str
    lane: Lane
    filtered: str
    """Why its alerts are not shipped; empty if they are shipped."""
    deduplicated: bool
    """Its alerts are counted, and group beyond a limit."""

    @property
    def takes_fast_path(self) -> bool:
        """Its alerts only need their pod."""
        return not self.filtered and not self.deduplicated and self.source != "internal"


class Kinds:
    """The kinds seen so far, by one policy."""

    def __init__(self, policy: Policy) -> None:
        self._urgent = SEVERITY[policy.urgent_priority]
        self._minimum = SEVERITY[policy.minimum_priority]
        self._drop = [re.compile(translate(glob)) for glob in policy.drop_rules]
        self._deduplicates = policy.storm_limit > 0
        self._kinds: dict[tuple[str, str, str], Kind] = {}

    def of(self, alert: Alert) -> Kind:
        """The alert's kind. Falco's messages about itself are always urgent and never filtered."""
        key = (alert.priority, alert.source, alert.rule)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = self._new(*key)
        return kind

    def _new(self, priority: str, source: str, rule: str) -> Kind:
        severity = SEVERITY.get(priority.lower(), self._minimum)
        internal = source == "internal"
        lane = Lane.URGENT if internal or severity <= self._urgent else Lane.ROUTINE
        filtered = ""
        if not internal and severity > self._minimum:
            filtered = "priority"
        elif not internal and any(glob.match(rule) for glob in self._drop):
            filtered = "rule"
        return Kind(priority, source, rule, lane, filtered, self._deduplicates and lane is Lane.ROUTINE)

    def __len__(self) -> int:
        return len(self._kinds)
