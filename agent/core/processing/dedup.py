"""Deduplication: identical alerts beyond a limit in a minute become one group, and one event ships for the group.

Two alerts are identical if they have the same rule, priority and source, and the same values in the configured output
fields. The minute is that of the alerts' own times, so the groups depend on what Falco wrote and not on when it was
read. A group holds the ledger entries of its records, and settles them when CloudWatch has acknowledged its event.
After a crash before that, the records are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

import msgspec

from agent.core.batching.span import Settles
from agent.core.processing.alert import Alert, NotAnAlert
from agent.core.values import PodKey

MINUTE_MS: Final = 60_000

GRACE_MS: Final = 1_000
"""How long a group stays open after its minute, for alerts that Falco writes late. Falco needs some milliseconds."""

MOST_IDS: Final = 20
"""How many ids the event of a group names. Its count covers the others."""

MOST_RECORDS: Final = 100_000
"""A group with this many records ends at once, because it keeps their ledger entries open."""

MOST_WINDOWS: Final = 1024
"""How many kinds of identical alerts are counted at a time. The oldest makes room. An alert not counted ships."""

LARGEST_VALUES_BYTES: Final = 4096
"""Alerts with longer names and values ship one by one, because a group keeps these for a minute."""

Identity = tuple[int, str, str, str, tuple[bytes, ...]]
"""Minute, rule, priority, source, and the values of the configured fields as Falco wrote them."""

_NOTHING: Final = (b"", b"null")


class Group:
    """Identical alerts for which one event ships."""

    __slots__ = ("_held", "_opened_ms", "count", "first_ms", "identity", "ids", "last_ms", "pod")

    def __init__(self, identity: Identity, pod: PodKey | None) -> None:
        self.identity = identity
        self.pod = pod
        """The pod that all of the alerts name; None if there is none, or more than one."""
        self.count = 0
        self.first_ms = self.last_ms = 0
        self.ids: list[str] = []
        """The ids of the first alerts, MOST_IDS at most."""
        self._held: dict[Settles, int] = {}
        self._opened_ms = 0

    def add(self, time_ms: int, record_id: str, pod: PodKey | None) -> None:
        self._widen(1, time_ms, time_ms, pod)
        if len(self.ids) < MOST_IDS:
            self.ids.append(record_id)

    def absorb(self, other: Group) -> None:
        """Adds the alerts of the other group, which holds no entries yet."""
        self._widen(other.count, other.first_ms, other.last_ms, other.pod)
        self.ids += other.ids[: MOST_IDS - len(self.ids)]

    def open(self, now_ms: int) -> None:
        self._opened_ms = now_ms

    def is_due(self, now_ms: int) -> bool:
        """Its minute is over, by the alerts' time or by the agent's clock. A clock that was set back ends it too."""
        end_ms = (self.identity[0] + 1) * MINUTE_MS + GRACE_MS
        return now_ms >= min(end_ms, self._opened_ms + MINUTE_MS + GRACE_MS) or now_ms < self._opened_ms

    def hold(self, entry: Settles, records: int) -> None:
        """`records` of the group are in this ledger entry. They stay unsettled until the group settles."""
        self._held[entry] = self._held.get(entry, 0) + records

    def settle(self) -> None:
        """CloudWatch has acknowledged the group's event."""
        held, self._held = self._held, {}
        for entry, records in held.items():
            entry.settle(records)

    def _widen(self, count: int, first_ms: int, last_ms: int, pod: PodKey | None) -> None:
        self.first_ms = min(self.first_ms, first_ms) if self.count else first_ms
        self.last_ms = max(self.last_ms, last_ms)
        self.count += count
        if pod != self.pod:
            self.pod = None


class _Window:
    """The count of identical alerts in one minute."""

    __slots__ = ("group", "seen", "touched_ms")

    def __init__(self) -> None:
        self.seen = 0
        self.group: Group | None = None
        self.touched_ms = 0


class Draft:
    """The groups that one pass over a chunk would make. They take effect with `Deduplicator.keep`."""

    __slots__ = ("_deduplicator", "_file", "_groups", "_seen")

    def __init__(self, deduplicator: Deduplicator, file: str) -> None:
        self._deduplicator = deduplicator
        self._file = file
        self._seen: dict[Identity, int] = {}
        self._groups: dict[Identity, Group] = {}

    def takes(self, alert: Alert, payload: bytes, time_ms: int, offset: int) -> bool:
        """Counts the alert. If it is beyond the limit, the alert joins a group and the answer is true."""
        identity = self._deduplicator.identity(alert, payload, time_ms)
        if identity is None:
            return False
        seen = self._seen.get(identity)
        seen = 1 + (self._deduplicator.seen(identity) if seen is None else seen)
        self._seen[identity] = seen
        if seen <= self._deduplicator.limit:
            return False
        pod = None if alert.output_fields is None else alert.output_fields.key()
        group = self._groups.get(identity)
        if group is None:
            group = self._groups[identity] = Group(identity, pod)
        group.add(time_ms, f"{self._file}:{offset}", pod)
        return True

    @property
    def found(self) -> tuple[dict[Identity, int], dict[Identity, Group]]:
        return self._seen, self._groups


