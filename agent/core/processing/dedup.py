"""Folds identical alerts beyond a limit a minute: one event will stand for all of them.

Identical are alerts of one rule, priority and source whose configured output fields have the same values.
The minute is that of the alerts' own times, so what folds depends on what Falco wrote, not on when it was
read. A fold holds the ledger entries of its records, and settles them when the event that stands for them
has been acknowledged, so a crash before that reads them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agent.core.batching.span import Settles
from agent.core.processing.alert import Alert, NotAnAlert
from agent.core.values import PodKey

MINUTE_MS: Final = 60_000

GRACE_MS: Final = 1_000
"""After the end of its minute, for alerts that are on their way: Falco takes some milliseconds, rarely more."""

MOST_IDS: Final = 20
"""Ids named in the event that stands for a fold; its count tells of the rest."""

MOST_RECORDS: Final = 100_000
"""A fold is told at the latest when it holds so many: it keeps their ledger entries open."""

MOST_WINDOWS: Final = 1024
"""Kinds of alert counted at once. The one begun first makes room: what is not counted ships."""

LARGEST_VALUES_BYTES: Final = 4096
"""Alerts whose values are longer than that, in sum, ship one by one: they would be held for a minute."""

Identity = tuple[int, str, str, str, tuple[bytes, ...]]
"""Minute, rule, priority, source, and the values of the configured fields as Falco wrote them."""

_NOTHING: Final = (b"", b"null")


class Group:
    """Alerts that one event will stand for."""

    __slots__ = ("_held", "_opened_ms", "count", "first_ms", "identity", "ids", "last_ms", "pod")

    def __init__(self, identity: Identity, pod: PodKey | None) -> None:
        self.identity = identity
        self.pod = pod
        """The one that all of them are about; None: there is none, or not one only."""
        self.count = 0
        self.first_ms = self.last_ms = 0
        self.ids: list[str] = []
        """Of the first MOST_IDS of them."""
        self._held: dict[Settles, int] = {}
        self._opened_ms = 0

    def add(self, time_ms: int, record_id: str, pod: PodKey | None) -> None:
        self._widen(1, time_ms, time_ms, pod)
        if len(self.ids) < MOST_IDS:
            self.ids.append(record_id)

    def absorb(self, other: Group) -> None:
        """Takes over what the other has counted; it holds nothing yet."""
        self._widen(other.count, other.first_ms, other.last_ms, other.pod)
        self.ids += other.ids[: MOST_IDS - len(self.ids)]

    def open(self, now_ms: int) -> None:
        self._opened_ms = now_ms

    def is_due(self, now_ms: int) -> bool:
        """Its minute is over, by the alerts' time or by ours; a clock that was set back ends it, too."""
        end_ms = (self.identity[0] + 1) * MINUTE_MS + GRACE_MS
        return now_ms >= min(end_ms, self._opened_ms + MINUTE_MS + GRACE_MS) or now_ms < self._opened_ms

    def hold(self, entry: Settles, records: int) -> None:
        """So many of its records are in that entry, and stay unsettled until the fold is."""
        self._held[entry] = self._held.get(entry, 0) + records

    def settle(self) -> None:
        """The event that stands for it has been acknowledged."""
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
    """One kind of alert in one minute."""

    __slots__ = ("fold", "seen", "touched_ms")

    def __init__(self) -> None:
        self.seen = 0
        self.fold: Group | None = None
        self.touched_ms = 0


class Draft:
    """What one pass over a chunk would fold. Nothing of it counts until `Deduplicator.keep`."""

    __slots__ = ("_file", "_folds", "_seen", "_storm")

    def __init__(self, storm: Deduplicator, file: str) -> None:
        self._storm = storm
        self._file = file
        self._seen: dict[Identity, int] = {}
        self._folds: dict[Identity, Group] = {}

    def folds(self, alert: Alert, payload: bytes, time_ms: int, offset: int) -> bool:
        """Whether this alert is one too many."""
        identity = self._storm.identity(alert, payload, time_ms)
        if identity is None:
            return False
        seen = self._seen.get(identity)
        seen = 1 + (self._storm.seen(identity) if seen is None else seen)
        self._seen[identity] = seen
        if seen <= self._storm.limit:
            return False
        pod = None if alert.output_fields is None else alert.output_fields.key()
        fold = self._folds.get(identity)
        if fold is None:
            fold = self._folds[identity] = Group(identity, pod)
        fold.add(time_ms, f"{self._file}:{offset}", pod)
        return True

    @property
    def found(self) -> tuple[dict[Identity, int], dict[Identity, Group]]:
        return self._seen, self._folds


