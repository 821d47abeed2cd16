"""Kinds of alert: everything that depends only on priority, source and rule.

The lane, the filter and the counters of a kind are decided once, when its first alert comes. `Kinds.lane` and
`is_internal` decide whether an alert is urgent. Kinds are named by words that others wrote, so they are bounded in
number and in bytes.
"""

from __future__ import annotations

import re
from fnmatch import translate
from hashlib import sha256
from typing import Final

from msgspec import Struct

from agent.core.priorities import SEVERITY, UNKNOWN, rank
from agent.core.processing.alert import Alert
from agent.core.processing.reserved import has_reserved_name
from agent.core.values import Lane

MOST_KINDS: Final = 4096
"""Rules are named by Falco's configuration, not by the events it observes. In practice there are a few hundred."""

LONGEST_NAME: Final = 128
"""Of a priority, a source or a rule in a kind, in characters. Of a longer name the beginning and a digest are kept."""

INTERNAL_RULES: Final = "Falco internal:"
"""The rules of Falco's messages about itself begin with it. Below 0.35 Falco writes no source with them."""


class Policy(Struct, frozen=True):
    """Which alerts are urgent, and which records are settled without being shipped."""

    minimum_priority: str = "debug"
    urgent_priority: str = "critical"
    drop_rules: tuple[str, ...] = ()
    ship_other_lines: bool = True
    storm_limit: int = 0
    """How many identical routine alerts ship in a minute, before the rest becomes one group; 0: no limit."""
    storm_keys: tuple[str, ...] = ()
    adjusts_times: bool = True
    """Events outside the time window of CloudWatch ship under the time of delivery. If not, CloudWatch rejects them."""
    retention_days: int | None = None
    """Of the log group, if it is known: CloudWatch also rejects events that are older."""


class Kind(Struct, frozen=True, eq=False):
    """One kind of alert."""

    priority: str
    source: str
    rule: str
    lane: Lane
    filtered: str
    """Why its alerts are not shipped; empty if they are shipped."""
    deduplicated: bool
    """Its alerts are counted, and group beyond a limit."""
    reserved: bool
    """Its rule has a name of the agent's own events, so its alerts may be forged."""

    @property
    def takes_fast_path(self) -> bool:
        """Its alerts only need their pod."""
        return not (self.filtered or self.deduplicated or self.reserved or self.source == "internal")


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
        key = (_short(alert.priority), _short(alert.source), _short(alert.rule))
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            kind = self._kinds[key] = self._new(*key, full_rule=alert.rule)
        return kind

    def lane(self, priority: str) -> Lane:
        """The lane of a priority. An unknown priority is routine."""
        return Lane.URGENT if rank(priority) <= self._urgent else Lane.ROUTINE

    def is_filtered(self, priority: str) -> bool:
        """The priority is below the configured minimum. An unknown priority is not: nobody chose to drop it."""
        return self._minimum < rank(priority) < UNKNOWN

    def _new(self, priority: str, source: str, rule: str, *, full_rule: str) -> Kind:
        internal = is_internal(source, rule)
        if internal:
            source = "internal"
        lane = Lane.URGENT if internal else self.lane(priority)
        filtered = ""
        if not internal and self.is_filtered(priority):
            filtered = "priority"
        elif not internal and any(glob.match(full_rule) for glob in self._drop):
            filtered = "rule"
        deduplicated = self._deduplicates and lane is Lane.ROUTINE
        return Kind(priority, source, rule, lane, filtered, deduplicated, has_reserved_name(rule))

    def __len__(self) -> int:
        return len(self._kinds)


def is_internal(source: str, rule: str) -> bool:
    """The alert is a message of Falco about itself."""
    return source == "internal" or rule.startswith(INTERNAL_RULES)


def _short(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}…{sha256(name.encode(errors='replace')).hexdigest()[:16]}"