class Deduplicator:
    """Counts identical alerts minute by minute, and keeps the open groups."""

    def __init__(self, limit: int, keys: Sequence[str]) -> None:
        self.limit = limit
        self.keys = tuple(dict.fromkeys(keys))
        self._decode = _decoder(self.keys)
        self._windows: dict[Identity, _Window] = {}
        self._ended: list[Group] = []

    def draft(self, file: str) -> Draft:
        return Draft(self, file)

    def keep(self, draft: Draft, now_ms: int) -> dict[Group, int]:
        """Makes a draft take effect. Returns how many of its records each group takes.

        The groups must hold these records before the groups themselves are taken.
        """
        seen, groups = draft.found
        taken: dict[Group, int] = {}
        for identity, times in seen.items():
            window = self._windows.get(identity)
            if window is None:
                window = self._windows[identity] = _Window()
            window.seen, window.touched_ms = times, now_ms
            drafted = groups.get(identity)
            if drafted is None:
                continue
            records = drafted.count
            if window.group is None:
                window.group = drafted
                drafted.open(now_ms)
            else:
                window.group.absorb(drafted)
            taken[window.group] = records
            if window.group.count >= MOST_RECORDS:
                self._end(window)
        while len(self._windows) > MOST_WINDOWS:
            self._end(self._windows.pop(next(iter(self._windows))))
        return taken

    def take(self, now_ms: int) -> list[Group]:
        """The groups that have ended. Also forgets alerts that were not seen for a minute."""
        for identity, window in list(self._windows.items()):
            if window.group is not None and window.group.is_due(now_ms):
                self._end(window)
            if window.group is None and not window.touched_ms <= now_ms < window.touched_ms + MINUTE_MS:
                del self._windows[identity]
        ended, self._ended = self._ended, []
        return ended

    def take_all(self) -> list[Group]:
        """Every group, also those that have not ended. For the drain, when nothing more is read."""
        for window in self._windows.values():
            self._end(window)
        ended, self._ended = self._ended, []
        return ended

    @property
    def held_records(self) -> int:
        """The number of records in groups that were not taken yet."""
        still_open = sum(window.group.count for window in self._windows.values() if window.group is not None)
        return still_open + sum(group.count for group in self._ended)

    def seen(self, identity: Identity) -> int:
        window = self._windows.get(identity)
        return 0 if window is None else window.seen

    def identity(self, alert: Alert, payload: bytes, time_ms: int) -> Identity | None:
        """What identical alerts have in common. None for an alert that never joins a group."""
        try:
            fields = self._decode(payload).output_fields
        except (NotAnAlert, RecursionError):
            return None
        values: tuple[bytes, ...] = () if fields is None else tuple(map(bytes, msgspec.structs.astuple(fields)))
        if self.keys and all(value in _NOTHING for value in values):
            return None  # without any of the fields it cannot be compared
        if sum(map(len, (alert.rule, alert.priority, alert.source, *values))) > LARGEST_VALUES_BYTES:
            return None
        return time_ms // MINUTE_MS, alert.rule, alert.priority, alert.source, values

    def values(self, group: Group) -> dict[str, bytes]:
        """The configured fields that the group's alerts have, each as JSON."""
        return {key: value for key, value in zip(self.keys, group.identity[4], strict=False) if value}

    def _end(self, window: _Window) -> None:
        if window.group is not None:
            self._ended.append(window.group)
            window.group = None


class _Decoded(Protocol):
    output_fields: msgspec.Struct | None


def _decoder(keys: Sequence[str]) -> Callable[[bytes], _Decoded]:
    """Decodes the configured fields of an alert and nothing else, each as the bytes that Falco wrote."""
    fields = msgspec.defstruct(
        "Fields",
        [
            (f"field_{number}", msgspec.Raw, msgspec.field(name=key, default_factory=msgspec.Raw))
            for number, key in enumerate(keys)
        ],
    )
    alert = msgspec.defstruct("Alert", [("output_fields", fields | None, None)])
    return cast(Callable[[bytes], _Decoded], msgspec.json.Decoder(alert).decode)