class Deduplicator:
    """Counts what is identical, minute by minute, and keeps the open folds."""

    def __init__(self, limit: int, keys: Sequence[str]) -> None:
        self.limit = limit
        self.keys = tuple(dict.fromkeys(keys))
        self._decode = _decoder(self.keys)
        self._windows: dict[Identity, _Window] = {}
        self._ended: list[Group] = []

    def draft(self, file: str) -> Draft:
        return Draft(self, file)

    def keep(self, draft: Draft, now_ms: int) -> dict[Group, int]:
        """The pass counts: how many of its records each fold takes. Hold them before the folds are taken."""
        seen, folds = draft.found
        taken: dict[Group, int] = {}
        for identity, times in seen.items():
            window = self._windows.get(identity)
            if window is None:
                window = self._windows[identity] = _Window()
            window.seen, window.touched_ms = times, now_ms
            drafted = folds.get(identity)
            if drafted is None:
                continue
            records = drafted.count
            if window.fold is None:
                window.fold = drafted
                drafted.open(now_ms)
            else:
                window.fold.absorb(drafted)
            taken[window.fold] = records
            if window.fold.count >= MOST_RECORDS:
                self._end(window)
        while len(self._windows) > MOST_WINDOWS:
            self._end(self._windows.pop(next(iter(self._windows))))
        return taken

    def take(self, now_ms: int) -> list[Group]:
        """The folds that are over. Forgets what was not seen for a minute."""
        for identity, window in list(self._windows.items()):
            if window.fold is not None and window.fold.is_due(now_ms):
                self._end(window)
            if window.fold is None and not window.touched_ms <= now_ms < window.touched_ms + MINUTE_MS:
                del self._windows[identity]
        ended, self._ended = self._ended, []
        return ended

    def take_all(self) -> list[Group]:
        """Every fold, whether it is over or not: nothing more is read."""
        for window in self._windows.values():
            self._end(window)
        ended, self._ended = self._ended, []
        return ended

    @property
    def held_records(self) -> int:
        """Records in folds that are not taken yet."""
        still_open = sum(window.fold.count for window in self._windows.values() if window.fold is not None)
        return still_open + sum(fold.count for fold in self._ended)

    def seen(self, identity: Identity) -> int:
        window = self._windows.get(identity)
        return 0 if window is None else window.seen

    def identity(self, alert: Alert, payload: bytes, time_ms: int) -> Identity | None:
        """None: an alert that has none of the fields cannot be told from others, so it never folds."""
        try:
            fields = self._decode(payload).output_fields
        except (NotAnAlert, RecursionError):
            return None
        values = () if fields is None else tuple(map(bytes, msgspec.structs.astuple(fields)))
        if self.keys and all(value in _NOTHING for value in values):
            return None
        if sum(map(len, values)) > LARGEST_VALUES_BYTES:
            return None
        return time_ms // MINUTE_MS, alert.rule, alert.priority, alert.source, values

    def values(self, fold: Group) -> dict[str, bytes]:
        """The configured fields that its alerts have, each as JSON."""
        return {key: value for key, value in zip(self.keys, fold.identity[4], strict=False) if value}

    def _end(self, window: _Window) -> None:
        if window.fold is not None:
            self._ended.append(window.fold)
            window.fold = None


def _decoder(keys: Sequence[str]) -> Any:
    """Decodes the configured fields of an alert and nothing else, each as the bytes that Falco wrote."""
    fields = msgspec.defstruct(
        "Fields",
        [
            (f"field_{number}", msgspec.Raw, msgspec.field(name=key, default_factory=msgspec.Raw))
            for number, key in enumerate(keys)
        ],
    )
    alert = msgspec.defstruct("Alert", [("output_fields", fields | None, None)])
    return msgspec.json.Decoder(alert).decode
