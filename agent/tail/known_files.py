"""The files that were read before: which of them are lost, and which of their positions to forget.

After a scan every unfinished file that is known is open, or it is still to be found, or it is gone with its unread
bytes, which is a gap. A gap is announced when two scans in a row have missed the file: after the files of a scan were
listed, and before they were opened, the bytes of a file may have moved to another name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from agent.tail.positions import VANISHED, Retention, SourceSeen, could_be_seen, missing_files
from agent.tail.tailer import Tailer
from agent.tail.types import Reading, Source

FORGET_EVERY_SECONDS: Final = 60.0
"""Between two checks which positions to forget."""

log = logging.getLogger(__name__)


class KnownFiles:
    """The known files of all sources."""

    def __init__(self, reading: Reading, *, undecided: bool) -> None:
        self._reading = reading
        self._undecided = undecided
        """Some file that was known at the start has neither been found nor is known to be gone."""
        self._vanished: set[str] = set()
        """Ids of files that vanished while they were closed, and of which a scan may still find a copy."""
        self._missed: set[str] = set()
        """Ids of known files that the last scan has missed."""
        self._missed_vanished: set[str] = set()
        """The same of files that vanished while they were closed."""
        self._judged_sources: set[str] = set()
        self._retention = Retention()
        self._checked_positions_at = time.monotonic()

    def judge(self, tailers: Mapping[Source, Tailer]) -> None:
        """Announces what is lost. Called after a scan."""
        if self._undecided:
            self._judge_missing(tailers)
        self._judge_vanished(tailers)

    def _judge_missing(self, tailers: Mapping[Source, Tailer]) -> None:
        """Every unfinished file that was known at the start is open now, or it is gone with its unread bytes."""
        positions = self._reading.positions
        sources = [
            SourceSeen(source.name, tailer.is_recognised, tailer.is_unsure, source.name in self._judged_sources)
            for source, tailer in tailers.items()
        ]
        there = self._reading.open_ids.union(*(tailer.closed_ids for tailer in tailers.values()))
        missing = missing_files(dict(positions), there, sources, self._could_be_seen())
        missed_before, self._missed = self._missed, missing.ids
        if self._missed - missed_before:
            return
        for gap in missing.gaps:
            self._reading.announce(gap)
            self._drop_unfinished(gap.file)
        for file_id in missing.read_to_end:
            known = positions[file_id]
            log.warning(
                "file is gone; it had been read as far as was seen", extra={"path": known.path, "read": known.offset}
            )
            self._drop_unfinished(file_id)
        self._judged_sources |= {source.name for source in sources if not source.unsure}
        self._undecided = bool(missing.undecided) or any(source.unsure for source in sources)

    def _judge_vanished(self, tailers: Mapping[Source, Tailer]) -> None:
        """Files that vanished while they were closed: with unread bytes they are a gap, unless a copy was found."""
        self._vanished.update(*(tailer.take_vanished() for tailer in tailers.values()))
        positions = self._reading.positions
        vanished = {file_id: positions[file_id] for file_id in self._vanished if file_id in positions}
        self._vanished.clear()
        if not vanished:
            return
        sources = [
            SourceSeen(source.name, False, tailer.is_unsure, True)
            for source, tailer in tailers.items()
            if tailer.is_there
        ]
        missing = missing_files(vanished, self._reading.open_ids, sources, self._could_be_seen(), VANISHED)
        missed_before, self._missed_vanished = self._missed_vanished, missing.ids
        for gap in missing.gaps:
            if gap.file in missed_before:
                self._reading.announce(gap)
                self._drop_unfinished(gap.file)
        for file_id in missed_before.intersection(missing.read_to_end):
            self._drop_unfinished(file_id)
        self._vanished |= {*missing.undecided, *(missing.ids - missed_before)}

    def _drop_unfinished(self, file_id: str) -> None:
        known = self._reading.positions.get(file_id)
        if known is not None and not known.complete:
            del self._reading.positions[file_id]

    def _could_be_seen(self) -> set[str]:
        root = self._reading.settings.root
        answers: dict[tuple[str, int], bool] = {}
        seen = set()
        for file_id, position in self._reading.positions.items():
            place = (position.path.rpartition("/")[0], position.device)
            if place not in answers:
                answers[place] = could_be_seen(position, root)
            if answers[place]:
                seen.add(file_id)
        return seen

    def forget_positions(self, tailers: Mapping[Source, Tailer]) -> None:
        """Forgets, once in a while, the positions that are not needed any more."""
        elapsed_seconds = time.monotonic() - self._checked_positions_at
        if elapsed_seconds < FORGET_EVERY_SECONDS:
            return
        self._checked_positions_at = time.monotonic()
        there = {file_id for tailer in tailers.values() for file_id in tailer.closed_ids}
        positions = self._reading.positions
        for file_id in self._retention.to_forget(positions, there, self._could_be_seen(), elapsed_seconds):
            del positions[file_id]
        for tailer in tailers.values():
            for file_id in tailer.forget_oldest():
                if file_id in positions and positions[file_id].complete:
                    del positions[file_id]
